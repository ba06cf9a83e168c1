"""A thousand async streams at once, over real HTTP on loopback, beside bare httpx that only reads the
bytes.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import httpx

from millis_wrapper import AsyncMillis

from .measure import Ratio, ratio, seconds

STREAMS = 1_000


def run(rounds: int) -> list[Ratio]:
    command = [sys.executable, "-m", "scripts.benchmarks.crowd_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            pairs: list[tuple[float, float]] = []
            for number in range(rounds + 1):
                ours, theirs = (seconds(partial(_run, one, url)) for one in (_ours, _bare))
                if number:
                    pairs.append((ours, theirs))
        finally:
            server.terminate()
    return [
        ratio(f"{STREAMS} async streams at once: millis-wrapper over bare httpx", "httpx", pairs, target=0.9)
    ]


def _run(contestant: Callable[[str], Coroutine[Any, Any, None]], url: str) -> None:
    asyncio.run(contestant(url))


async def _ours(url: str) -> None:
    async with AsyncMillis("key", base_url=url) as millis:

        async def one() -> None:
            reply = await millis.chat.send("Hello", agent_id="-O")
            assert reply.ended == "done"

        await asyncio.gather(*(one() for _ in range(STREAMS)))


async def _bare(url: str) -> None:
    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=100)
    async with httpx.AsyncClient(limits=limits, timeout=60) as http:

        async def one() -> None:
            async with http.stream("POST", f"{url}/chat/completions", content=b"{}") as response:
                async for _ in response.aiter_bytes():
                    pass

        await asyncio.gather(*(one() for _ in range(STREAMS)))
