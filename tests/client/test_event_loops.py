"""A client in several event loops, after one ended, and in a busy one. The sync client does not use any.

A connection belongs to the loop that opened it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from typing import Any

import anyio
import httpx
import pytest
from clients import ENGINES, IN_A_LOOP, KEY, OPERATIONS, Clients, Engine, call, in_thread
from loopback import DONE, END, STREAM, SUCCESS, Loopback, copied, linger, reply, text_event, until_disconnect

from millis_wrapper import APIConnectionError, AsyncMillis, Timeout

# Python closes the connections of an ended event loop or a deleted client, with a ResourceWarning.
pytestmark = [pytest.mark.filterwarnings("ignore::ResourceWarning"), pytest.mark.usefixtures("collected")]


@pytest.mark.parametrize(
    ("engine", "backends"), [(None, ["asyncio", "asyncio", "trio"]), ("aiohttp", ["asyncio"] * 3)]
)
def test_an_async_client_works_in_several_event_loops(engine: Engine, backends: list[str]) -> None:
    """The client opens separate connections for each event loop."""
    with Loopback(reply("Hello")) as server:
        millis = AsyncMillis(KEY, base_url=server.url, http_client=engine)

        async def talk() -> list[str]:
            return [(await millis.chat.send("Hi", agent_id="-Oabc")).text for _ in range(2)]

        texts = [anyio.run(talk, backend=backend) for backend in backends]
    assert texts == [["Hello", "Hello"]] * 3
    assert (server.connections, len(server.requests)) == (3, 6)


@OPERATIONS
def test_a_request_of_a_custom_client_in_a_second_event_loop_may_have_been_sent(
    operation: str,
) -> None:
    """The client can send the request on a connection of the ended loop, but cannot read the response."""
    with Loopback(SUCCESS[operation]) as server:
        millis = AsyncMillis(KEY, base_url=server.url, http_client=httpx.AsyncClient())

        async def use() -> None:
            await call(millis, operation)

        anyio.run(use)
        with pytest.raises(APIConnectionError, match="event loop") as caught:
            anyio.run(use)
        server.wait_for_requests(2)
    assert caught.value.maybe_processed
    assert len(server.requests) == 2


@ENGINES
def test_two_clients_in_one_event_loop_are_independent(engine: Engine) -> None:
    """Closing one client does not close the connection of the other."""

    async def use(server: Loopback) -> None:
        first, second = (AsyncMillis(KEY, base_url=server.url, http_client=engine) for _ in range(2))
        await call(first, "duplicate")
        await call(second, "duplicate")
        await first.aclose()
        await call(second, "duplicate")
        await second.aclose()

    with Loopback(copied()) as server:
        anyio.run(use, server)
    assert (server.connections, len(server.requests)) == (2, 3)


@ENGINES
def test_a_garbage_collected_client_closes_its_connections(engine: Engine) -> None:
    """Unclosed clients do not accumulate connections in a long-running event loop."""

    async def use(server: Loopback) -> None:
        await call(AsyncMillis(KEY, base_url=server.url, http_client=engine), "duplicate")
        gc.collect()
        assert await in_thread(server.disconnected.wait)

    with Loopback([*copied(), until_disconnect]) as server:
        anyio.run(use, server)


@pytest.mark.parametrize(("engine", "backend"), [(None, "asyncio"), (None, "trio"), ("aiohttp", "asyncio")])
def test_connections_of_ended_event_loops_are_closed(engine: Engine, backend: str) -> None:
    """A program with one client and one event loop per call does not accumulate connections."""
    with Loopback([*copied(), until_disconnect], copied()) as server:
        millis = AsyncMillis(KEY, base_url=server.url, http_client=engine)
        anyio.run(call, millis, "duplicate", backend=backend)
        anyio.run(call, millis, "duplicate", backend=backend)
        for _ in range(50):
            gc.collect()
            if server.disconnected.wait(0.1):
                break
        assert server.disconnected.is_set()
        assert server.connections == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_event_loops_that_ended_leave_no_log_line_behind(caplog: pytest.LogCaptureFixture) -> None:
    """A client that several `asyncio.run` calls share logs nothing if it is never closed."""
    caplog.set_level(logging.DEBUG)
    with Loopback(*[reply("Hello")] * 5) as server:
        engines: tuple[Engine, ...] = (None, "aiohttp")
        for engine in engines:
            client = AsyncMillis(KEY, base_url=server.url, http_client=engine)

            async def talk(client: AsyncMillis = client) -> None:
                await client.chat.send("Hi", agent_id="-Oabc")

            for _ in range(2):
                asyncio.run(talk())
            del client, talk
            gc.collect()
    assert [record.getMessage() for record in caplog.records if "nclosed" in record.getMessage()] == []


@pytest.mark.anyio
@IN_A_LOOP
async def test_a_busy_event_loop_does_not_turn_data_in_time_into_a_timeout(clients: Clients) -> None:
    """The data is in the socket when the loop continues, so the client reads it before a timeout counts."""
    with Loopback(
        [linger(0.1), STREAM + text_event("one "), linger(0.6), text_event("two") + DONE + END]
    ) as server:
        client = clients.client(server.url, timeout=0.4)

        async def block() -> None:
            for _ in range(2):
                await asyncio.sleep(0.02)
                time.sleep(0.5)  # noqa: ASYNC251  # the rule is about a loop that is blocked

        blocking = asyncio.ensure_future(block())
        stream = client.chat.stream("Hi", agent_id="-Oabc")
        async with stream:
            async for text in stream.text_stream:
                assert text == "one "
                break
        await blocking
    assert stream.reply.text == "one "


@pytest.mark.anyio
@IN_A_LOOP
async def test_a_busy_event_loop_does_not_turn_a_connection_in_time_into_a_timeout(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was made while the loop was blocked is used, or the client connects once more."""
    loop = asyncio.get_running_loop()
    connect, attempts = loop.sock_connect, 0

    async def connect_and_block(*arguments: Any) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            loop.call_soon(time.sleep, 0.5)
        await connect(*arguments)

    monkeypatch.setattr(loop, "sock_connect", connect_and_block)
    with Loopback(reply("Hello")) as server:
        client = clients.client(server.url, timeout=Timeout(connect=0.2), max_retries=0)
        assert (await client.chat.send("Hi", agent_id="-Oabc")).text == "Hello"


@pytest.mark.anyio
@IN_A_LOOP
@pytest.mark.parametrize("turns", range(3, 12))
async def test_a_pause_of_the_event_loop_at_any_step_of_a_request_is_not_a_timeout(
    clients: Clients, turns: int
) -> None:
    """A pause while the client connects or sends a request does not count as a wait for the response."""
    with Loopback(reply("Hello")) as server:
        client = clients.client(server.url, timeout=Timeout(connect=0.1, first_byte=0.1), max_retries=0)
        sending = asyncio.ensure_future(client.chat.send("Hi", agent_id="-Oabc"))
        for _ in range(turns):
            await asyncio.sleep(0)
        time.sleep(0.2)  # noqa: ASYNC251
        assert (await sending).text == "Hello"
