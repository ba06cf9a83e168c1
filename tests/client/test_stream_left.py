"""A reader leaves a stream early: the connection is closed at once, and the reply is incomplete."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

import httpx
import pytest
from adapters import AnyStream
from clients import KEY, Clients, in_thread
from loopback import STREAM, Loopback, Steps, reply, text_event, until_disconnect

from millis_wrapper import AsyncMillis, Millis, StreamInterruptedError

pytestmark = pytest.mark.anyio

ONE_CONNECTION = httpx.Limits(max_connections=1)
LONG: Steps = [STREAM + text_event("Hel"), until_disconnect]


async def leave_by_break(stream: AnyStream) -> None:
    async with stream:
        async for _ in stream:
            break


async def leave_by_close(stream: AnyStream) -> None:
    async with stream:
        assert await anext(aiter(stream))
        await stream.close()
        await stream.close()


async def leave_by_error(stream: AnyStream) -> None:
    async def fail() -> None:
        async with stream:
            async for text in stream.text_stream:
                raise LookupError(text)

    with pytest.raises(LookupError, match="Hel"):
        await fail()


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_close, leave_by_error])
async def test_leaving_the_block_closes_the_connection_at_once(
    clients: Clients, leave: Callable[[AnyStream], Awaitable[None]]
) -> None:
    """After a break, a close or an exception, the pool's only connection is free again."""
    with Loopback(LONG, reply("again")) as server:
        millis = clients.client(
            server.url, http_client=clients.httpx_client(limits=ONE_CONNECTION), timeout=2
        )
        stream = millis.chat.stream("Hi", agent_id="-Oabc")
        await leave(stream)
        assert await in_thread(server.disconnected.wait)
        assert (stream.reply.text, stream.reply.ended) == ("Hel", None)
        with pytest.raises(StreamInterruptedError, match="closed before its end") as caught:
            await stream.get_final_reply()
        assert caught.value.reply.text == "Hel"
        assert (await millis.chat.send("Hi", agent_id="-Oabc")).text == "again"
    assert (server.connections, len(server.requests)) == (2, 2)


async def test_a_block_that_reads_nothing_closes_the_connection(clients: Clients) -> None:
    """Entering and leaving the block is enough."""
    with Loopback(LONG) as server:
        async with clients.client(server.url).chat.stream("Hi", agent_id="-Oabc") as stream:
            assert stream.reply.text == ""
        assert await in_thread(server.disconnected.wait)


async def test_leaving_after_the_end_keeps_the_connection(clients: Clients) -> None:
    """After a complete reply, the connection serves the next request."""
    with Loopback(reply("Hello")) as server:
        millis = clients.client(server.url)
        for _ in range(2):
            async with millis.chat.stream("Hi", agent_id="-Oabc") as stream:
                await stream.until_done()
                await stream.close()
            assert stream.reply.ended == "done"
    assert server.connections == 1


async def test_a_closed_stream_does_not_send_a_request(clients: Clients) -> None:
    """Entering or reading a stream after its close is an error."""
    with Loopback(reply("Hello")) as server:
        stream = clients.client(server.url).chat.stream("Hi", agent_id="-Oabc")
        await stream.close()
        for use in (stream.__aenter__, stream.until_done, stream.get_final_reply):
            with pytest.raises(StreamInterruptedError, match="before it was opened"):
                await use()
    assert server.requests == []


async def test_reading_after_the_close_is_an_error(clients: Clients) -> None:
    """Text that has already arrived is not yielded after the close, and the reply does not look complete."""
    with Loopback([STREAM + text_event("a") + text_event("b") + text_event("c"), until_disconnect]) as server:
        stream = clients.client(server.url).chat.stream("Hi", agent_id="-Oabc")
        chunks, texts = aiter(stream), stream.text_stream
        assert (await anext(chunks)).text == "a"
        assert await anext(texts) == "b"
        await stream.close()
        for reader in (chunks, texts):
            with pytest.raises(StreamInterruptedError, match="closed before its end"):
                await anext(reader)
        assert stream.reply.text == "ab"


def test_a_loop_that_breaks_without_a_block_closes_the_connection_at_once() -> None:
    """Python drops the iterator of a sync loop at the `break`."""
    with Loopback(LONG) as server, Millis(KEY, base_url=server.url) as millis:
        stream = millis.chat.stream("Hi", agent_id="-Oabc")
        for _ in stream:
            break
        assert server.disconnected.wait(5)
        assert stream.reply.text == "Hel"


async def test_an_async_loop_that_breaks_without_a_block_closes_the_connection_soon() -> None:
    """The event loop closes the async iterator in its next iterations."""
    with Loopback(LONG) as server:
        async with AsyncMillis(KEY, base_url=server.url) as millis:
            stream = millis.chat.stream("Hi", agent_id="-Oabc")
            async for _ in stream.text_stream:
                break
            assert await in_thread(server.disconnected.wait)
            assert stream.reply.text == "Hel"


def test_a_garbage_collected_stream_closes_its_connection() -> None:
    """The connection stays open while the stream is referenced."""
    with Loopback(LONG) as server, Millis(KEY, base_url=server.url) as millis:

        def start() -> Iterator[str]:
            texts = millis.chat.stream("Hi", agent_id="-Oabc").text_stream
            assert next(texts) == "Hel"
            return texts

        texts = start()
        assert not server.disconnected.is_set()
        del texts
        gc.collect()
        assert server.disconnected.wait(5)


async def test_a_garbage_collected_async_stream_closes_its_connection() -> None:
    """The connection stays open while the stream is referenced."""
    with Loopback(LONG) as server:
        async with AsyncMillis(KEY, base_url=server.url) as millis:

            async def start() -> AsyncGenerator[str]:
                texts = millis.chat.stream("Hi", agent_id="-Oabc").text_stream
                assert await anext(texts) == "Hel"
                return texts

            texts = await start()
            assert not server.disconnected.is_set()
            del texts
            gc.collect()
            assert await in_thread(server.disconnected.wait)


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # trio warns about every such `break`
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_leaving_early_closes_the_connection_under_trio() -> None:
    """A `break` in the block also works under trio."""
    with Loopback(LONG) as server:
        async with AsyncMillis(KEY, base_url=server.url) as millis:
            async with millis.chat.stream("Hi", agent_id="-Oabc") as stream:
                async for _ in stream.text_stream:
                    break
            assert await in_thread(server.disconnected.wait)


async def test_a_stream_that_is_left_closes_its_connection(clients: Clients) -> None:
    """The error reports an incomplete reply."""
    with Loopback([STREAM + text_event("Hel"), until_disconnect]) as server:
        stream = clients.client(server.url).chat.stream("Hi", agent_id="-Oabc")
        async for _ in stream.text_stream:
            break
        await stream.close()
        assert await in_thread(server.disconnected.wait)
        with pytest.raises(StreamInterruptedError):
            await stream.get_final_reply()
