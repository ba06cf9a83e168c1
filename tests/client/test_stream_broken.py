"""A reply that breaks, or is none: the error says so, and holds what had come."""

from __future__ import annotations

import copy
import pickle

import httpx
import pytest
from clients import Clients
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
    said,
    when_told,
)

from millis_wrapper import MillisError, StreamFailedError, StreamInterruptedError, UnexpectedResponseError

pytestmark = pytest.mark.anyio

ONE_CONNECTION = httpx.Limits(max_connections=1)


BROKEN: dict[str, tuple[list[Step], type[MillisError], str]] = {
    "lost": ([close], StreamInterruptedError, "broke off"),
    "reset": ([when_told, reset], StreamInterruptedError, "broke off"),
    "bad chunk": ([linger(0.1), b"zz\r\n"], StreamInterruptedError, "broke off"),
    "half an event": ([chunk(b'data: {"cho') + END], StreamInterruptedError, "in the middle of an event"),
    "error object": ([event('{"error": {"message": "model down"}}')], StreamFailedError, "model down"),
    "error event": ([chunk(b"event: error\ndata: model down\n\n")], StreamFailedError, "model down"),
}


@pytest.mark.parametrize(("steps", "kind", "words"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_reply_that_breaks_hands_over_the_text_so_far(
    clients: Clients, steps: list[Step], kind: type[MillisError], words: str
) -> None:
    """Each way to break raises after the text before it, holds that text, and frees the connection."""
    with Loopback([STREAM + said("Hel") + said("lo"), *steps], reply("again")) as server:
        millis = clients.client(server.url, http_client=clients.httpx_client(limits=ONE_CONNECTION))
        # aiohttp does not wake its reader for a bad chunk that comes alone: there the limit ends the wait.
        stream = millis.chat.stream("Hi", agent_id="-Oabc", timeout=3)
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
    "no words": (STREAM + event('{"choices": []}') + END, "without any text"),
}


@pytest.mark.parametrize(("answer", "words"), NO_STREAM.values(), ids=NO_STREAM.keys())
async def test_a_success_that_is_no_stream_shows_what_it_was(
    clients: Clients, answer: bytes, words: str
) -> None:
    """A silent empty reply is the one outcome that must not exist."""
    with Loopback([answer]) as server, pytest.raises(UnexpectedResponseError, match=words):
        await clients.client(server.url).chat.send("Hi", agent_id="-Oabc")
    assert len(server.requests) == 1


async def test_an_event_that_does_not_end_does_not_fill_the_memory(clients: Clients) -> None:
    """One line without an end is left after a generous limit, with the text before it."""

    def long_line(peer: Peer) -> None:
        peer.send(chunk(b"data: "))
        while True:
            peer.send(chunk(b"x" * 1_000_000))

    with (
        Loopback([STREAM + said("Hel"), long_line]) as server,
        pytest.raises(StreamInterruptedError, match="larger than") as caught,
    ):
        await clients.client(server.url).chat.send("Hi", agent_id="-Oabc")
    assert caught.value.reply.text == "Hel"


async def test_a_body_without_events_does_not_go_on_for_ever(clients: Clients) -> None:
    """Comments alone, or no line at all, are left after a limit too."""

    def comments(peer: Peer) -> None:
        while True:
            peer.send(chunk(b": " + b"x" * 60_000 + b"\n"))

    with (
        Loopback([STREAM, comments]) as server,
        pytest.raises(UnexpectedResponseError, match="not an event stream"),
    ):
        await clients.client(server.url).chat.send("Hi", agent_id="-Oabc")
    assert len(server.requests) == 1


@pytest.mark.parametrize("rest", [b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\r"])
async def test_a_mark_that_lacks_only_its_line_end_before_a_cut_counts(clients: Clients, rest: bytes) -> None:
    """Whoever has sent `[DONE]` has sent the whole reply, however the connection ends."""
    with Loopback([STREAM + said("Whole."), chunk(rest), linger(0.05), close]) as server:
        answer = await clients.client(server.url).chat.send("Hi", agent_id="-Oabc")
    assert (answer.text, answer.ended) == ("Whole.", "done")


async def test_half_a_mark_before_a_cut_does_not_count(clients: Clients) -> None:
    """It could have been anything."""
    with (
        Loopback([STREAM + said("Whole."), chunk(b"data: [DON"), linger(0.05), close]) as server,
        pytest.raises(StreamInterruptedError, match="broke off"),
    ):
        await clients.client(server.url).chat.send("Hi", agent_id="-Oabc")
