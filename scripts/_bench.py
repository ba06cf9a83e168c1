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
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, NamedTuple

import aiohttp
import httpx
import httpx_sse

from millis_wrapper import AsyncMillis, Conversation, Millis
from millis_wrapper.config import check_config
from millis_wrapper.sse import decode


class Row(NamedTuple):
    """One measured ratio: the median of the rounds and their quartiles."""

    name: str
    median: float
    low: float
    high: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_missed(self) -> bool:
        """Whether it misses its target."""
        return (self.at_least is not None and self.median < self.at_least) or (
            self.at_most is not None and self.median > self.at_most
        )

    def __str__(self) -> str:
        words = ""
        for sign, target in ((">=", self.at_least), ("<=", self.at_most)):
            if target is not None:
                words = f"  target {sign} {target:g}: {'MISSED' if self.is_missed else 'met'}"
        return f"{self.name:<72} {self.median:7.2f} ({self.low:.2f} to {self.high:.2f}){words}"


def row(name: str, ratios: Sequence[float], **target: float) -> Row:
    """Return the row for the ratios of all rounds."""
    low, median, high = statistics.quantiles(ratios, n=4)
    return Row(name, median, low, high, **target)


def take_turns(
    contestants: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Return the seconds of each contestant in each round, after one round to warm up."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, run in contestants.items():
            gc.collect()  # what one left behind is not the next one's to clear away
            began = clock()
            run()
            if number:
                times[name].append(clock() - began)
    return times


def compare(
    name: str, ours: Callable[[], object], theirs: Callable[[], object], rounds: int, **target: float
) -> Row:
    """Return how many times as fast `ours` is as `theirs`."""
    times = take_turns({"ours": ours, "theirs": theirs}, rounds)
    return row(name, [b / a for a, b in zip(times["ours"], times["theirs"], strict=True)], **target)


def cut(stream: bytes, size: int) -> list[bytes]:
    """Return `stream` in pieces of `size` bytes."""
    return [stream[start : start + size] for start in range(0, len(stream), size)]


def sse(rounds: int) -> Iterator[Row]:
    """The SSE decoder beside httpx-sse 0.4.3, which gets the text and none of httpx's layers."""
    small = b'data: {"choices":[{"delta":{"content":"Hello"}}]}\n\n'
    typed = b"event: delta\n" + small
    large = b'data: {"text":"' + b"a" * 2**20 + b'"}\n\n'
    lines = b"".join(b"data: line %d\n" % number for number in range(100_000)) + b"\n"
    loads: list[tuple[str, list[bytes], dict[str, float]]] = [
        ("small events, 4 KiB chunks", cut(small * 10_000, 4096), {"at_least": 3.5}),
        ("small events, one a chunk", [small] * 10_000, {"at_least": 2.3}),
        ("1 MiB events, one a chunk", [large] * 10, {"at_least": 1.5}),
        ("1 MiB events, 4 KiB chunks", cut(large * 10, 4096), {}),
        ("events with a type, 4 KiB chunks", cut(typed * 10_000, 4096), {"at_least": 1.2}),
        ("CRLF, 4 KiB chunks", cut(small.replace(b"\n", b"\r\n") * 10_000, 4096), {}),
        ("an event of 100,000 lines", cut(lines, 4096), {}),
    ]
    for name, chunks, target in loads:

        def ours(chunks: list[bytes] = chunks) -> object:
            return deque(decode(chunks), maxlen=0)

        def theirs(chunks: list[bytes] = chunks) -> object:
            return deque(httpx_sse.EventSource(TextOnly(chunks)).iter_sse(), maxlen=0)

        yield compare(f"sse: {name}, over httpx-sse", ours, theirs, rounds, **target)


class TextOnly(httpx.Response):
    """A response that does nothing but decode its chunks."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        super().__init__(200, headers={"content-type": "text/event-stream"})
        self._chunks = chunks

    def iter_text(self, chunk_size: int | None = None) -> Iterator[str]:
        """Yield the text of each chunk."""
        text_of = codecs.getincrementaldecoder("utf-8")("replace").decode
        yield from filter(None, map(text_of, self._chunks))


class Pieces(httpx.SyncByteStream):
    """A body in pieces, without a network."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)


def text(rounds: int) -> Iterator[Row]:
    """From bytes to text, beside a bare loop of split, json.loads and two look-ups."""
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    event = (
        "data: " + json.dumps({**chunk, "choices": [{"index": 0, "delta": {"content": "word "}}]}) + "\n\n"
    )
    body = (event * 20_000 + "data: [DONE]\n\n").encode()
    for name, size, target in (("4 KiB pieces", 4096, 0.9), ("one event a piece", len(event), 0.75)):
        pieces = Pieces(cut(body, size))
        answer = partial(httpx.Response, 200, headers={"content-type": "text/event-stream"}, stream=pieces)
        http = httpx.Client(transport=httpx.MockTransport(lambda _, answer=answer: answer()))
        millis = Millis("key", http_client=http)

        def ours(millis: Millis = millis) -> None:
            with millis.chat.stream("Hello", agent_id="-O") as stream:
                assert sum(map(len, stream.text_stream)) == 100_000

        def theirs(http: httpx.Client = http) -> None:
            length, rest = 0, b""
            with http.stream("POST", "https://service/") as response:
                for piece in response.iter_raw():
                    *events, rest = (rest + piece).split(b"\n\n")
                    for data in events:
                        if data != b"data: [DONE]":
                            length += len(json.loads(data[6:])["choices"][0]["delta"]["content"])
            assert length == 100_000

        yield compare(f"bytes to text: {name}, over a bare loop", ours, theirs, rounds, at_least=target)


def imports(rounds: int) -> Iterator[Row]:
    """What start-up costs in a fresh process, as a part of `import httpx`."""
    codes = {
        "nothing": "pass",
        "httpx": "import httpx",
        "import millis_wrapper": "import millis_wrapper",
        "a ready Millis(...)": "from millis_wrapper import Millis; Millis('key')",
    }
    fresh = {
        name: partial(subprocess.run, [sys.executable, "-c", code], check=True)
        for name, code in codes.items()
    }
    times = take_turns(fresh, rounds, time.perf_counter)
    for name, target in (("import millis_wrapper", 0.15), ("a ready Millis(...)", 1.6)):
        # The interpreter's own start is not part of the comparison.
        parts = [
            (took - nothing) / (httpx_took - nothing)
            for took, httpx_took, nothing in zip(times[name], times["httpx"], times["nothing"], strict=True)
        ]
        yield row(f"imports: {name}, as a part of import httpx", parts, at_most=target)


PIECES = 20
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


async def serve() -> None:
    """Serve streams of 20 pieces, as cheaply as can be, so that it is the clients that are measured."""

    def chunk(data: bytes) -> bytes:
        return b"%x\r\n%s\r\n" % (len(data), data)

    piece = chunk(b'data: {"choices":[{"delta":{"content":"Hello "}}]}\n\n')

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
                writer.write(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
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


async def at_once(count: int, one: Callable[[], Awaitable[None]]) -> None:
    """Await `one` so many times at once."""
    await asyncio.gather(*(one() for _ in range(count)))


def bare_httpx(connections: int = 1000) -> httpx.AsyncClient:
    """Return a client with the limits of the one that ours makes, for so many connections."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=100)
    return httpx.AsyncClient(limits=limits, timeout=60)


async def our_streams(url: str, count: int, engine: Literal["aiohttp"] | None = None) -> None:
    """Read so many replies at once with this client."""
    # Not the pool of 1,000: httpx's takes seconds where calls wait for a connection, its own and ours alike.
    http_client = engine or (bare_httpx(count) if count > 1000 else None)
    async with AsyncMillis("key", base_url=url, http_client=http_client, timeout=60) as millis:

        async def one() -> None:
            reply = await millis.chat.send("Hello", agent_id="-O")
            assert (reply.ended, len(reply.text)) == ("done", PIECES * 6)

        await at_once(count, one)


async def httpx_streams(url: str, count: int) -> None:
    """Read so many replies at once with bare httpx, which throws the bytes away."""
    async with bare_httpx(count) as http:

        async def one() -> None:
            async with http.stream("POST", f"{url}/chat/completions", content=b"{}") as response:
                async for _ in response.aiter_bytes():
                    pass

        await at_once(count, one)


async def aiohttp_streams(url: str, count: int) -> None:
    """Read so many replies at once with bare aiohttp, which throws the bytes away."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1000)) as session:

        async def one() -> None:
            async with session.post(f"{url}/chat/completions", data=b"{}") as response:
                async for _ in response.content.iter_any():
                    pass

        await at_once(count, one)


def streams(rounds: int) -> Iterator[Row]:
    """Processor time of many async streams at once, on loopback, beside bare httpx and bare aiohttp."""
    with server() as url:

        def run(streams: Callable[..., Coroutine[Any, Any, None]], count: int = 1000, times: int = 1) -> None:
            for _ in range(times):
                asyncio.run(streams(url, count))

        on_aiohttp = partial(our_streams, engine="aiohttp")
        ours, theirs = partial(run, our_streams), partial(run, httpx_streams)
        yield compare("streams: 1,000 at once, over bare httpx", ours, theirs, rounds, at_least=0.92)
        for name, bare, at_least in (("httpx", httpx_streams, 2.8), ("aiohttp", aiohttp_streams, 0.4)):
            ours, theirs = partial(run, on_aiohttp), partial(run, bare)
            name = f"streams: 1,000 at once on aiohttp, over bare {name}"
            yield compare(name, ours, theirs, rounds, at_least=at_least)
        few = max(3, rounds // 3)  # of 4,000 streams one round takes half a minute
        hundreds, thousands = partial(run, on_aiohttp, 100, 40), partial(run, on_aiohttp, 4000)
        name = "streams: cost of each of 4,000 at once on aiohttp, over 100"
        yield compare(name, hundreds, thousands, few, at_most=1.5)
        theirs, ours = partial(run, httpx_streams, 4000), partial(run, our_streams, 4000)
        yield compare("streams: cost of 4,000 at once, over bare httpx", theirs, ours, few, at_most=1.1)


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

    await at_once(1000, three)
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
        yield row(f"latency: first text, p{percent}, on aiohttp, over bare httpx", ratios, at_least=1)


def turns(rounds: int) -> Iterator[Row]:
    """What a turn of a long conversation costs before it is sent, as a part of json.dumps of its body."""
    for count in (100, 1600):
        messages = [
            {
                "role": ("user", "assistant")[number % 2],
                "content": f"A sentence of fifty letters, number {number}.",
            }
            for number in range(count)
        ]
        talk = Millis("key").chat.conversation(agent_id="-O")
        talk.load(messages)
        body = {"agent": {"agent_id": "-O"}, "messages": [*messages, {"role": "user", "content": "Hello"}]}

        def turn(talk: Conversation = talk) -> None:
            for _ in range(100):
                talk.stream("Hello").close()

        def dumps(body: dict[str, Any] = body) -> None:
            for _ in range(100):
                json.dumps(body)

        yield compare(f"turns: cost at {count:,} messages, over json.dumps", dumps, turn, rounds, at_most=1.5)


def config(rounds: int) -> Iterator[Row]:
    """How the time of check_config grows when a config does: ten times the keys, twice the depth."""

    def unknown_keys(count: int) -> dict[str, Any]:
        return {f"unknown_key_{number}": number for number in range(count)}

    def nested(depth: int) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        for _ in range(depth):
            settings = {"inner": settings, "values": [1, 2, 3]}
        return {"voice": {"provider": "openai", "voice_id": "alloy", "settings": settings}}

    for name, small, large, at_most in (
        ("10,000 unknown keys, over 1,000", unknown_keys(1000), unknown_keys(10_000), 12),
        ("nested 80 levels deep, over 40", nested(40), nested(80), 2.5),
    ):
        ours, theirs = partial(check_config, small, "override"), partial(check_config, large, "override")
        yield compare(f"config: growth, {name}", ours, theirs, rounds, at_most=at_most)
    times = take_turns({"check": partial(check_config, unknown_keys(10_000), "override")}, rounds)
    yield row("config: seconds for 10,000 unknown keys", times["check"], at_most=1)


def decode_megabytes(megabytes: int) -> None:
    """Decode a stream of so many megabytes."""
    chunk = b'data: {"choices":[{"delta":{"content":"Hello, this is a word or two."}}]}\n\n' * 50
    deque(decode(chunk for _ in range(megabytes * 1_000_000 // len(chunk))), maxlen=0)


def memory(rounds: int) -> Iterator[Row]:
    """MiB by which a fresh process grows between the 1st and the 200th megabyte of a stream."""
    del rounds
    code = (
        "import resource; from scripts._bench import decode_megabytes\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "decode_megabytes(1); before = peak(); decode_megabytes(200); print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    grown = int(done.stdout) / (2**20 if sys.platform == "darwin" else 2**10)
    yield Row("memory: growth over a stream of 200 MB, in MiB", grown, grown, grown, at_most=1)


GROUPS: dict[str, Callable[[int], Iterator[Row]]] = {
    "sse": sse,
    "text": text,
    "imports": imports,
    "streams": streams,
    "latency": latency,
    "turns": turns,
    "config": config,
    "memory": memory,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 when a target is missed."""
    lines = "\n".join(f"  {name:<14}{group.__doc__}" for name, group in GROUPS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=f"Ratios with their quartiles; above 1 means faster.\n\ngroups:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("groups", nargs="*", metavar="GROUP", help="what to measure (default: all)")
    parser.add_argument("--rounds", type=int, default=15, help="how often each takes its turn (default: 15)")
    given: Any = parser.parse_args(arguments)
    if unknown := set(given.groups) - GROUPS.keys():
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    missed = False
    for name in given.groups or GROUPS:
        for measured in GROUPS[name](given.rounds):
            print(measured, flush=True)
            missed = missed or measured.is_missed
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
