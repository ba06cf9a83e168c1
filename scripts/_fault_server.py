"""A service with random faults, for the campaign of `scripts/try_tools faults`.

Every agent id contains the number of its call, by which the server groups the requests. The number also seeds
the faults of the call.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import threading
from collections.abc import Sequence

import attrs

WORDS = [f"word{number} " for number in range(8)]

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
    """The habit of the caller in one call, and the faults of the server, one for each request.

    Call 0 opens a campaign without faults, so that the client learns that replies end with a mark.
    """

    number: int
    is_chat: bool
    habit: str
    cancel_after: float
    """In seconds."""
    faults: Sequence[str]
    cut: int
    """The number of events before the fault."""

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
    """The service; it causes the planned fault for each request and counts the requests that it accepted."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: dict[int, list[str]] = {}
        """The faults of each request, by the number of the call."""
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
        """Respond to one request; return whether the connection stays open."""
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
