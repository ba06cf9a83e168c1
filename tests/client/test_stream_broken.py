"""A stream that fails, or a response that is not a stream, raises an error with the received text."""

from __future__ import annotations

import copy
import pickle

import anyio
import httpx
import pytest
from clients import READERS, Clients, chat
from loopback import (
    END,
    STREAM,
    Loopback,
    Peer,
    Step,
    chunk,
    close,
    event,
    http,
    linger,
    reply,
    reset,
    text_event,
    until_resumed,
)

from millis_wrapper import MillisError, StreamFailedError, StreamInterruptedError, UnexpectedResponseError

pytestmark = pytest.mark.anyio

ONE_CONNECTION = httpx.Limits(max_connections=1)


BROKEN: dict[str, tuple[list[Step], type[MillisError], str]] = {
    "lost": ([close], StreamInterruptedError, "cut off"),
    "reset": ([until_resumed, reset], StreamInterruptedError, "cut off"),
    "bad chunk": ([linger(0.1), b"zz\r\n"], StreamInterruptedError, "cut off"),
    "half an event": ([chunk(b'data: {"cho') + END], StreamInterruptedError, "in the middle of an event"),
    "error object": ([event('{"error": {"message": "model down"}}')], StreamFailedError, "model down"),
    "error event": ([chunk(b"event: error\ndata: model down\n\n")], StreamFailedError, "model down"),
}


@READERS
@pytest.mark.parametrize(("steps", "kind", "key_word"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_failed_stream_yields_the_text_before_the_failure(
    clients: Clients, steps: list[Step], kind: type[MillisError], key_word: str, pause: float
) -> None:
    """Every failure raises after the text before it, which the error has, and releases the connection."""
    with Loopback([STREAM + text_event("Hel") + text_event("lo"), *steps], reply("again")) as server:
        millis = clients.client(server.url, http_client=clients.httpx_client(limits=ONE_CONNECTION))
        # A test that hangs here fails after the timeout.
        stream = millis.chat.stream("Hi", agent_id="-Oabc", timeout=3)
        received: list[str] = []

        async def read() -> None:
            async with stream:
                async for text in stream.text_stream:
                    received.append(text)
                    if len(received) == 2:
                        server.resume.set()
                    await anyio.sleep(pause)

        with pytest.raises(kind, match=key_word) as caught:
            await read()
        assert received == ["Hel", "lo"]
        error = caught.value
        assert isinstance(error, StreamInterruptedError | StreamFailedError)
        assert (error.reply.text, error.reply.ended) == ("Hello", None)
        for again in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
            assert (type(again), str(again), again.reply) == (kind, str(error), error.reply)
        with pytest.raises(kind, match=key_word):
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
    "no text": (STREAM + event('{"choices": []}') + END, "without any text"),
}


@pytest.mark.parametrize(("response", "key_word"), NO_STREAM.values(), ids=NO_STREAM.keys())
async def test_a_success_response_that_is_not_a_stream_is_an_error(
    clients: Clients, response: bytes, key_word: str
) -> None:
    """The message shows the response. A stream without text is also an error."""
    with Loopback([response]) as server, pytest.raises(UnexpectedResponseError, match=key_word):
        await clients.client(server.url).chat.send("Hi", agent_id="-Oabc")
    assert len(server.requests) == 1


@READERS
async def test_an_endless_event_is_an_error(clients: Clients, pause: float) -> None:
    """An event over the size limit is an error with the text before it."""

    def long_line(peer: Peer) -> None:
        peer.send(chunk(b"data: "))
        while True:
            peer.send(chunk(b"x" * 1_000_000))

    with (
        Loopback([STREAM + text_event("Hel"), long_line]) as server,
        pytest.raises(StreamInterruptedError, match="larger than") as caught,
    ):
        await chat(clients.client(server.url), pause)
    assert caught.value.reply.text == "Hel"


async def test_an_endless_body_without_events_is_an_error(clients: Clients) -> None:
    """The client stops reading comments, or a line that does not end, at a size limit."""

    def comments(peer: Peer) -> None:
        while True:
            peer.send(chunk(b": " + b"x" * 60_000 + b"\n"))

    with (
        Loopback([STREAM, comments]) as server,
        pytest.raises(UnexpectedResponseError, match="not an event stream"),
    ):
        await clients.client(server.url).chat.send("Hi", agent_id="-Oabc")
    assert len(server.requests) == 1


@READERS
@pytest.mark.parametrize("rest", [b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\r"])
async def test_done_without_its_line_end_ends_the_reply(clients: Clients, rest: bytes, pause: float) -> None:
    """A service that has sent `[DONE]` has sent the complete reply, even if the connection is then cut."""
    with Loopback([STREAM + text_event("Complete."), chunk(rest), linger(0.05), close]) as server:
        result = await chat(clients.client(server.url), pause)
    assert (result.text, result.ended) == ("Complete.", "done")


@READERS
async def test_an_incomplete_done_does_not_end_the_reply(clients: Clients, pause: float) -> None:
    """`[DON` at the end of a cut connection may be the start of any text."""
    with (
        Loopback([STREAM + text_event("Complete."), chunk(b"data: [DON"), linger(0.05), close]) as server,
        pytest.raises(StreamInterruptedError, match="cut off"),
    ):
        await chat(clients.client(server.url), pause)
