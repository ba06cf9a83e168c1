"""A reply as it arrives: handed on at once, to whoever reads it, over whatever HTTP it comes."""

from __future__ import annotations

import gzip
import threading

import anyio
import pytest
from clients import KEY, Clients, texts_of
from loopback import DONE, END, PATIENCE, STREAM, Answer, Loopback, close, event, http, pause, reply, said

from millis_wrapper import AsyncMillis, AuthenticationError, StreamInterruptedError

pytestmark = pytest.mark.anyio


async def test_text_is_handed_on_before_the_next_event_is_there(clients: Clients) -> None:
    """The service sends the second piece only when the caller has had the first."""
    had_first = threading.Event()
    with Loopback([STREAM + said("Hel"), pause(had_first), said("lo") + DONE + END]) as server:
        async with clients.client(server.url).chat.stream("Hi", agent_id="-Oabc") as stream:
            texts = stream.text_stream
            assert await anext(texts) == "Hel"
            assert (stream.reply.text, stream.reply.ended) == ("Hel", None)
            had_first.set()
            assert [text async for text in texts] == ["lo"]
        answer = await stream.get_final_reply()
    assert (answer.text, answer.ended) == ("Hello", "done")
    assert answer.time_to_first_text is not None
    assert answer.duration is not None
    assert 0 < answer.time_to_first_text < answer.duration


async def test_nothing_is_sent_before_the_block_is_entered(clients: Clients) -> None:
    """Making a stream costs nothing; entering it sends the request and tells what the status tells."""
    with Loopback([http(401, '{"detail": "no such key"}')]) as server:
        stream = clients.client(server.url).chat.stream("Hi", agent_id="-Oabc")
        assert server.connections == 0
        with pytest.raises(AuthenticationError, match="no such key"):
            await stream.__aenter__()
        for read in (stream.get_final_reply, stream.until_done, stream.__aenter__):
            with pytest.raises(AuthenticationError, match="no such key"):
                await read()
    assert len(server.requests) == 1


async def test_chunks_texts_and_the_final_reply_are_views_of_one_stream(clients: Clients) -> None:
    """What one reader has taken, the next goes on from; the reply has it all."""
    events = [event('{"choices":[{"delta":{"role":"assistant"}}]}'), said("a"), said("b"), said("c")]
    stop = event('{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"total_tokens":3}}')
    with Loopback([STREAM, *events, stop, END]) as server:
        async with clients.client(server.url).chat.stream("Hi", agent_id="-Oabc") as stream:
            chunks = aiter(stream)
            assert [(await anext(chunks)).text for _ in range(2)] == ["", "a"]
            texts = stream.text_stream
            assert await anext(texts) == "b"
            answer = await stream.get_final_reply()
            assert [text async for text in texts] == []
            assert [chunk async for chunk in chunks] == []
        await stream.until_done()
        assert await stream.get_final_reply() == answer == stream.reply
    assert (answer.text, answer.finish_reason, answer.ended) == ("abc", "stop", "finish_reason")
    assert answer.usage == {"total_tokens": 3}
    assert answer.message == {"role": "assistant", "content": "abc"}


async def test_a_stream_can_be_read_without_a_block(clients: Clients) -> None:
    """Forgetting `with` costs nothing when the stream is read to its end: the connection is used again."""
    with Loopback(reply("Hello")) as server:
        millis = clients.client(server.url)
        for _ in range(3):
            assert await texts_of(millis.chat.stream("Hi", agent_id="-Oabc")) == ["Hello"]
    assert (server.connections, len(server.requests)) == (1, 3)


@pytest.mark.parametrize(
    "answer",
    [
        [b"HTTP/1.0 200 OK\r\n\r\ndata: Hel\n\ndata: lo\n\n", close],
        [http(200, "data: Hel\r\n\r\ndata: lo\r\n\r\n")],
        [http(200, gzip.compress(b"data: Hel\n\ndata: lo\n\n"), {"content-encoding": "gzip"})],
        [http(200, b"\xef\xbb\xbfdata: Hel\n\ndata: lo\n\n", {"content-type": "text/plain; charset=utf-16"})],
    ],
    ids=["closed at the end", "of known length", "compressed", "with a charset that is wrong"],
)
async def test_a_stream_may_come_in_any_of_https_ways(clients: Clients, answer: Answer) -> None:
    """How the bytes are wrapped is HTTP's affair; the reply is the same."""
    with Loopback(answer) as server:
        got = await clients.client(server.url).chat.send("Hi", agent_id="-Oabc")
    assert (got.text, got.ended) == ("Hello", "eof")


async def test_a_hundred_streams_at_once() -> None:
    """None of a hundred async streams waits for another to end."""
    together = threading.Barrier(100)
    answer: Answer = [STREAM + said("Hel"), lambda peer: together.wait(PATIENCE), said("lo") + DONE + END]
    texts: list[str] = []
    with Loopback(answer) as server:
        async with AsyncMillis(KEY, base_url=server.url) as millis, anyio.create_task_group() as group:

            async def talk() -> None:
                texts.append((await millis.chat.send("Hi", agent_id="-Oabc")).text)

            for _ in range(100):
                group.start_soon(talk)
    assert texts == ["Hello"] * 100
    assert server.connections == 100


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_trio_is_served_as_asyncio_is() -> None:
    """Text, the end, the connection's second use, and an error, under trio."""
    with Loopback(reply("Hel", "lo"), reply("again"), [STREAM + said("Hel"), close]) as server:
        async with AsyncMillis(KEY, base_url=server.url) as millis:
            async with millis.chat.stream("Hi", agent_id="-Oabc") as stream:
                assert [text async for text in stream.text_stream] == ["Hel", "lo"]
            assert (await millis.chat.send("Hi", agent_id="-Oabc")).text == "again"
            with pytest.raises(StreamInterruptedError) as caught:
                await millis.chat.send("Hi", agent_id="-Oabc")
            assert caught.value.reply.text == "Hel"
    assert server.connections == 1
