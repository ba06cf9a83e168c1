"""An async client and the event loops it is used in: connections belong to the loop that opened them."""

from __future__ import annotations

import gc

import anyio
import httpx
import pytest
from clients import ENGINES, KEY, OPERATIONS, Engine, call, in_thread
from loopback import FINE, Loopback, copied, reply, until_left

from millis_wrapper import APIConnectionError, AsyncMillis

# Nobody can close a connection when its event loop, or its client, is gone: Python does, and says so.
pytestmark = [pytest.mark.filterwarnings("ignore::ResourceWarning"), pytest.mark.usefixtures("collected")]


@pytest.mark.parametrize(
    ("engine", "backends"), [(None, ["asyncio", "asyncio", "trio"]), ("aiohttp", ["asyncio"] * 3)]
)
def test_an_async_client_works_in_one_event_loop_after_the_other(engine: Engine, backends: list[str]) -> None:
    """Each event loop gets connections of its own."""
    with Loopback(reply("Hello")) as server:
        millis = AsyncMillis(KEY, base_url=server.url, http_client=engine)

        async def talk() -> list[str]:
            return [(await millis.chat.send("Hi", agent_id="-Oabc")).text for _ in range(2)]

        texts = [anyio.run(talk, backend=backend) for backend in backends]
    assert texts == [["Hello", "Hello"]] * 3
    assert (server.connections, len(server.requests)) == (3, 6)


@OPERATIONS
def test_a_lent_async_client_in_a_second_event_loop_does_not_claim_that_nothing_was_sent(
    operation: str,
) -> None:
    """The idle connection of a loop that is gone carries a request out, and cannot bring the answer."""
    with Loopback(FINE[operation]) as server:
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
def test_two_clients_in_one_event_loop_have_nothing_in_common(engine: Engine) -> None:
    """Closing one leaves the other's connection open."""

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
def test_a_client_that_is_forgotten_takes_its_connections_with_it(engine: Engine) -> None:
    """In an event loop that lives for ever, clients that nobody closed do not pile up."""

    async def use(server: Loopback) -> None:
        await call(AsyncMillis(KEY, base_url=server.url, http_client=engine), "duplicate")
        gc.collect()
        assert await in_thread(server.left.wait)

    with Loopback([*copied(), until_left]) as server:
        anyio.run(use, server)


@pytest.mark.parametrize(("engine", "backend"), [(None, "asyncio"), (None, "trio"), ("aiohttp", "asyncio")])
def test_connections_of_event_loops_that_are_gone_do_not_pile_up(engine: Engine, backend: str) -> None:
    """One client for the program and one event loop for each call: the next clears the last away."""
    with Loopback([*copied(), until_left], copied()) as server:
        millis = AsyncMillis(KEY, base_url=server.url, http_client=engine)
        anyio.run(call, millis, "duplicate", backend=backend)
        anyio.run(call, millis, "duplicate", backend=backend)
        for _ in range(50):
            gc.collect()
            if server.left.wait(0.1):
                break
        assert server.left.is_set()
        assert server.connections == 2
