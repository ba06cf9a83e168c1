"""A random campaign of faulty calls, with which all clients have to cope.

Nothing is sent twice, a complete reply is complete, and nothing is left behind. The number of a call is part
of its agent id, so that the server knows which requests belong together, and seeds what happens to them.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import random
import socket
import struct
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Literal

import attrs

from millis_wrapper import AsyncMillis, Millis, MillisError, RetryPolicy, Timeout

Kind = Literal["sync", "httpx", "aiohttp"]
KINDS: tuple[Kind, ...] = ("sync", "httpx", "aiohttp")
WORDS = [f"word{number} " for number in range(8)]
SETTINGS: dict[str, Any] = {
    "api_key": "key-of-the-campaign",
    "timeout": Timeout(connect=10, pool=30, write=10, first_byte=0.3, idle=0.3),
    "max_retries": RetryPolicy(max_retries=2, initial_delay=0.001, max_delay=0.01),
}
NOWHERE = "http://127.0.0.1:1"  # a port that refuses connections
WORKERS = 8  # calls at the same time

REFUSALS = {"429": 6, "429 now": 6, "404": 2, "503 now": 3}
BREAKS = {
    "reset": 5,
    "close": 5,
    "half a head": 4,
    "reset in the body": 6,
    "close in the body": 6,
    "ends early": 4,
    "malformed chunk": 5,
    "malformed event": 5,
    "slow head": 1,
    "slow body": 1,
    "500": 3,
    "503": 3,
}
FAULTS = {"none": 34, **REFUSALS, **BREAKS}
HABITS = {"reads": 32, "leaves": 4, "cancels": 8, "calls a closed port": 1}


@attrs.frozen
class Plan:
    """One call: what the caller does, and what the server does with each of its requests.

    Call 0, the first of a campaign, has no faults: from it, the client learns that replies have an end mark.
    """

    number: int
    is_chat: bool
    habit: str
    cancel_after: float
    """In seconds."""
    faults: Sequence[str]
    cut: int
    """How many events arrive before the fault."""

    @classmethod
    def of(cls, number: int) -> Plan:
        """Return the plan of one call."""
        if number == 0:
            return cls(0, True, "reads", 0, ["none"], 0)
        choice = random.Random(number)  # noqa: S311
        (habit,) = choice.choices(list(HABITS), list(HABITS.values()))
        moment = choice.choice([0.001, 0.005, 0.02]) * choice.random()
        faults = choice.choices(list(FAULTS), list(FAULTS.values()), k=5)
        return cls(number, choice.random() < 0.6, habit, moment, faults, choice.randrange(len(WORDS)))


class Server:
    """The service, which does to each request what its plan says, and counts what it accepted."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: dict[int, list[str]] = {}
        """By the number of the call: what was done to each of its requests."""
        self._loop = asyncio.new_event_loop()
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))

    def __enter__(self) -> Server:
        self._thread.start()
        assert self._is_ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()

    def accepted(self, plan: Plan) -> int:
        """Return how many requests of a call the service may have acted on."""
        # A 503 refuses a chat only: a duplicate may have been made anyway.
        refusals = {*REFUSALS} if plan.is_chat else {*REFUSALS} - {"503 now"}
        return sum(fault not in refusals for fault in self.requests.get(plan.number, []))

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        tasks = set[asyncio.Task[None]]()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._connection(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=1000)
        self.url = "http://{}:{}".format(*server.sockets[0].getsockname()[:2])
        self._is_ready.set()
        await self._end.wait()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.05)  # the connections close

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                lengths = [line for line in head.split("\r\n") if line.startswith("content-length:")]
                body = await reader.readexactly(int(lengths[0].partition(":")[2]) if lengths else 0)
                place = body.decode() if head.startswith("post /chat/") else head
                plan = Plan.of(int(place.partition("-number")[2].partition("-")[0]))
                earlier = self.requests.setdefault(plan.number, [])
                fault = "none" if plan.number == 0 else plan.faults[len(earlier)]
                earlier.append(fault)
                if not await self._answer(plan, fault, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, plan: Plan, fault: str, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection stays open."""
        if fault == "reset":
            return _reset(writer)
        if fault[:3].isdigit():
            after = "retry-after: 0\r\n" if fault.endswith("now") else ""
            writer.write(f"HTTP/1.1 {fault[:3]} X\r\n{after}content-length: 2\r\n\r\n{{}}".encode())
            return True
        if fault == "slow head":
            await asyncio.sleep(0.6)
        if fault == "half a head":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-ty")
        if fault in ("close", "half a head"):
            return False
        kind, parts = _good(plan)
        writer.write(
            f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )
        for index, part in enumerate(parts):
            if index == min(plan.cut, len(parts) - 1):
                if fault == "slow body":
                    await asyncio.sleep(0.6)
                if fault == "malformed event":
                    part = part[: len(part) // 2] + b"\n\n"
                if fault == "malformed chunk":
                    writer.write(b"zz\r\n")
                if fault in ("malformed chunk", "close in the body"):
                    return False
                if fault == "reset in the body":
                    return _reset(writer)
                if fault == "ends early":
                    break
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))
            await writer.drain()
            if plan.number % 2:  # one of the two: separate segments, or one for all
                await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")
        return True


def _good(plan: Plan) -> tuple[str, list[bytes]]:
    """Return the content type of a good response and the chunks of its body."""
    if plan.is_chat:
        events = [json.dumps({"choices": [{"delta": {"content": word}}]}) for word in WORDS]
        return "text/event-stream", [f"data: {event}\n\n".encode() for event in [*events, "[DONE]"]]
    copy = {"id": f"-Ocopy{plan.number}", "name": "Copy", "config": {"prompt": "p"}, "created_at": 1}
    text = json.dumps(copy).encode()
    return "application/json", [text[:20], text[20:]]


def _reset(writer: asyncio.StreamWriter) -> bool:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


class Judge:
    """Checks the outcome of each call."""

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
    """Yield what the pools of a client still hold after its last call. Nothing public shows that."""
    for pool in [pool for pools in millis._transport._pools.values() for pool in pools]:
        if pool._calls:
            yield f"left {len(pool._calls)} calls in a pool"
        inner = None if pool.client.is_closed else getattr(pool.client._transport, "_pool", None)
        for one in inner.connections if inner else ():
            if not (one.is_idle() or one.is_closed()):
                yield f"left {one!r} in a pool"


@contextmanager
def collected() -> Generator[list[str]]:
    """Yield a list that collects log records, warnings, and exceptions that nobody handled."""
    gc.collect()  # what earlier code left behind does not count
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"logged: {record.name}: {record.getMessage()} {record.exc_info}")

    def unhandled(details: Any) -> None:
        lines.append(f"nobody handled {details.exc_value!r}")

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
    """Run the calls with these numbers on one kind of client.

    Returns:
        What went wrong, and how often the calls had each outcome.
    """
    with Server() as server, collected() as lines:
        judge = Judge(server, kind)
        if kind == "sync":
            _run_sync(server, numbers, judge)
        else:
            asyncio.run(_run_async(server, numbers, judge, "aiohttp" if kind == "aiohttp" else None))
    return judge.wrong + lines, judge.outcomes


def wrong_with_faults(calls: int, first: int = 1) -> list[str]:
    """Run `calls` calls on each kind of client, print the outcomes, and return what went wrong."""
    wrong: list[str] = []
    for kind in KINDS:
        its, outcomes = campaign(kind, range(first, first + calls))
        wrong += its
        print(
            f"{kind}: {calls} calls", *(f"{name} {count}" for name, count in outcomes.most_common()), sep=", "
        )
    return wrong
