"""Canceled calls release their connections and their slots in the pool (promise 8 of the design)."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from clients import ENGINES, IN_A_LOOP, KEY, Clients, Engine, call, in_thread, until
from leaks import with_locals
from loopback import DONE, Loopback, Peer, Step, Steps, linger, reply, text_event, until_disconnect
from loopback import STREAM as HEAD

from millis_wrapper import APIConnectionError, AsyncMillis
from millis_wrapper._async.response import Pool

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in /proc"),
]


TOKEN = "secret-token-of-a-gateway"


def sockets() -> int:
    """Return the number of open sockets of this process."""
    gc.collect()
    links: list[str] = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the descriptor of the directory itself
            links.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return sum(link.startswith("socket:") for link in links)


def was_asked(server: Loopback, times: int) -> bool:
    return len(server.requests) > times


@ENGINES
async def test_a_call_that_is_canceled_twice_releases_its_connection(engine: Engine) -> None:
    """The second cancellation arrives while the first one is closing the connection."""
    stalled: list[Steps] = [[HEAD + text_event("Hel"), until_disconnect]] * 10
    with Loopback(*stalled, reply("again")) as server:
        async with AsyncMillis(KEY, base_url=server.url, http_client=engine) as millis:
            before = sockets()
            for number in range(10):
                task = asyncio.create_task(millis.chat.send("Hi", agent_id="-Oabc"))
                await until(partial(was_asked, server, number))
                task.cancel()
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            # The server's sockets also count, until the server notices that the client has closed its own.
            await until(lambda: sockets() <= before)
            assert (await millis.chat.send("Hi", agent_id="-Oabc")).text == "again"


@ENGINES
async def test_calls_that_are_canceled_at_any_moment_leave_no_socket_open(engine: Engine) -> None:
    """The moments include waiting for a connection, connecting, sending and reading."""
    moments = random.Random(5)
    clock = asyncio.get_running_loop().time
    with Loopback([HEAD + text_event("Hel"), linger(0.002), text_event("lo")]) as server:
        before = sockets()
        async with AsyncMillis(KEY, base_url=server.url, http_client=engine) as millis:

            async def first_text() -> None:
                async with millis.chat.stream("Hi", agent_id="-Oabc") as stream:
                    await anext(stream.text_stream)

            async def one(seconds: float) -> None:
                with suppress(TimeoutError, APIConnectionError):
                    async with asyncio.timeout(moments.uniform(0, seconds)):
                        await millis.chat.send("Hi", agent_id="-Oabc")

            await first_text()
            started = clock()
            await asyncio.gather(*(first_text() for _ in range(30)))
            longest = 2 * (clock() - started)  # longer than such calls take on this machine
            for _ in range(10):
                await asyncio.gather(*(one(longest) for _ in range(30)))
            # Idle connections that are kept for the next call do not count as leaks.
            kept = 2 * 100
            await until(lambda: sockets() <= before + kept)
        await until(lambda: sockets() <= before)
    assert len(server.requests) > 31


@ENGINES
async def test_a_call_that_is_canceled_while_it_connects_releases_its_slot(engine: Engine) -> None:
    """After a hundred canceled connection attempts, the client still works."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, Loopback(reply("again")) as server:
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        before = sockets()
        async with AsyncMillis(KEY, base_url=f"http://127.0.0.1:{address[1]}", http_client=engine) as millis:
            tasks = [asyncio.create_task(millis.chat.send("Hi", agent_id="-Oabc")) for _ in range(100)]
            await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await until(lambda: sockets() <= before)
            await until(lambda: not retired_pools(millis))
        for filler in fillers:
            filler.close()
        async with AsyncMillis(KEY, base_url=server.url, http_client=engine) as millis:
            assert (await millis.chat.send("Hi", agent_id="-Oabc")).text == "again"


def not_tls(peer: Peer) -> None:
    """Reply to the TLS handshake with data that is not TLS."""
    peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
    peer.wait_for_request()
    peer.send(b"this is not TLS\r\n\r\n")
    peer.close()


async def test_tls_failures_behind_a_proxy_leave_no_socket_open(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """httpcore keeps these connections, so the client replaces its pool."""
    with Loopback([not_tls]) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("https_proxy", proxy.url)
        millis = clients.client("https://millis.invalid", max_retries=0)
        before = sockets()
        for _ in range(10):
            with pytest.raises(APIConnectionError, match=proxy.address) as caught:
                await call(millis, "duplicate")
            assert not caught.value.maybe_processed
        await until(lambda: sockets() <= before)
    assert len(proxy.requests) == 10


def pools_of(millis: AsyncMillis) -> list[Pool]:
    """Return the open pools of a client."""
    by_loop = millis._transport._pools.values()  # pyright: ignore[reportPrivateUsage]
    return [pool for pools in by_loop for pool in pools if not pool.client.is_closed]


def retired_pools(millis: AsyncMillis) -> list[Pool]:
    return [pool for pool in pools_of(millis) if pool.is_retired]


def slots_in_use(millis: AsyncMillis) -> int:
    """Return the number of connections in the pools that are in use."""
    used = 0
    for pool in pools_of(millis):
        client: Any = pool.client  # Any, because the pools of httpx are private
        for transport in (client._transport, *filter(None, client._mounts.values())):
            used += sum(not (one.is_idle() or one.is_closed()) for one in transport._pool.connections)
    return used


async def test_a_tls_failure_behind_a_proxy_releases_its_slot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """httpcore never releases the slot, so the client does not use that pool again."""
    with Loopback([not_tls]) as proxy:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        async with AsyncMillis(KEY, base_url="https://millis.invalid", max_retries=0) as millis:
            for _ in range(5):
                with pytest.raises(APIConnectionError):
                    await millis.agents.duplicate("-Oabc")
            await until(lambda: slots_in_use(millis) == 0)


# A third cancellation interrupts the closing of a connection, which Python then closes with a warning.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize("longest", [0.002, 0.02])
async def test_a_canceled_call_releases_its_slot_of_the_pool(longest: float) -> None:
    """After cancellations while waiting, connecting, sending and reading, all slots are free."""
    moments = random.Random(7)
    with Loopback([HEAD + text_event("Hel"), linger(0.002), text_event("lo")]) as server:
        async with AsyncMillis(KEY, base_url=server.url) as millis:

            async def one() -> None:
                task = asyncio.create_task(millis.chat.send("Hi", agent_id="-Oabc"))
                await asyncio.sleep(moments.uniform(0, longest))
                for _ in range(moments.randint(1, 3)):
                    task.cancel()
                    await asyncio.sleep(0)
                with suppress(asyncio.CancelledError, APIConnectionError):
                    await task

            for _ in range(10):
                await asyncio.gather(*(one() for _ in range(30)))
            await until(lambda: slots_in_use(millis) == 0)
            await until(lambda: not retired_pools(millis))


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("when", ["before the headers", "in the body", "after the mark"])
async def test_canceling_a_read_releases_its_connection(when: str) -> None:
    """A pool with a single connection can serve the next request."""
    begun = {
        "before the headers": b"",
        "in the body": HEAD + text_event("Hel"),
        "after the mark": HEAD + text_event("Hel") + DONE,
    }
    with Loopback([begun[when], until_disconnect], reply("again")) as server:
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=1)) as theirs:
            millis = AsyncMillis(KEY, base_url=server.url, http_client=theirs, timeout=2)
            stream = millis.chat.stream("Hi", agent_id="-Oabc")
            signs: dict[str, Callable[[], object]] = {
                "before the headers": server.request_arrived.is_set,
                "in the body": lambda: stream.reply.text,
                "after the mark": lambda: stream.reply.ended,
            }
            async with anyio.create_task_group() as group:
                group.start_soon(stream.until_done)
                await until(signs[when])
                group.cancel_scope.cancel()
            assert (await millis.chat.send("Hi", agent_id="-Oabc")).text == "again"
            assert await in_thread(server.disconnected.wait)
    assert len(server.requests) == 2


async def test_a_canceled_block_waits_until_the_transport_has_closed_the_body() -> None:
    """The cancellation does not interrupt the closing."""
    closed: list[bool] = []

    class Body(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"data: Hel\n\n"
            await anyio.sleep_forever()

        async def aclose(self) -> None:
            await anyio.lowlevel.checkpoint()
            closed.append(True)

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Body())

    async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as client:
        millis = AsyncMillis(KEY, base_url="https://millis.invalid", http_client=client)
        with anyio.CancelScope() as scope:
            async with millis.chat.stream("Hi", agent_id="-Oabc"):
                scope.cancel()
                await anyio.sleep_forever()
    assert closed == [True]


@IN_A_LOOP
@pytest.mark.parametrize("moment", ["head", "body"])
async def test_no_frame_of_a_canceled_call_contains_a_secret(clients: Clients, moment: str) -> None:
    """A crash reporter that shows the locals of a canceled call does not reveal the key or extra headers."""
    steps: list[Step] = (
        [until_disconnect] if moment == "head" else [HEAD + text_event("one"), until_disconnect]
    )
    with Loopback(steps) as server:
        client = clients.client(server.url, headers={"x-gateway-token": TOKEN})
        task = asyncio.ensure_future(call(client, "chat"))
        await anyio.to_thread.run_sync(server.request_arrived.wait, 5)
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        with pytest.raises(asyncio.CancelledError) as caught:
            task.result()
        shown = with_locals(caught.value)
    assert KEY not in shown
    assert TOKEN not in shown
