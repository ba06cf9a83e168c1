"""A reply that is stopped from outside: by another thread or task, or by cancelling."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import anyio
import anyio.lowlevel
import httpx
import pytest
from clients import KEY, in_thread, until
from loopback import DONE, STREAM, Answer, Loopback, http, pause, reply, said, until_left

from millis_wrapper import (
    AsyncMillis,
    ChatReply,
    ConfigurationError,
    Millis,
    RateLimitError,
    RetryPolicy,
    StreamInterruptedError,
    Timeout,
)
from millis_wrapper._async.client import AsyncChat
from millis_wrapper._async.transport import AsyncTransport
from millis_wrapper._key import Secret
from millis_wrapper._sync.client import Chat
from millis_wrapper._sync.transport import Transport
from millis_wrapper.options import Options, read_options

pytestmark = pytest.mark.anyio

ONE_CONNECTION = httpx.Limits(max_connections=1)
LONG: Answer = [STREAM + said("Hel"), until_left]


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
    assert [words.partition(";")[0] for words in told] == ["Hel: the stream was closed before its end"]


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
    assert len(told) == 1
    assert "closed before its end" in told[0]


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


async def test_of_two_tasks_that_open_a_stream_one_sends() -> None:
    """A chat is sent once, and the task that was first gets its reply."""
    with Loopback(reply("Hello")) as server:
        async with AsyncMillis(KEY, base_url=server.url) as millis:
            stream = millis.chat.stream("Hi", agent_id="-Oabc")
            first, second = await asyncio.gather(
                stream.get_final_reply(), stream.get_final_reply(), return_exceptions=True
            )
    assert isinstance(first, ChatReply)
    assert first.text == "Hello"
    assert isinstance(second, ConfigurationError)
    assert "another thread or task is opening it" in str(second)
    assert len(server.requests) == 1


def test_of_two_threads_that_open_a_stream_one_sends() -> None:
    """So it is with threads, while the first waits for the answer."""
    go_on = threading.Event()
    texts: list[str] = []
    with Loopback([pause(go_on), *reply("Hello")]) as server, Millis(KEY, base_url=server.url) as millis:
        stream = millis.chat.stream("Hi", agent_id="-Oabc")
        first = threading.Thread(target=lambda: texts.append(stream.get_final_reply().text))
        first.start()
        assert server.asked.wait(5)
        with pytest.raises(ConfigurationError, match="another thread or task is opening it"):
            stream.get_final_reply()
        go_on.set()
        first.join(5)
    assert texts == ["Hello"]
    assert len(server.requests) == 1


def settings_for(server: Loopback) -> Options:
    return read_options(
        Secret(KEY), region=None, base_url=server.url, allow_http=False, headers=None, strict=False
    )


async def test_a_stream_that_a_task_closed_in_the_wait_before_a_retry_is_not_sent_again() -> None:
    """Nobody would read the reply."""

    async def close_meanwhile(seconds: float) -> None:
        await stream.close()

    with Loopback([http(429, "busy")], reply("Hello")) as server:
        transport = AsyncTransport(settings_for(server), Timeout(), RetryPolicy(), None, close_meanwhile)
        stream = AsyncChat(transport).stream("Hi", agent_id="-Oabc")
        with pytest.raises(RateLimitError):
            await stream.until_done()
        await transport.close()
    assert len(server.requests) == 1


def test_a_stream_that_a_thread_closed_in_the_wait_before_a_retry_is_not_sent_again() -> None:
    """Nobody would read the reply."""
    with Loopback([http(429, "busy")], reply("Hello")) as server:
        transport = Transport(settings_for(server), Timeout(), RetryPolicy(), None, lambda _: stream.close())
        stream = Chat(transport).stream("Hi", agent_id="-Oabc")
        with pytest.raises(RateLimitError):
            stream.until_done()
        transport.close()
    assert len(server.requests) == 1


def test_a_stream_that_was_closed_before_its_first_piece_was_asked_for_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """httpx would raise a RuntimeError of its own for a body that is closed."""

    def closed_meanwhile(response: httpx.Response) -> bool:
        stream.close()
        return True

    monkeypatch.setattr("millis_wrapper._http.is_unread", closed_meanwhile)
    with Loopback(LONG) as server, Millis(KEY, base_url=server.url) as millis:
        stream = millis.chat.stream("Hi", agent_id="-Oabc")
        with pytest.raises(StreamInterruptedError, match="closed before its end"):
            stream.until_done()
