"""Make calls that replace the connection pool which other calls use, for `scripts/try_tools faults`."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
from typing import Any, Literal
from unittest.mock import patch

from millis_wrapper import APIConnectionError, AsyncMillis, Millis, MillisError
from scripts._fault_server import Server
from scripts._try_faults import NOWHERE, SETTINGS, collected, slots_in_use


def threads_behind_a_dead_proxy(threads: int, calls: int) -> list[str]:
    """Make `calls` calls on one client from each of `threads` threads, and return the problems.

    Each call fails, and so retires the pool of the client.
    """
    wrong: list[str] = []

    def work(millis: Millis) -> None:
        for _ in range(calls):
            try:
                millis.agents.duplicate("-number0-")
            except APIConnectionError as error:
                if error.maybe_processed:
                    wrong.append(f"maybe_processed is True without a connection: {error!r}")
            except Exception as error:
                wrong.append(f"raised {error!r}")

    settings: dict[str, Any] = SETTINGS | {
        "base_url": "http://millis.invalid",
        "allow_http": True,
        "max_retries": 0,
    }
    proxy = patch.dict(os.environ, HTTP_PROXY=NOWHERE, http_proxy=NOWHERE)
    with proxy, collected() as lines, Millis(**settings) as millis:
        workers = [threading.Thread(target=work, args=(millis,)) for _ in range(threads)]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)  # makes races more likely
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        sys.setswitchinterval(interval)
    return wrong + lines


def canceled_calls(engine: Literal["aiohttp"] | None, calls: int) -> list[str]:
    """Cancel most of `calls` calls on one client at random moments, and return the problems."""
    moments = random.Random(calls)  # noqa: S311
    wrong: list[str] = []

    async def call(millis: AsyncMillis) -> None:
        try:
            async with asyncio.timeout(moments.choice([0, 0.001, 0.003, 0.01]) * moments.random()):
                await millis.chat.send("Hello", agent_id="-number0-")
        except (TimeoutError, MillisError):
            pass
        except Exception as error:
            wrong.append(f"raised {error!r}")

    async def run(server: Server) -> None:
        async with AsyncMillis(base_url=server.url, http_client=engine, **SETTINGS) as millis:
            for _ in range(0, calls, 40):
                await asyncio.gather(*(call(millis) for _ in range(40)))
            for _ in range(200):  # retired pools close themselves in tasks
                if asyncio.all_tasks() == {asyncio.current_task()}:
                    break
                await asyncio.sleep(0.01)
            wrong.extend(slots_in_use(millis))

    with Server() as server, collected() as lines:
        asyncio.run(run(server))
    return wrong + lines
