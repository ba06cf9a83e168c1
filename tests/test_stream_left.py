"""A reply that its reader leaves before the end: closed at once, not whole, and in nobody's way."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator

import anyio
import anyio.lowlevel
import httpx
import pytest
from loopback import DONE, STREAM, Answer, Loopback, pause, reply, said, until_left
from twins import KEY, StreamTwin, Twins, in_thread, until

from millis_wrapper import AsyncMillis, Millis, StreamInterruptedError

pytestmark = pytest.mark.anyio

ONE_CONNECTION = httpx.Limits(max_connections=1)
LONG: Answer = [STREAM + said("Hel"), until_left]


async def leave_by_break(stream: StreamTwin) -> None:
    async with stream:
        async for _ in stream:
            break


async def leave_by_close(stream: StreamTwin) -> None:
    async with stream:
        assert await anext(aiter(stream))
        await stream.close()
        await stream.close()


async def leave_by_error(stream: StreamTwin) -> None:
    async def fail() -> None:
        async with stream:
            async for text in stream.text_stream:
                raise LookupError(text)

    with pytest.raises(LookupError, match="Hel"):
        await fail()


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_close, leave_by_error])
async def test_leaving_the_block_closes_the_connection_at_once(
    twins: Twins, leave: Callable[[StreamTwin], Awaitable[None]]
) -> None:
    """However the block is left, the service sees it go, and the pool's one place is free again."""
    with Loopback(LONG, reply("again")) as server:
        millis = twins.client(server.url, http_client=twins.httpx_client(limits=ONE_CONNECTION), timeout=2)
        stream = millis.chat.stream("Hi", agent_id="-Oabc")
        await leave(stream)
        assert await in_thread(server.left.wait)
        assert (stream.reply.text, stream.reply.ended) == ("Hel", None)
        with pytest.raises(StreamInterruptedError, match="closed before its end") as caught:
            await stream.get_final_reply()
        assert caught.value.reply.text == "Hel"
        assert (await millis.chat.send("Hi", agent_id="-Oabc")).text == "again"
    assert (server.connections, len(server.requests)) == (2, 2)


async def test_a_block_that_reads_nothing_closes_the_connection_too(twins: Twins) -> None:
    """Entering and leaving is enough."""
    with Loopback(LONG) as server:
        async with twins.client(server.url).chat.stream("Hi", agent_id="-Oabc") as stream:
            assert stream.reply.text == ""
        assert await in_thread(server.left.wait)


async def test_leaving_after_the_end_keeps_the_connection(twins: Twins) -> None:
    """A reply that was read whole is left in peace: its connection serves the next."""
    with Loopback(reply("Hello")) as server:
        millis = twins.client(server.url)
        for _ in range(2):
            async with millis.chat.stream("Hi", agent_id="-Oabc") as stream:
                await stream.until_done()
                await stream.close()
            assert stream.reply.ended == "done"
    assert server.connections == 1


async def test_a_stream_that_was_closed_sends_nothing_any_more(twins: Twins) -> None:
    """Entering or reading a stream after its close is an error, not a request."""
    with Loopback(reply("Hello")) as server:
        stream = twins.client(server.url).chat.stream("Hi", agent_id="-Oabc")
        await stream.close()
        for use in (stream.__aenter__, stream.until_done, stream.get_final_reply):
            with pytest.raises(StreamInterruptedError, match="closed before its end"):
                await use()
    assert server.requests == []


async def test_a_reader_that_goes_on_after_the_close_is_told(twins: Twins) -> None:
    """What had come with the last chunk is not handed out after the close, nor is an end faked."""
    with Loopback([STREAM + said("a") + said("b") + said("c"), until_left]) as server:
        stream = twins.client(server.url).chat.stream("Hi", agent_id="-Oabc")
        chunks, texts = aiter(stream), stream.text_stream
        assert (await anext(chunks)).text == "a"
        assert await anext(texts) == "b"
        await stream.close()
        for reader in (chunks, texts):
            with pytest.raises(StreamInterruptedError, match="closed before its end"):
                await anext(reader)
        assert stream.reply.text == "ab"


def test_another_thread_may_close_a_stream_that_is_being_read() -> None:
    """The reader, waiting for the next piece, is woken at once and told."""
    told: list[str] = []
    with Loopback([STREAM + said("Hel"), until_left]) as server, Millis(KEY, base_url=server.url) as millis:
        stream = millis.chat.stream("Hi", agent_id="-Oabc")

        def read_on() -> None:
            try:
                stream.until_done()
            except StreamInterruptedError as error:
                told.append(f"{error.reply.text}: {error}")

        chunks = iter(stream)
        assert next(chunks).text == "Hel"
        reader = threading.Thread(target=read_on)
        reader.start()
        reader.join(0.05)
        assert reader.is_alive()
        stream.close()
        reader.join(5)
        assert not reader.is_alive()
        assert server.left.wait(5)
    assert told == [
        "Hel: the stream was closed before its end, so the reply is not whole; .reply holds what had come"
    ]


def test_another_thread_may_close_a_stream_that_is_being_opened() -> None:
    """When the answer comes after the close, it is not read, and its connection is closed."""
    closed = threading.Event()
    told: list[str] = []
    with (
        Loopback([pause(closed), STREAM + said("Hel"), until_left]) as server,
        Millis(KEY, base_url=server.url) as millis,
    ):
        stream = millis.chat.stream("Hi", agent_id="-Oabc")

        def enter() -> None:
            try:
                stream.__enter__()
            except StreamInterruptedError as error:
                told.append(str(error))

        reader = threading.Thread(target=enter)
        reader.start()
        assert server.asked.wait(5)
        stream.close()
        closed.set()
        reader.join(5)
        assert server.left.wait(5)
    assert stream.reply.text == ""
    assert [words.partition(",")[0] for words in told] == ["the stream was closed before its end"]


async def test_another_task_may_close_a_stream_that_is_being_read() -> None:
    """The reader, waiting for the next piece, is woken at once and told."""
    with Loopback([STREAM + said("Hel"), until_left]) as server:
        async with AsyncMillis(KEY, base_url=server.url) as millis, anyio.create_task_group() as group:
            stream = millis.chat.stream("Hi", agent_id="-Oabc")

            async def read_on() -> None:
                with pytest.raises(StreamInterruptedError, match="closed before its end") as caught:
                    await stream.until_done()
                assert caught.value.reply.text == "Hel"

            assert await anext(aiter(stream))
            group.start_soon(read_on)
            await anyio.wait_all_tasks_blocked()
            await stream.close()
            assert await in_thread(server.left.wait)


async def test_another_task_may_close_a_stream_that_is_being_opened() -> None:
    """When the answer comes after the close, it is not read, and its connection is closed."""
    closed = threading.Event()
    with Loopback([pause(closed), STREAM + said("Hel"), until_left]) as server:
        async with AsyncMillis(KEY, base_url=server.url) as millis:
            stream = millis.chat.stream("Hi", agent_id="-Oabc")

            async def read_on() -> None:
                with pytest.raises(StreamInterruptedError, match="closed before its end"):
                    await stream.until_done()

            async with anyio.create_task_group() as group:
                group.start_soon(read_on)
                await in_thread(server.asked.wait)
                await stream.close()
                closed.set()
                assert await in_thread(server.left.wait)
            assert stream.reply.text == ""


def test_a_loop_that_breaks_without_a_block_closes_the_connection_at_once() -> None:
    """Sync, Python drops the iterator right at the `break`."""
    with Loopback(LONG) as server, Millis(KEY, base_url=server.url) as millis:
        stream = millis.chat.stream("Hi", agent_id="-Oabc")
        for _ in stream:
            break
        assert server.left.wait(5)
        assert stream.reply.text == "Hel"


async def test_an_async_loop_that_breaks_without_a_block_closes_the_connection_soon() -> None:
    """Async, the event loop closes the iterator when it comes round."""
    with Loopback(LONG) as server:
        async with AsyncMillis(KEY, base_url=server.url) as millis:
            stream = millis.chat.stream("Hi", agent_id="-Oabc")
            async for _ in stream.text_stream:
                break
            assert await in_thread(server.left.wait)
            assert stream.reply.text == "Hel"


def test_a_stream_that_is_forgotten_is_closed_when_it_is_collected() -> None:
    """No reference, no connection."""
    with Loopback(LONG) as server, Millis(KEY, base_url=server.url) as millis:

        def begin() -> Iterator[str]:
            texts = millis.chat.stream("Hi", agent_id="-Oabc").text_stream
            assert next(texts) == "Hel"
            return texts

        texts = begin()
        assert not server.left.is_set()
        del texts
        gc.collect()
        assert server.left.wait(5)


async def test_an_async_stream_that_is_forgotten_is_closed_when_it_is_collected() -> None:
    """No reference, no connection, once the event loop has come round."""
    with Loopback(LONG) as server:
        async with AsyncMillis(KEY, base_url=server.url) as millis:

            async def begin() -> AsyncGenerator[str]:
                texts = millis.chat.stream("Hi", agent_id="-Oabc").text_stream
                assert await anext(texts) == "Hel"
                return texts

            texts = await begin()
            assert not server.left.is_set()
            del texts
            gc.collect()
            assert await in_thread(server.left.wait)


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("when", ["before the headers", "in the body", "after the mark"])
async def test_cancelling_a_read_frees_its_place_in_the_pool(when: str) -> None:
    """A cancelled task leaves no connection busy: with room for one, the next request finds it."""
    begun = {
        "before the headers": b"",
        "in the body": STREAM + said("Hel"),
        "after the mark": STREAM + said("Hel") + DONE,
    }
    with Loopback([begun[when], until_left], reply("again")) as server:
        async with httpx.AsyncClient(limits=ONE_CONNECTION) as theirs:
            millis = AsyncMillis(KEY, base_url=server.url, http_client=theirs, timeout=2)
            stream = millis.chat.stream("Hi", agent_id="-Oabc")
            signs: dict[str, Callable[[], object]] = {
                "before the headers": server.asked.is_set,
                "in the body": lambda: stream.reply.text,
                "after the mark": lambda: stream.reply.ended,
            }
            async with anyio.create_task_group() as group:
                group.start_soon(stream.until_done)
                await until(signs[when])
                group.cancel_scope.cancel()
            assert (await millis.chat.send("Hi", agent_id="-Oabc")).text == "again"
            assert await in_thread(server.left.wait)
    assert len(server.requests) == 2


async def test_a_cancelled_block_closes_what_a_transport_takes_its_time_to_close() -> None:
    """Cancelling does not reach into the closing."""
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


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # trio warns of each such `break`
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_leaving_early_closes_the_connection_under_trio() -> None:
    """A `break` in the block is as good under trio."""
    with Loopback(LONG) as server:
        async with AsyncMillis(KEY, base_url=server.url) as millis:
            async with millis.chat.stream("Hi", agent_id="-Oabc") as stream:
                async for _ in stream.text_stream:
                    break
            assert await in_thread(server.left.wait)


def test_a_connection_that_is_shared_is_not_cut_after_the_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over HTTP/2 other replies use the same socket: leaving one of them must not touch it."""
    monkeypatch.setattr("millis_wrapper.stream.DRAIN_SECONDS", 0.01)
    ours, theirs = socket.socketpair()
    with ours, theirs:

        class Network:
            def get_extra_info(self, info: str) -> object:
                return ours if info == "socket" else None

        class Body(httpx.SyncByteStream):
            def __iter__(self) -> Iterator[bytes]:
                yield b"data: Hello\n\ndata: [DONE]\n\n"
                theirs.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    theirs.recv(1)

        def respond(request: httpx.Request) -> httpx.Response:
            extensions = {"http_version": b"HTTP/2", "network_stream": Network()}
            return httpx.Response(200, stream=Body(), extensions=extensions)

        with httpx.Client(transport=httpx.MockTransport(respond)) as client:
            millis = Millis(KEY, base_url="https://millis.invalid", http_client=client)
            assert millis.chat.send("Hi", agent_id="-Oabc").text == "Hello"
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
