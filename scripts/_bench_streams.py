"""The benchmarks of `scripts/bench` that send real requests, to a server on loopback."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import aiohttp
import httpx
import httpx_sse

from millis_wrapper import AsyncMillis, Millis

from ._bench_rows import Row, Run, compare

EVENTS = 20
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


async def serve() -> None:
    """Serve streams of 20 events, at the lowest cost, so that the clients dominate the figures."""
    data = b'data: {"choices":[{"delta":{"content":"Hello "}}]}\n\n'
    chunk = b"%x\r\n%s\r\n" % (len(data), data)

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        await reader.readexactly(int(line.partition(b":")[2]))
                writer.write(STREAM_HEAD)
                for _ in range(EVENTS):
                    writer.write(chunk)
                    await writer.drain()
                    await asyncio.sleep(0)
                writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0, backlog=4096)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await server.serve_forever()


@contextmanager
def server() -> Generator[str]:
    """Run `serve` in its own process, and yield its URL."""
    code = "import asyncio; from scripts._bench_streams import serve; asyncio.run(serve())"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def bare_httpx(connections: int = 1000) -> httpx.AsyncClient:
    """Return a bare client with the connection limits that our client uses."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=100)
    return httpx.AsyncClient(limits=limits, timeout=60)


def streams(rounds: int) -> Iterator[Row]:
    """Processor time of many concurrent async streams, compared with bare httpx and bare aiohttp."""

    async def ours(url: str, count: int, engine: Literal["aiohttp"] | None = None) -> None:
        # The usual pool of 1,000 takes seconds where calls wait for a connection, with bare httpx, too.
        http_client = engine or (bare_httpx(count) if count > 1000 else None)
        async with AsyncMillis("key", base_url=url, http_client=http_client, timeout=60) as millis:

            async def one() -> None:
                reply = await millis.chat.send("Hello", agent_id="-O")
                assert (reply.ended, len(reply.text)) == ("done", EVENTS * 6)

            await asyncio.gather(*(one() for _ in range(count)))

    # The bare clients discard the bytes.
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
    few = max(3, rounds // 3)  # one round of 4,000 streams takes half a minute
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


async def first_chunks(chunks: Callable[[], AsyncIterator[object]]) -> list[float]:
    """Return the percentiles of the seconds to the first chunk of 2,000 replies, while 1,000 run."""
    waits: list[float] = []

    async def three() -> None:
        for number in range(3):
            start, first = time.perf_counter(), True
            async for _ in chunks():
                if first and number:  # the first replies all start at once
                    waits.append(time.perf_counter() - start)
                first = False

    await asyncio.gather(*(three() for _ in range(1000)))
    return statistics.quantiles(waits, n=100)


def latency(rounds: int) -> Iterator[Row]:
    """Wait for the first text while 1,000 streams run on aiohttp, compared with bare httpx's first bytes."""

    async def ours(url: str) -> list[float]:
        async with AsyncMillis("key", base_url=url, http_client="aiohttp", timeout=60) as millis:
            return await first_chunks(lambda: millis.chat.stream("Hello", agent_id="-O").text_stream)

    async def theirs(url: str) -> list[float]:
        async with bare_httpx() as http:

            async def chunks() -> AsyncIterator[bytes]:
                async with http.stream("POST", f"{url}/chat/completions", content=b"{}") as response:
                    async for chunk in response.aiter_bytes():
                        yield chunk

            return await first_chunks(chunks)

    with server() as url:
        waits = [(asyncio.run(ours(url)), asyncio.run(theirs(url))) for _ in range(max(3, rounds // 3))]
    for percent in (50, 99):
        ratios = [theirs[percent - 1] / ours[percent - 1] for ours, theirs in waits]
        yield Row(f"latency: first text, p{percent}, on aiohttp, over bare httpx", ratios, at_least=1)


def call(rounds: int) -> Iterator[Row]:
    """Processor time of one call of 20 events, over the same by hand with httpx, httpx-sse and json."""
    question = {"agent": {"agent_id": "-O"}, "messages": [{"role": "user", "content": "Hello"}]}

    def ours(millis: Millis) -> None:
        for _ in range(100):
            assert len(millis.chat.send("Hello", agent_id="-O").text) == EVENTS * 6

    def by_hand(http: httpx.Client) -> None:
        for _ in range(100):
            text = ""
            with httpx_sse.connect_sse(http, "POST", "/chat/completions", json=question) as source:
                source.response.raise_for_status()
                for event in source.iter_sse():
                    if event.data != "[DONE]":
                        text += json.loads(event.data)["choices"][0]["delta"].get("content") or ""
            assert len(text) == EVENTS * 6

    with server() as url:
        millis = Millis("key", base_url=url, timeout=60)
        http = httpx.Client(base_url=url, headers={"authorization": "key"}, timeout=60)
        with millis, http:
            contestants = partial(by_hand, http), partial(ours, millis)
            yield compare("call: cost of 20 events, over the same by hand", *contestants, rounds, at_most=1.5)
