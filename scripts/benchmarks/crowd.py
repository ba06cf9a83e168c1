"""A thousand async streams at once, over real HTTP on loopback, beside bare httpx.

Bare httpx does the same job by hand, from lines to text, and once more throws the bytes away unread.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import httpx

from millis_wrapper import AsyncMillis

from .crowd_server import PIECES, TEXT
from .measure import Ratio, ratio, take_turns

STREAMS = 1_000
TEXT_LENGTH = PIECES * len(TEXT)


def run(rounds: int) -> list[Ratio]:
    command = [sys.executable, "-m", "scripts.benchmarks.crowd_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            contestants = {
                name: partial(_run, one, url)
                for name, one in {"ours": _ours, "text": _text_by_hand, "bytes": _bytes_only}.items()
            }
            times = take_turns(contestants, rounds)
        finally:
            server.terminate()

    def beside(name: str) -> list[tuple[float, float]]:
        return list(zip(times["ours"], times[name], strict=True))

    title = f"{STREAMS} async streams at once: millis-wrapper over bare httpx"
    return [
        ratio(f"{title}, to text by hand", "httpx", beside("text")),
        ratio(f"{title}, bytes thrown away", "httpx", beside("bytes"), target=0.9),
    ]


def _run(contestant: Callable[[str], Coroutine[Any, Any, None]], url: str) -> None:
    asyncio.run(contestant(url))


async def _ours(url: str) -> None:
    async with AsyncMillis("key", base_url=url) as millis:

        async def one() -> None:
            reply = await millis.chat.send("Hello", agent_id="-O")
            assert (reply.ended, len(reply.text)) == ("done", TEXT_LENGTH)

        await asyncio.gather(*(one() for _ in range(STREAMS)))


async def _text_by_hand(url: str) -> None:
    async def read(response: httpx.Response) -> None:
        length = 0
        async for line in response.aiter_lines():
            if line.startswith("data: ") and line != "data: [DONE]":
                length += len(json.loads(line[6:])["choices"][0]["delta"]["content"])
        assert length == TEXT_LENGTH

    await _bare(url, read)


async def _bytes_only(url: str) -> None:
    async def read(response: httpx.Response) -> None:
        async for _ in response.aiter_bytes():
            pass

    await _bare(url, read)


async def _bare(url: str, read: Callable[[httpx.Response], Awaitable[None]]) -> None:
    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=100)
    async with httpx.AsyncClient(limits=limits, timeout=60) as http:

        async def one() -> None:
            async with http.stream("POST", f"{url}/chat/completions", content=b"{}") as response:
                await read(response)

        await asyncio.gather(*(one() for _ in range(STREAMS)))
