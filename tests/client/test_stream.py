"""A stream yields text as soon as it arrives, to several readers and over every form of HTTP."""

from __future__ import annotations

import gzip
import threading

import anyio
import pytest
from clients import KEY, Clients, texts_of
from loopback import (
    DONE,
    END,
    PATIENCE,
    STREAM,
    Loopback,
    Steps,
    close,
    event,
    http,
    pause,
    reply,
    text_event,
)

from millis_wrapper import AsyncMillis, AuthenticationError, StreamInterruptedError

pytestmark = pytest.mark.anyio


async def test_text_is_yielded_before_the_next_event_arrives(clients: Clients) -> None:
    """The service sends the second event only after the caller has received the first text."""
    first_received = threading.Event()
    with Loopback(
        [STREAM + text_event("Hel"), pause(first_received), text_event("lo") + DONE + END]
    ) as server:
        async with clients.client(server.url).chat.stream("Hi", agent_id="-Oabc") as stream:
            texts = stream.text_stream
            assert await anext(texts) == "Hel"
            assert (stream.reply.text, stream.reply.ended) == ("Hel", None)
            first_received.set()
            assert [text async for text in texts] == ["lo"]
        final = await stream.get_final_reply()
    assert (final.text, final.ended) == ("Hello", "done")
    assert final.time_to_first_text is not None
    assert final.duration is not None
    assert 0 < final.time_to_first_text < final.duration


async def test_the_request_is_sent_when_the_block_is_entered(clients: Clients) -> None:
    """Creating a stream sends nothing; entering it sends the request and raises the error of its status."""
    with Loopback([http(401, '{"detail": "no such key"}')]) as server:
        stream = clients.client(server.url).chat.stream("Hi", agent_id="-Oabc")
        assert server.connections == 0
        with pytest.raises(AuthenticationError, match="no such key"):
            await stream.__aenter__()
        for read in (stream.get_final_reply, stream.until_done, stream.__aenter__):
            with pytest.raises(AuthenticationError, match="no such key"):
                await read()
    assert len(server.requests) == 1


async def test_chunks_texts_and_the_final_reply_read_one_stream(clients: Clients) -> None:
    """Each reader continues where the previous one stopped, and the reply contains everything."""
    events = [
        event('{"choices":[{"delta":{"role":"assistant"}}]}'),
        text_event("a"),
        text_event("b"),
        text_event("c"),
    ]
    stop = event('{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"total_tokens":3}}')
    with Loopback([STREAM, *events, stop, END]) as server:
        async with clients.client(server.url).chat.stream("Hi", agent_id="-Oabc") as stream:
            chunks = aiter(stream)
            assert [(await anext(chunks)).text for _ in range(2)] == ["", "a"]
            texts = stream.text_stream
            assert await anext(texts) == "b"
            final = await stream.get_final_reply()
            assert [text async for text in texts] == []
            assert [chunk async for chunk in chunks] == []
        await stream.until_done()
        assert await stream.get_final_reply() == final == stream.reply
    assert (final.text, final.finish_reason, final.ended) == ("abc", "stop", "finish_reason")
    assert final.usage == {"total_tokens": 3}
    assert final.message == {"role": "assistant", "content": "abc"}


async def test_a_stream_can_be_read_without_a_block(clients: Clients) -> None:
    """A stream that is read to its end without `with` releases its connection."""
    with Loopback(reply("Hello")) as server:
        millis = clients.client(server.url)
        for _ in range(3):
            assert await texts_of(millis.chat.stream("Hi", agent_id="-Oabc")) == ["Hello"]
    assert (server.connections, len(server.requests)) == (1, 3)


@pytest.mark.parametrize(
    "response",
    [
        [b"HTTP/1.0 200 OK\r\n\r\ndata: Hel\n\ndata: lo\n\n", close],
        [http(200, "data: Hel\r\n\r\ndata: lo\r\n\r\n")],
        [http(200, gzip.compress(b"data: Hel\n\ndata: lo\n\n"), {"content-encoding": "gzip"})],
        [http(200, b"\xef\xbb\xbfdata: Hel\n\ndata: lo\n\n", {"content-type": "text/plain; charset=utf-16"})],
    ],
    ids=["closed at the end", "content-length", "gzip", "wrong charset"],
)
async def test_the_form_of_the_http_response_does_not_matter(clients: Clients, response: Steps) -> None:
    """HTTP/1.0, Content-Length, gzip and a wrong charset give the same reply."""
    with Loopback(response) as server:
        result = await clients.client(server.url).chat.send("Hi", agent_id="-Oabc")
    assert (result.text, result.ended) == ("Hello", "eof")


async def test_a_hundred_streams_run_at_once() -> None:
    """An async stream does not wait for the end of another one."""
    together = threading.Barrier(100)
    response: Steps = [
        STREAM + text_event("Hel"),
        lambda peer: together.wait(PATIENCE),
        text_event("lo") + DONE + END,
    ]
    texts: list[str] = []
    with Loopback(response) as server:
        async with AsyncMillis(KEY, base_url=server.url) as millis, anyio.create_task_group() as group:

            async def talk() -> None:
                texts.append((await millis.chat.send("Hi", agent_id="-Oabc")).text)

            for _ in range(100):
                group.start_soon(talk)
    assert texts == ["Hello"] * 100
    assert server.connections == 100


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_client_works_under_trio() -> None:
    """Streaming, the reuse of the connection and errors work like under asyncio."""
    with Loopback(reply("Hel", "lo"), reply("again"), [STREAM + text_event("Hel"), close]) as server:
        async with AsyncMillis(KEY, base_url=server.url) as millis:
            async with millis.chat.stream("Hi", agent_id="-Oabc") as stream:
                assert [text async for text in stream.text_stream] == ["Hel", "lo"]
            assert (await millis.chat.send("Hi", agent_id="-Oabc")).text == "again"
            with pytest.raises(StreamInterruptedError) as caught:
                await millis.chat.send("Hi", agent_id="-Oabc")
            assert caught.value.reply.text == "Hel"
    assert server.connections == 1
