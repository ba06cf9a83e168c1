"""Another thread or task closes or reads a stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from clients import KEY, Clients, in_thread, until
from loopback import (
    DONE,
    END,
    STREAM,
    Loopback,
    Steps,
    http,
    reply,
    text_event,
    until_disconnect,
    until_resumed,
)

from millis_wrapper import ConfigurationError, Millis, RateLimitError, StreamInterruptedError
from millis_wrapper._sync.response import OpenResponse

pytestmark = pytest.mark.anyio

LONG: Steps = [STREAM + text_event("Hel"), until_disconnect]


async def test_a_stream_that_is_being_read_can_be_closed_elsewhere(clients: Clients) -> None:
    """The reader waits for the next event in another thread or task. It wakes up at once with an error."""
    with Loopback([STREAM + text_event("Hel"), until_disconnect]) as server:
        stream = clients.client(server.url).chat.stream("Hi", agent_id="-Oabc")

        async def read() -> None:
            with pytest.raises(StreamInterruptedError, match="closed before its end") as caught:
                await stream.until_done()
            assert caught.value.reply.text == "Hel"

        async with anyio.create_task_group() as group:
            clients.start(group, read)
            await until(lambda: stream.reply.text)
            await anyio.sleep(0.02)  # the reader waits for the next event now
            await stream.close()
            assert await in_thread(server.disconnected.wait)


async def test_a_stream_that_is_being_opened_can_be_closed_elsewhere(clients: Clients) -> None:
    """A response that arrives after the close is not read, and its connection is closed."""
    with Loopback([until_resumed, STREAM + text_event("Hel"), until_disconnect]) as server:
        stream = clients.client(server.url).chat.stream("Hi", agent_id="-Oabc")

        async def read() -> None:
            with pytest.raises(StreamInterruptedError, match="closed before its end"):
                await stream.until_done()

        async with anyio.create_task_group() as group:
            clients.start(group, read)
            await in_thread(server.request_arrived.wait)
            await stream.close()
            server.resume.set()
            assert await in_thread(server.disconnected.wait)
    assert stream.reply.text == ""


async def test_a_stream_can_be_opened_once(clients: Clients) -> None:
    """A second thread or task gets an error while the first one waits for the response."""
    with Loopback([until_resumed, *reply("Hello")]) as server:
        stream = clients.client(server.url).chat.stream("Hi", agent_id="-Oabc")
        async with anyio.create_task_group() as group:
            clients.start(group, stream.until_done)
            await in_thread(server.request_arrived.wait)
            with pytest.raises(ConfigurationError, match="another thread or task"):
                await stream.get_final_reply()
            server.resume.set()
    assert (stream.reply.text, stream.reply.ended) == ("Hello", "done")
    assert len(server.requests) == 1


async def test_a_second_reader_is_rejected(clients: Clients) -> None:
    """The first reader, in another thread or task, continues."""
    received: list[str] = []
    with Loopback([STREAM + text_event("Hel"), until_resumed, text_event("lo") + DONE + END]) as server:
        stream = clients.client(server.url).chat.stream("Hi", agent_id="-Oabc")

        async def read() -> None:
            async for text in stream.text_stream:
                received.append(text)

        async with anyio.create_task_group() as group:
            clients.start(group, read)
            await until(lambda: received)
            await anyio.sleep(0.02)  # the reader waits for the next event now
            with pytest.raises(ConfigurationError, match="another thread or task"):
                await stream.until_done()
            server.resume.set()
    assert received == ["Hel", "lo"]
    assert stream.reply.ended == "done"


async def test_a_stream_that_is_closed_before_a_retry_is_not_retried(clients: Clients) -> None:
    """The stream is closed during the wait. The error of the last attempt is raised."""
    with Loopback([http(429, "busy")], reply("Hello")) as server:
        client = clients.without_sleep(server.url, during_wait=lambda: stream.close())
        stream = client.chat.stream("Hi", agent_id="-Oabc")
        with pytest.raises(RateLimitError):
            await stream.until_done()
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
