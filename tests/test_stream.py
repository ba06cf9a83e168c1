"""A reply as it arrives: handed on at once, ended, broken, and what becomes of its connection."""

from __future__ import annotations

import copy
import gzip
import pickle
import threading

import anyio
import httpx
import pytest
from loopback import (
    DONE,
    END,
    PATIENCE,
    STREAM,
    Answer,
    Loopback,
    Peer,
    Step,
    chunk,
    close,
    event,
    http,
    linger,
    pause,
    reply,
    reset,
    said,
    until_left,
    when_told,
)
from twins import KEY, Twins, in_thread, texts_of

from millis_wrapper import (
    AsyncMillis,
    AuthenticationError,
    MillisError,
    StreamFailedError,
    StreamInterruptedError,
    UnexpectedResponseError,
)

pytestmark = pytest.mark.anyio

ONE_CONNECTION = httpx.Limits(max_connections=1)


async def test_text_is_handed_on_before_the_next_event_is_there(twins: Twins) -> None:
    """The service sends the second piece only when the caller has had the first."""
    had_first = threading.Event()
    with Loopback([STREAM + said("Hel"), pause(had_first), said("lo") + DONE + END]) as server:
        async with twins.client(server.url).chat.stream("Hi", agent_id="-Oabc") as stream:
            texts = stream.text_stream
            assert await anext(texts) == "Hel"
            assert (stream.reply.text, stream.reply.ended) == ("Hel", None)
            had_first.set()
            assert [text async for text in texts] == ["lo"]
        answer = await stream.get_final_reply()
    assert (answer.text, answer.ended) == ("Hello", "done")


async def test_nothing_is_sent_before_the_block_is_entered(twins: Twins) -> None:
    """Making a stream costs nothing; entering it sends the request and tells what the status tells."""
    with Loopback([http(401, '{"detail": "no such key"}')]) as server:
        stream = twins.client(server.url).chat.stream("Hi", agent_id="-Oabc")
        assert server.connections == 0
        with pytest.raises(AuthenticationError, match="no such key"):
            await stream.__aenter__()
        for read in (stream.get_final_reply, stream.until_done, stream.__aenter__):
            with pytest.raises(AuthenticationError, match="no such key"):
                await read()
    assert len(server.requests) == 1


async def test_chunks_texts_and_the_final_reply_are_views_of_one_stream(twins: Twins) -> None:
    """What one reader has taken, the next goes on from; the reply has it all."""
    events = [event('{"choices":[{"delta":{"role":"assistant"}}]}'), said("a"), said("b"), said("c")]
    stop = event('{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"total_tokens":3}}')
    with Loopback([STREAM, *events, stop, END]) as server:
        async with twins.client(server.url).chat.stream("Hi", agent_id="-Oabc") as stream:
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


async def test_a_stream_can_be_read_without_a_block(twins: Twins) -> None:
    """Forgetting `with` costs nothing when the stream is read to its end: the connection is used again."""
    with Loopback(reply("Hello")) as server:
        millis = twins.client(server.url)
        for _ in range(3):
            assert await texts_of(millis.chat.stream("Hi", agent_id="-Oabc")) == ["Hello"]
    assert (server.connections, len(server.requests)) == (1, 3)


@pytest.mark.parametrize(
    "answer",
    [
        reply("Hello"),
        [STREAM + said("Hello") + DONE, linger(0.02), END],
        [STREAM + said("Hello") + DONE + said("more") + event("junk"), END],
        [STREAM + said("Hello"), END],
    ],
    ids=["at once", "end comes later", "more after the mark", "no mark"],
)
async def test_three_chats_in_a_row_use_one_connection(twins: Twins, answer: Answer) -> None:
    """The body is read on to its end, though nothing of it counts, and the connection is free again."""
    with Loopback(answer) as server:
        millis = twins.client(server.url)
        for _ in range(3):
            assert (await millis.chat.send("Hi", agent_id="-Oabc")).text == "Hello"
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
async def test_a_stream_may_come_in_any_of_https_ways(twins: Twins, answer: Answer) -> None:
    """How the bytes are wrapped is HTTP's affair; the reply is the same."""
    with Loopback(answer) as server:
        got = await twins.client(server.url).chat.send("Hi", agent_id="-Oabc")
    assert (got.text, got.ended) == ("Hello", "eof")


def drip(peer: Peer) -> None:
    while not peer.watch(0.01):
        peer.send(said("x"))


@pytest.mark.parametrize("after", [until_left, drip], ids=["nothing", "drops"])
async def test_a_body_that_does_not_end_after_the_mark_is_left(
    twins: Twins, after: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reply that is whole does not wait for a service that keeps the connection open."""
    monkeypatch.setattr("millis_wrapper.stream.DRAIN_SECONDS", 0.05)
    monkeypatch.setattr("millis_wrapper.async_stream.DRAIN_SECONDS", 0.05)
    with Loopback([STREAM + said("Hello") + DONE, after], reply("again")) as server:
        millis = twins.client(server.url)
        answer = await millis.chat.send("Hi", agent_id="-Oabc")
        assert (answer.text, answer.ended) == ("Hello", "done")
        assert await in_thread(server.left.wait)
        assert (await millis.chat.send("Hi", agent_id="-Oabc")).text == "again"
    assert server.connections == 2


async def test_a_body_that_goes_on_after_the_mark_is_not_read_for_long(
    twins: Twins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the sake of a connection some is read, and not twenty megabytes."""
    monkeypatch.setattr("millis_wrapper.stream.DRAIN_SECONDS", 30)
    monkeypatch.setattr("millis_wrapper.async_stream.DRAIN_SECONDS", 30)
    flood = [said("x" * 100_000)] * 200
    with Loopback([STREAM + said("Hello") + DONE, *flood, END], reply("again")) as server:
        millis = twins.client(server.url)
        assert (await millis.chat.send("Hi", agent_id="-Oabc")).text == "Hello"
        await millis.chat.send("Hi", agent_id="-Oabc")
    assert server.connections == 2


async def test_a_connection_lost_after_the_mark_takes_nothing_away(twins: Twins) -> None:
    """After [DONE] nothing counts, an error neither."""
    with Loopback([STREAM + said("Hello") + DONE, when_told, reset]) as server:
        async with twins.client(server.url).chat.stream("Hi", agent_id="-Oabc") as stream:
            async for _ in stream:
                server.go_on.set()
    assert (stream.reply.text, stream.reply.ended) == ("Hello", "done")


BROKEN: dict[str, tuple[list[Step], type[MillisError], str]] = {
    "lost": ([close], StreamInterruptedError, "broke off"),
    "reset": ([when_told, reset], StreamInterruptedError, "broke off"),
    "bad chunk": ([b"zz\r\n"], StreamInterruptedError, "broke off"),
    "half an event": ([chunk(b'data: {"cho') + END], StreamInterruptedError, "in the middle of an event"),
    "error object": ([event('{"error": {"message": "model down"}}')], StreamFailedError, "model down"),
    "error event": ([chunk(b"event: error\ndata: model down\n\n")], StreamFailedError, "model down"),
}


@pytest.mark.parametrize(("steps", "kind", "words"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_reply_that_breaks_hands_over_the_text_so_far(
    twins: Twins, steps: list[Step], kind: type[MillisError], words: str
) -> None:
    """Each way to break raises after the text before it, holds that text, and frees the connection."""
    with Loopback([STREAM + said("Hel") + said("lo"), *steps], reply("again")) as server:
        millis = twins.client(server.url, http_client=twins.httpx_client(limits=ONE_CONNECTION))
        stream = millis.chat.stream("Hi", agent_id="-Oabc")
        had: list[str] = []

        async def read() -> None:
            async with stream:
                async for text in stream.text_stream:
                    had.append(text)
                    if len(had) == 2:
                        server.go_on.set()

        with pytest.raises(kind, match=words) as caught:
            await read()
        assert had == ["Hel", "lo"]
        error = caught.value
        assert isinstance(error, StreamInterruptedError | StreamFailedError)
        assert (error.reply.text, error.reply.ended) == ("Hello", None)
        for again in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
            assert (type(again), str(again), again.reply) == (kind, str(error), error.reply)
        with pytest.raises(kind, match=words):
            await stream.get_final_reply()
        assert (await millis.chat.send("Hi", agent_id="-Oabc")).text == "again"
    assert len(server.requests) == 2


NO_STREAM: dict[str, tuple[bytes, str]] = {
    "html": (http(200, "<html>Welcome</html>", {"content-type": "text/event-stream"}), "Welcome"),
    "json": (http(200, '{"detail": "agent is asleep"}'), "agent is asleep"),
    "error": (http(200, '{"error": {"message": "no quota"}}'), "no quota"),
    "text": (http(200, "OK"), "OK"),
    "nothing": (http(200, "", {"content-type": "text/event-stream"}), "empty"),
    "comments": (STREAM + chunk(b": keep-alive\n\n") + END, "keep-alive"),
    "no words": (STREAM + event('{"choices": []}') + END, "said nothing"),
}


@pytest.mark.parametrize(("answer", "words"), NO_STREAM.values(), ids=NO_STREAM.keys())
async def test_a_success_that_is_no_stream_shows_what_it_was(twins: Twins, answer: bytes, words: str) -> None:
    """A silent empty reply is the one outcome that must not exist."""
    with Loopback([answer]) as server, pytest.raises(UnexpectedResponseError, match=words):
        await twins.client(server.url).chat.send("Hi", agent_id="-Oabc")
    assert len(server.requests) == 1


async def test_an_event_that_does_not_end_does_not_fill_the_memory(twins: Twins) -> None:
    """One line without an end is left after a generous limit, with the text before it."""

    def long_line(peer: Peer) -> None:
        peer.send(chunk(b"data: "))
        while True:
            peer.send(chunk(b"x" * 1_000_000))

    with (
        Loopback([STREAM + said("Hel"), long_line]) as server,
        pytest.raises(StreamInterruptedError, match="more than") as caught,
    ):
        await twins.client(server.url).chat.send("Hi", agent_id="-Oabc")
    assert caught.value.reply.text == "Hel"


async def test_a_body_without_events_does_not_go_on_for_ever(twins: Twins) -> None:
    """Comments alone, or no line at all, are left after a limit too."""

    def comments(peer: Peer) -> None:
        while True:
            peer.send(chunk(b": " + b"x" * 60_000 + b"\n"))

    with Loopback([STREAM, comments]) as server, pytest.raises(UnexpectedResponseError, match="no stream"):
        await twins.client(server.url).chat.send("Hi", agent_id="-Oabc")
    assert len(server.requests) == 1


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
