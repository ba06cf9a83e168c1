"""Make random faulty calls on all clients, for `scripts/try_tools faults`.

No request is accepted twice, a reply that counts as complete is complete, and no call leaves anything behind.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Literal

from millis_wrapper import AsyncMillis, Millis, MillisError, RetryPolicy, Timeout

from ._fault_server import BREAKS, WORDS, Plan, Server

Kind = Literal["sync", "httpx", "aiohttp"]
KINDS: tuple[Kind, ...] = ("sync", "httpx", "aiohttp")
SETTINGS: dict[str, Any] = {
    "api_key": "key-of-the-campaign",
    "timeout": Timeout(connect=10, pool=30, write=10, first_byte=0.3, idle=0.3),
    "max_retries": RetryPolicy(max_retries=2, initial_delay=0.001, max_delay=0.01),
}
NOWHERE = "http://127.0.0.1:1"  # a port that refuses connections
WORKERS = 8  # calls at the same time


class Judge:
    """Checks the outcome of each call and collects the problems."""

    def __init__(self, server: Server, kind: Kind) -> None:
        self.wrong: list[str] = []
        self.outcomes = Counter[str]()
        self._server = server
        self._kind = kind

    def result(self, plan: Plan, result: Any) -> None:
        """Check a call that returned."""
        faults = self._server.requests.get(plan.number, [])
        right = result.text == "".join(WORDS) if plan.is_chat else result.id == f"-Ocopy{plan.number}"
        if not right:
            self._note(plan, f"counts as complete, but is {result!r}")
        if plan.is_chat and faults[-1] in BREAKS and not faults[-1].startswith("slow"):
            self._note(plan, f"counts as complete ({result.ended}) after a fault")
        self._finish(plan, "complete")

    def error(self, plan: Plan, error: BaseException) -> None:
        """Check a call that raised."""
        if isinstance(error, MillisError):
            if plan.habit == "calls a closed port" and error.maybe_processed:
                self._note(plan, f"maybe_processed is True without a connection: {error!r}")
            if not error.maybe_processed and self._server.accepted(plan):
                self._note(plan, f"maybe_processed is False, but a request was accepted: {error!r}")
        elif not isinstance(error, asyncio.CancelledError):
            self._note(plan, f"raised {error!r}")
        self._finish(plan, type(error).__name__)

    def left(self, plan: Plan) -> None:
        """Check a call that its caller left early."""
        self._finish(plan, "left")

    def _finish(self, plan: Plan, outcome: str) -> None:
        self.outcomes[outcome] += 1
        if self._server.accepted(plan) > 1:
            self._note(plan, "was sent twice")

    def _note(self, plan: Plan, what: str) -> None:
        faults = self._server.requests.get(plan.number, [])
        operation = "chat" if plan.is_chat else "duplicate"
        self.wrong.append(f"{self._kind}: call {plan.number} ({operation}, {plan.habit}, {faults}) {what}")


def _call_sync(millis: Millis, plan: Plan, judge: Judge) -> None:
    agent_id = f"-number{plan.number}-"
    try:
        if not plan.is_chat:
            judge.result(plan, millis.agents.duplicate(agent_id))
            return
        stream = millis.chat.stream("Hello", agent_id=agent_id)
        timer = threading.Timer(plan.cancel_after, stream.close)
        if plan.habit == "cancels":
            timer.start()
        try:
            with stream:
                for _ in stream.text_stream:
                    if plan.habit == "leaves":
                        break
            if stream.reply.ended is None:
                judge.left(plan)
            else:
                judge.result(plan, stream.get_final_reply())
        finally:
            timer.cancel()
    except Exception as error:
        judge.error(plan, error)


async def _call_async(millis: AsyncMillis, plan: Plan, judge: Judge) -> None:
    agent_id = f"-number{plan.number}-"

    async def call() -> None:
        if not plan.is_chat:
            judge.result(plan, await millis.agents.duplicate(agent_id))
        elif plan.habit == "leaves":
            async with millis.chat.stream("Hello", agent_id=agent_id) as stream:
                async for _ in stream.text_stream:
                    break
            judge.left(plan)
        else:
            judge.result(plan, await millis.chat.send("Hello", agent_id=agent_id))

    task = asyncio.create_task(call())
    if plan.habit == "cancels":
        await asyncio.sleep(plan.cancel_after)
        for _ in range(1 + plan.number % 2):
            task.cancel()
            await asyncio.sleep(0)
    await asyncio.wait([task])
    if task.cancelled():
        judge.error(plan, asyncio.CancelledError())
    elif (error := task.exception()) is not None:
        judge.error(plan, error)


def _run_sync(server: Server, numbers: range, judge: Judge) -> None:
    with Millis(base_url=server.url, **SETTINGS) as millis, Millis(base_url=NOWHERE, **SETTINGS) as lost:

        def call(number: int) -> None:
            plan = Plan.of(number)
            _call_sync(lost if plan.habit == "calls a closed port" else millis, plan, judge)

        call(0)
        with ThreadPoolExecutor(WORKERS) as threads:
            list(threads.map(call, numbers))
        judge.wrong += slots_in_use(millis)


async def _run_async(server: Server, numbers: range, judge: Judge, engine: Literal["aiohttp"] | None) -> None:
    async with (
        AsyncMillis(base_url=server.url, http_client=engine, **SETTINGS) as millis,
        AsyncMillis(base_url=NOWHERE, http_client=engine, **SETTINGS) as lost,
    ):
        await _call_async(millis, Plan.of(0), judge)
        waiting = map(Plan.of, numbers)

        async def work() -> None:
            for plan in waiting:
                await _call_async(lost if plan.habit == "calls a closed port" else millis, plan, judge)

        await asyncio.gather(*(work() for _ in range(WORKERS)))
        for _ in range(200):  # retired pools close themselves in tasks
            if asyncio.all_tasks() == {asyncio.current_task()}:
                break
            await asyncio.sleep(0.01)
        judge.wrong += [f"left a task: {task!r}" for task in asyncio.all_tasks() - {asyncio.current_task()}]
        judge.wrong += slots_in_use(millis)


def slots_in_use(millis: Any) -> Generator[str]:
    """Yield the calls and connections that are still in a client's pools. No public attribute has them."""
    for pool in [pool for pools in millis._transport._pools.values() for pool in pools]:
        if pool._calls:
            yield f"left {len(pool._calls)} calls in a pool"
        inner = None if pool.client.is_closed else getattr(pool.client._transport, "_pool", None)
        for one in inner.connections if inner else ():
            if not (one.is_idle() or one.is_closed()):
                yield f"left {one!r} in a pool"


@contextmanager
def collected() -> Generator[list[str]]:
    """Yield a list that collects log records, warnings and unhandled exceptions."""
    gc.collect()  # leftovers of earlier code do not count
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"logged: {record.name}: {record.getMessage()} {record.exc_info}")

    def unhandled(details: Any) -> None:
        lines.append(f"did not handle {details.exc_value!r}")

    handler = Handler(logging.WARNING)
    logging.getLogger().addHandler(handler)
    before = sys.unraisablehook, threading.excepthook
    sys.unraisablehook = threading.excepthook = unhandled
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield lines
            gc.collect()
        lines += [f"warned: {one.message}" for one in warned]
    finally:
        sys.unraisablehook, threading.excepthook = before
        logging.getLogger().removeHandler(handler)


def campaign(kind: Kind, numbers: range) -> tuple[list[str], Counter[str]]:
    """Make the calls with these numbers on one kind of client; return problems and counts of outcomes."""
    with Server() as server, collected() as lines:
        judge = Judge(server, kind)
        if kind == "sync":
            _run_sync(server, numbers, judge)
        else:
            asyncio.run(_run_async(server, numbers, judge, "aiohttp" if kind == "aiohttp" else None))
    return judge.wrong + lines, judge.outcomes


def campaigns(calls: int) -> Iterator[str]:
    """Make `calls` calls on each kind of client, print their outcomes, and yield the problems."""
    for kind in KINDS:
        problems, outcomes = campaign(kind, range(1, calls + 1))
        counts = ", ".join(f"{name} {count}" for name, count in outcomes.most_common())
        print(f"{kind}: {calls} calls: {counts}", flush=True)
        yield from problems
