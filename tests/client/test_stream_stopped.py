"""A stream is stopped from outside: by another thread or task, or by a cancellation."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

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
from millis_wrapper._sync.response import OpenResponse
from millis_wrapper._sync.transport import Transport
from millis_wrapper.options import Options, read_options

pytestmark = pytest.mark.anyio

ONE_CONNECTION = httpx.Limits(max_connections=1)
LONG: Answer = [STREAM + said("Hel"), until_left]


def test_another_thread_may_close_a_stream_that_is_being_read() -> None:
    """The reader is waiting for the next event. It wakes up at once and raises an error."""
    errors: list[str] = []
    with Loopback([STREAM + said("Hel"), until_left]) as server, Millis(KEY, base_url=server.url) as millis:
        stream = millis.chat.stream("Hi", agent_id="-Oabc")

        def read() -> None:
            try:
                stream.until_done()
            except StreamInterruptedError as error:
                errors.append(f"{error.reply.text}: {error}")

        chunks = iter(stream)
        assert next(chunks).text == "Hel"
        reader = threading.Thread(target=read)
        reader.start()
        reader.join(0.05)
        assert reader.is_alive()
        stream.close()
        reader.join(5)
        assert not reader.is_alive()
        assert server.left.wait(5)
    assert [message.partition(":")[0] for message in errors] == ["Hel"]


def test_another_thread_may_close_a_stream_that_is_being_opened() -> None:
    """A response that arrives after the close is not read, and its connection is closed."""
    closed = threading.Event()
    errors: list[str] = []
    with (
        Loopback([pause(closed), STREAM + said("Hel"), until_left]) as server,
        Millis(KEY, base_url=server.url) as millis,
    ):
        stream = millis.chat.stream("Hi", agent_id="-Oabc")

        def enter() -> None:
            try:
                stream.__enter__()
            except StreamInterruptedError as error:
                errors.append(str(error))

        reader = threading.Thread(target=enter)
        reader.start()
        assert server.asked.wait(5)
        stream.close()
        closed.set()
        reader.join(5)
        assert server.left.wait(5)
    assert stream.reply.text == ""
    assert len(errors) == 1
    assert "closed before its end" in errors[0]


async def test_another_task_may_close_a_stream_that_is_being_read() -> None:
    """The reader is waiting for the next event. It wakes up at once and raises an error."""
    with Loopback([STREAM + said("Hel"), until_left]) as server:
        async with AsyncMillis(KEY, base_url=server.url) as millis, anyio.create_task_group() as group:
            stream = millis.chat.stream("Hi", agent_id="-Oabc")

            async def read() -> None:
                with pytest.raises(StreamInterruptedError, match="closed before its end") as caught:
                    await stream.until_done()
                assert caught.value.reply.text == "Hel"

            assert await anext(aiter(stream))
            group.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            await stream.close()
            assert await in_thread(server.left.wait)


async def test_another_task_may_close_a_stream_that_is_being_opened() -> None:
    """A response that arrives after the close is not read, and its connection is closed."""
    closed = threading.Event()
    with Loopback([pause(closed), STREAM + said("Hel"), until_left]) as server:
        async with AsyncMillis(KEY, base_url=server.url) as millis:
            stream = millis.chat.stream("Hi", agent_id="-Oabc")

            async def read() -> None:
                with pytest.raises(StreamInterruptedError, match="closed before its end"):
                    await stream.until_done()

            async with anyio.create_task_group() as group:
                group.start_soon(read)
                await in_thread(server.asked.wait)
                await stream.close()
                closed.set()
                assert await in_thread(server.left.wait)
            assert stream.reply.text == ""


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("when", ["before the headers", "in the body", "after the mark"])
async def test_canceling_a_read_releases_its_connection(when: str) -> None:
    """A pool with a single connection can serve the next request."""
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


async def test_only_one_of_two_tasks_can_open_a_stream() -> None:
    """The request is sent once. The first task gets the reply, and the second one an error."""
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


def test_only_one_of_two_threads_can_open_a_stream() -> None:
    """The second thread gets an error while the first one waits for the response."""
    may_reply = threading.Event()
    texts: list[str] = []
    with Loopback([pause(may_reply), *reply("Hello")]) as server, Millis(KEY, base_url=server.url) as millis:
        stream = millis.chat.stream("Hi", agent_id="-Oabc")
        first = threading.Thread(target=lambda: texts.append(stream.get_final_reply().text))
        first.start()
        assert server.asked.wait(5)
        with pytest.raises(ConfigurationError, match="another thread or task is opening it"):
            stream.get_final_reply()
        may_reply.set()
        first.join(5)
    assert texts == ["Hello"]
    assert len(server.requests) == 1


def settings_for(server: Loopback) -> Options:
    return read_options(
        Secret(KEY), region=None, base_url=server.url, allow_http=False, headers=None, strict=False
    )


async def test_a_stream_that_a_task_closes_before_a_retry_is_not_retried() -> None:
    """The task closes the stream during the wait; the error of the last attempt is raised."""

    async def close_during_the_wait(seconds: float) -> None:
        await stream.close()

    with Loopback([http(429, "busy")], reply("Hello")) as server:
        transport = AsyncTransport(
            settings_for(server), Timeout(), RetryPolicy(), None, close_during_the_wait
        )
        stream = AsyncChat(transport).stream("Hi", agent_id="-Oabc")
        with pytest.raises(RateLimitError):
            await stream.until_done()
        await transport.close()
    assert len(server.requests) == 1


def test_a_stream_that_a_thread_closes_before_a_retry_is_not_retried() -> None:
    """The thread closes the stream during the wait; the error of the last attempt is raised."""
    with Loopback([http(429, "busy")], reply("Hello")) as server:
        transport = Transport(settings_for(server), Timeout(), RetryPolicy(), None, lambda _: stream.close())
        stream = Chat(transport).stream("Hi", agent_id="-Oabc")
        with pytest.raises(RateLimitError):
            stream.until_done()
        transport.close()
    assert len(server.requests) == 1


@pytest.mark.parametrize("moment", ["OpenResponse.next_chunk", "iter"])
def test_a_stream_that_is_closed_before_its_first_read_raises_our_error(
    monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """httpx's own RuntimeError for a closed body does not reach the caller."""
    called: Callable[[Any], object] = iter if moment == "iter" else OpenResponse.next_chunk

    def close_first(argument: Any) -> object:
        stream.close()
        return called(argument)

    monkeypatch.setattr(f"millis_wrapper._sync.response.{moment}", close_first, raising=False)
    with Loopback(LONG) as server, Millis(KEY, base_url=server.url) as millis:
        stream = millis.chat.stream("Hi", agent_id="-Oabc")
        with pytest.raises(StreamInterruptedError, match="closed before its end"):
            stream.until_done()
