"""What `scripts/bench` does: ratios measured in one run, in which the contestants take turns.

Machines differ, and are shared: so it is processor time that is compared, but for start-up and latency, and
only one figure is an absolute time.
"""

from __future__ import annotations

import argparse
import asyncio
import codecs
import gc
import json
import math
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any, Literal, NamedTuple

import aiohttp
import httpx
import httpx_sse

import millis_wrapper
from millis_wrapper import AsyncMillis, Conversation, Millis
from millis_wrapper.config import check_config
from millis_wrapper.sse import decode

Run = Callable[[], object]
EVENT_STREAM = {"content-type": "text/event-stream"}


class Row(NamedTuple):
    """One figure: the ratios of all rounds, and its target."""

    name: str
    ratios: Sequence[float]
    at_least: float = -math.inf
    at_most: float = math.inf

    @property
    def is_missed(self) -> bool:
        """Whether the median misses the target."""
        return not self.at_least <= statistics.median(self.ratios) <= self.at_most

    def __str__(self) -> str:
        low, median, high = statistics.quantiles(self.ratios, n=4)
        line = f"{self.name:<72} {median:7.2f} ({low:.2f} to {high:.2f})"
        for sign, target in ((">=", self.at_least), ("<=", self.at_most)):
            if math.isfinite(target):
                line += f"  target {sign} {target:g}: {'MISSED' if self.is_missed else 'met'}"
        return line


def take_turns(
    rounds: int, *contestants: Run, clock: Callable[[], float] = time.process_time
) -> list[list[float]]:
    """Return the seconds of all contestants in each round, after one round to warm up."""
    times: list[list[float]] = []
    for _ in range(rounds + 1):
        took: list[float] = []
        for run in contestants:
            gc.collect()  # what one left behind is not the next one's to clear away
            began = clock()
            run()
            took.append(clock() - began)
        times.append(took)
    return times[1:]


def compare(name: str, ours: Run, theirs: Run, rounds: int, **target: float) -> Row:
    """Return how many times as fast `ours` is as `theirs`."""
    return Row(name, [b / a for a, b in take_turns(rounds, ours, theirs)], **target)


def cut(stream: bytes, size: int) -> list[bytes]:
    """Return `stream` in pieces of `size` bytes."""
    return [stream[start : start + size] for start in range(0, len(stream), size)]


def sse(rounds: int) -> Iterator[Row]:
    """The SSE decoder beside httpx-sse 0.4.3, which gets the text and none of httpx's layers."""
    small = b'data: {"choices":[{"delta":{"content":"Hello"}}]}\n\n'
    typed = b"event: delta\n" + small
    large = b'data: {"text":"' + b"a" * 2**20 + b'"}\n\n'
    lines = b"".join(b"data: line %d\n" % number for number in range(100_000)) + b"\n"
    loads = [
        ("small events, 4 KiB chunks", cut(small * 10_000, 4096), 3.5),
        ("small events, one a chunk", [small] * 10_000, 2.3),
        ("1 MiB events, one a chunk", [large] * 10, 1.5),
        ("1 MiB events, 4 KiB chunks", cut(large * 10, 4096), -math.inf),
        ("events with a type, 4 KiB chunks", cut(typed * 10_000, 4096), 1.2),
        ("CRLF, 4 KiB chunks", cut(small.replace(b"\n", b"\r\n") * 10_000, 4096), -math.inf),
        ("an event of 100,000 lines", cut(lines, 4096), -math.inf),
    ]

    def ours(chunks: list[bytes]) -> None:
        deque(decode(chunks), maxlen=0)

    def theirs(chunks: list[bytes]) -> None:
        text_of = codecs.getincrementaldecoder("utf-8")("replace").decode
        texts = filter(None, map(text_of, chunks))
        response: Any = SimpleNamespace(headers=EVENT_STREAM, iter_text=lambda: texts)
        deque(httpx_sse.EventSource(response).iter_sse(), maxlen=0)

    for name, chunks, at_least in loads:
        contestants = partial(ours, chunks), partial(theirs, chunks)
        yield compare(f"sse: {name}, over httpx-sse", *contestants, rounds, at_least=at_least)


class Pieces(list[bytes], httpx.SyncByteStream):
    """A body in pieces, without a network."""


def text(rounds: int) -> Iterator[Row]:
    """From bytes to text, beside a bare loop of split, json.loads and two look-ups."""
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    chunk |= {"choices": [{"index": 0, "delta": {"content": "word "}}]}
    event = f"data: {json.dumps(chunk)}\n\n"
    body = (event * 20_000 + "data: [DONE]\n\n").encode()

    def ours(millis: Millis) -> None:
        with millis.chat.stream("Hello", agent_id="-O") as stream:
            assert sum(map(len, stream.text_stream)) == 100_000

    def theirs(http: httpx.Client) -> None:
        length, rest = 0, b""
        with http.stream("POST", "https://service/") as response:
            for piece in response.iter_raw():
                *events, rest = (rest + piece).split(b"\n\n")
                for data in events:
                    if data != b"data: [DONE]":
                        length += len(json.loads(data[6:])["choices"][0]["delta"]["content"])
        assert length == 100_000

    for name, size, target in (("4 KiB pieces", 4096, 0.9), ("one event a piece", len(event), 0.75)):
        pieces = Pieces(cut(body, size))
        answer = partial(httpx.Response, 200, headers=EVENT_STREAM, stream=pieces)
        http = httpx.Client(transport=httpx.MockTransport(lambda _, answer=answer: answer()))
        contestants = partial(ours, Millis("key", http_client=http)), partial(theirs, http)
        yield compare(f"bytes to text: {name}, over a bare loop", *contestants, rounds, at_least=target)


def call(rounds: int) -> Iterator[Row]:
    """Processor time of one call of 20 events, over the same by hand with httpx, httpx-sse and json."""
    question = {"agent": {"agent_id": "-O"}, "messages": [{"role": "user", "content": "Hello"}]}

    def ours(millis: Millis) -> None:
        for _ in range(100):
            assert len(millis.chat.send("Hello", agent_id="-O").text) == PIECES * 6

    def by_hand(http: httpx.Client) -> None:
        for _ in range(100):
            text = ""
            with httpx_sse.connect_sse(http, "POST", "/chat/completions", json=question) as source:
                source.response.raise_for_status()
                for event in source.iter_sse():
                    if event.data != "[DONE]":
                        text += json.loads(event.data)["choices"][0]["delta"].get("content") or ""
            assert len(text) == PIECES * 6

    with server() as url:
        millis = Millis("key", base_url=url, timeout=60)
        http = httpx.Client(base_url=url, headers={"authorization": "key"}, timeout=60)
        with millis, http:
            contestants = partial(by_hand, http), partial(ours, millis)
            yield compare("call: cost of 20 events, over the same by hand", *contestants, rounds, at_most=1.5)


def path(_: int) -> Iterator[Row]:
    """Calls of our own functions, and their files, in one warm chat.stream of three events."""
    calls = own_calls()
    for name, count, at_most in (
        ("calls of our own functions", len(calls), 115),
        ("files", len({file for file, _ in calls}), 14),
    ):
        yield Row(f"path: {name} in one chat.stream of three events", [count, count], at_most=at_most)


def own_calls() -> list[tuple[str, str]]:
    """Return the file and name of each of our functions that one warm chat.stream with three events calls.

    Comprehensions do not count, because they are calls on Python 3.11 only.
    """
    events = [b'data: {"choices":[{"delta":{"content":"word "}}]}\n\n'] * 3 + [b"data: [DONE]\n\n"]
    package = str(Path(millis_wrapper.__file__).parent)
    calls: list[tuple[str, str]] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(package) and not code.co_name.startswith("<"):
            calls.append((code.co_filename.removeprefix(package), code.co_qualname))

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=EVENT_STREAM, stream=Pieces(events))

    http = httpx.Client(transport=httpx.MockTransport(answer))
    with http, Millis("key", http_client=http) as millis:
        for profile in (None, note):  # the first round warms up
            sys.setprofile(profile)
            with millis.chat.stream("Hello", agent_id="-O") as stream:
                assert len(list(stream.text_stream)) == 3
            sys.setprofile(None)
    return calls


def imports(rounds: int) -> Iterator[Row]:
    """What start-up costs in a fresh process, as a part of `import httpx`."""
    codes = (
        "pass",
        "import httpx",
        "import millis_wrapper",
        "from millis_wrapper import Millis; Millis('key')",
    )
    fresh = [partial(subprocess.run, [sys.executable, "-c", code], check=True) for code in codes]
    times = take_turns(rounds, *fresh, clock=time.perf_counter)
    for index, name, at_most in ((2, "import millis_wrapper", 0.15), (3, "a ready Millis(...)", 1.6)):
        # The interpreter's own start is not part of the comparison.
        parts = [(took[index] - took[0]) / (took[1] - took[0]) for took in times]
        yield Row(f"imports: {name}, as a part of import httpx", parts, at_most=at_most)


PIECES = 20
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


async def serve() -> None:
    """Serve streams of 20 pieces, as cheaply as can be, so that it is the clients that are measured."""
    data = b'data: {"choices":[{"delta":{"content":"Hello "}}]}\n\n'
    piece = b"%x\r\n%s\r\n" % (len(data), data)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        await reader.readexactly(int(line.partition(b":")[2]))
                writer.write(STREAM_HEAD)
                for _ in range(PIECES):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=4096)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await server.serve_forever()


@contextmanager
def server() -> Generator[str]:
    """Run `serve` in a process of its own, and yield its address."""
    code = "import asyncio; from scripts._bench import serve; asyncio.run(serve())"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def bare_httpx(connections: int = 1000) -> httpx.AsyncClient:
    """Return a client with the limits of the one that ours makes, for so many connections."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=100)
    return httpx.AsyncClient(limits=limits, timeout=60)


def streams(rounds: int) -> Iterator[Row]:
    """Processor time of many async streams at once, on loopback, beside bare httpx and bare aiohttp."""

    async def ours(url: str, count: int, engine: Literal["aiohttp"] | None = None) -> None:
        # Not the pool of 1,000: httpx's takes seconds where calls wait for a connection, its own and ours.
        http_client = engine or (bare_httpx(count) if count > 1000 else None)
        async with AsyncMillis("key", base_url=url, http_client=http_client, timeout=60) as millis:

            async def one() -> None:
                reply = await millis.chat.send("Hello", agent_id="-O")
                assert (reply.ended, len(reply.text)) == ("done", PIECES * 6)

            await asyncio.gather(*(one() for _ in range(count)))

    # Bare clients throw the bytes away.
    async def by_httpx(url: str, count: int) -> None:
        async with bare_httpx(count) as http:

            async def one() -> None:
                async with http.stream("POST", f"{url}/chat/completions", content=b"{}") as response:
                    async for _ in response.aiter_bytes():
                        pass

            await asyncio.gather(*(one() for _ in range(count)))

    async def by_aiohttp(url: str, count: int) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1000)) as session:

            async def one() -> None:
                async with session.post(f"{url}/chat/completions", data=b"{}") as response:
                    async for _ in response.content.iter_any():
                        pass

            await asyncio.gather(*(one() for _ in range(count)))

    def run(read: Callable[..., Any], count: int = 1000, times: int = 1) -> Run:
        return lambda: [asyncio.run(read(url, count)) for _ in range(times)]

    on_aiohttp = partial(ours, engine="aiohttp")
    few = max(3, rounds // 3)  # of 4,000 streams one round takes half a minute
    with server() as url:
        name = "streams: 1,000 at once"
        yield compare(f"{name}, over bare httpx", run(ours), run(by_httpx), rounds, at_least=0.85)
        name += " on aiohttp, over bare"
        yield compare(f"{name} httpx", run(on_aiohttp), run(by_httpx), rounds, at_least=2.4)
        yield compare(f"{name} aiohttp", run(on_aiohttp), run(by_aiohttp), rounds, at_least=0.4)
        name = "streams: cost of each of 4,000 at once on aiohttp, over 100"
        yield compare(name, run(on_aiohttp, 100, 40), run(on_aiohttp, 4000), few, at_most=1.5)
        name = "streams: cost of 4,000 at once, over bare httpx"
        yield compare(name, run(by_httpx, 4000), run(ours, 4000), few, at_most=1.1)


async def first_pieces(pieces: Callable[[], AsyncIterator[object]]) -> list[float]:
    """Return the percentiles of the seconds to the first piece of 2,000 replies, while 1,000 run."""
    waits: list[float] = []

    async def three() -> None:
        for number in range(3):
            began, first = time.perf_counter(), True
            async for _ in pieces():
                if first and number:  # the first replies begin all at once
                    waits.append(time.perf_counter() - began)
                first = False

    await asyncio.gather(*(three() for _ in range(1000)))
    return statistics.quantiles(waits, n=100)


def latency(rounds: int) -> Iterator[Row]:
    """The wait for a stream's first text while 1,000 run on aiohttp, beside bare httpx's first bytes."""

    async def ours(url: str) -> list[float]:
        async with AsyncMillis("key", base_url=url, http_client="aiohttp", timeout=60) as millis:
            return await first_pieces(lambda: millis.chat.stream("Hello", agent_id="-O").text_stream)

    async def theirs(url: str) -> list[float]:
        async with bare_httpx() as http:

            async def pieces() -> AsyncIterator[bytes]:
                async with http.stream("POST", f"{url}/chat/completions", content=b"{}") as response:
                    async for piece in response.aiter_bytes():
                        yield piece

            return await first_pieces(pieces)

    with server() as url:
        waits = [(asyncio.run(ours(url)), asyncio.run(theirs(url))) for _ in range(max(3, rounds // 3))]
    for percent in (50, 99):
        ratios = [theirs[percent - 1] / ours[percent - 1] for ours, theirs in waits]
        yield Row(f"latency: first text, p{percent}, on aiohttp, over bare httpx", ratios, at_least=1)


def turns(rounds: int) -> Iterator[Row]:
    """What a turn of a long conversation costs before it is sent, as a part of json.dumps of its body."""

    def turn(talk: Conversation) -> None:
        for _ in range(100):
            talk.stream("Hello").close()

    def dumps(body: dict[str, Any]) -> None:
        for _ in range(100):
            json.dumps(body)

    for count in (100, 1600):
        content = "A sentence of fifty letters, number "
        messages = [
            {"role": ("user", "assistant")[number % 2], "content": f"{content}{number}."}
            for number in range(count)
        ]
        talk = Millis("key").chat.conversation(agent_id="-O")
        talk.load(messages)
        body = {"agent": {"agent_id": "-O"}, "messages": [*messages, {"role": "user", "content": "Hello"}]}
        contestants = partial(dumps, body), partial(turn, talk)
        yield compare(
            f"turns: cost at {count:,} messages, over json.dumps", *contestants, rounds, at_most=1.5
        )


def config(rounds: int) -> Iterator[Row]:
    """How the time of check_config grows when a config does: ten times the keys, twice the depth."""

    def unknown_keys(count: int) -> Run:
        return partial(check_config, {f"unknown_key_{number}": number for number in range(count)}, "override")

    def nested(depth: int) -> Run:
        settings: dict[str, Any] = {}
        for _ in range(depth):
            settings = {"inner": settings, "values": [1, 2, 3]}
        voice = {"provider": "openai", "voice_id": "alloy", "settings": settings}
        return partial(check_config, {"voice": voice}, "override")

    many = unknown_keys(10_000)
    name = "config: growth, 10,000 unknown keys, over 1,000"
    yield compare(name, unknown_keys(1000), many, rounds, at_most=12)
    yield compare(
        "config: growth, nested 80 levels deep, over 40", nested(40), nested(80), rounds, at_most=2.5
    )
    seconds = [took for (took,) in take_turns(rounds, many)]
    yield Row("config: seconds for 10,000 unknown keys", seconds, at_most=1)


def memory(_: int) -> Iterator[Row]:
    """MiB by which a fresh process grows between the 1st and the 200th megabyte of a stream."""
    code = """
import resource
from collections import deque
from millis_wrapper.sse import decode

chunk = b'data: {"choices":[{"delta":{"content":"Hello, this is a word or two."}}]}\\n\\n' * 50
peaks = []
for megabytes in (1, 200):
    deque(decode(chunk for _ in range(megabytes * 1_000_000 // len(chunk))), maxlen=0)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(peaks[1] - peaks[0])
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    grown = int(done.stdout) / (2**20 if sys.platform == "darwin" else 2**10)
    yield Row("memory: growth over a stream of 200 MB, in MiB", [grown, grown], at_most=1)


GROUPS = {
    group.__name__: group
    for group in (sse, text, call, path, imports, streams, latency, turns, config, memory)
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 when a target is missed."""
    lines = "\n".join(f"  {name:<14}{group.__doc__}" for name, group in GROUPS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=f"Ratios with their quartiles; above 1 means faster.\n\ngroups:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    groups = (*GROUPS, "all")
    parser.add_argument(
        "groups",
        nargs="*",
        choices=groups,
        default="all",
        metavar="GROUP",
        help="what to measure (default: all)",
    )
    parser.add_argument("--rounds", type=int, default=15, help="how often each takes its turn (default: 15)")
    given: Any = parser.parse_args(arguments)
    missed = False
    for name in GROUPS if "all" in given.groups else given.groups:
        for row in GROUPS[name](given.rounds):
            print(row, flush=True)
            missed = missed or row.is_missed
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
