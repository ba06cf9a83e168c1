"""The end of a reply: data after `[DONE]` is ignored, and the connection is reused if possible."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import anyio
import httpx
import pytest
from clients import KEY, READERS, Clients, chat, in_thread
from loopback import (
    DONE,
    END,
    STREAM,
    Loopback,
    Peer,
    Step,
    Steps,
    event,
    linger,
    reply,
    reset,
    text_event,
    until_disconnect,
    until_resumed,
)

from millis_wrapper import Millis

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "response",
    [
        reply("Hello"),
        [STREAM + text_event("Hello") + DONE, linger(0.02), END],
        [STREAM + text_event("Hello") + DONE + text_event("more") + event("junk"), END],
        [STREAM + text_event("Hello"), END],
    ],
    ids=["end at once", "end later", "data after [DONE]", "no [DONE]"],
)
async def test_three_chats_in_a_row_use_one_connection(clients: Clients, response: Steps) -> None:
    """The client reads the body to its end and ignores it, so that the connection can be reused."""
    with Loopback(response) as server:
        millis = clients.client(server.url)
        for _ in range(3):
            assert (await millis.chat.send("Hi", agent_id="-Oabc")).text == "Hello"
    assert (server.connections, len(server.requests)) == (1, 3)


def drip(peer: Peer) -> None:
    while not peer.watch(0.01):
        peer.send(text_event("x"))


@READERS
@pytest.mark.parametrize("after", [until_disconnect, drip], ids=["nothing", "drops"])
async def test_a_body_that_does_not_end_after_done_is_closed(
    clients: Clients, after: Step, pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A complete reply does not wait for a service that keeps the connection open."""
    monkeypatch.setattr("millis_wrapper._http.DRAIN_SECONDS", 0.05)
    with Loopback([STREAM + text_event("Hello") + DONE, after], reply("again")) as server:
        millis = clients.client(server.url)
        result = await chat(millis, pause)
        assert (result.text, result.ended) == ("Hello", "done")
        assert await in_thread(server.disconnected.wait)
        assert (await millis.chat.send("Hi", agent_id="-Oabc")).text == "again"
    assert server.connections == 2


async def test_only_a_limited_part_of_the_body_is_read_after_done(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client closes the connection instead of reading 20 MB."""
    monkeypatch.setattr("millis_wrapper._http.DRAIN_SECONDS", 30)
    flood = [text_event("x" * 100_000)] * 200
    with Loopback([STREAM + text_event("Hello") + DONE, *flood, END], reply("again")) as server:
        millis = clients.client(server.url)
        assert (await millis.chat.send("Hi", agent_id="-Oabc")).text == "Hello"
        await millis.chat.send("Hi", agent_id="-Oabc")
    assert server.connections == 2


@READERS
async def test_a_connection_lost_after_done_does_not_make_the_reply_fail(
    clients: Clients, pause: float
) -> None:
    """The reply was complete before the error."""
    with Loopback([STREAM + text_event("Hello") + DONE, until_resumed, reset]) as server:
        async with clients.client(server.url).chat.stream("Hi", agent_id="-Oabc") as stream:
            async for _ in stream:
                server.resume.set()
                await anyio.sleep(pause)
    assert (stream.reply.text, stream.reply.ended) == ("Hello", "done")


def test_a_shared_connection_is_not_closed_after_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over HTTP/2, other replies use the same socket."""
    monkeypatch.setattr("millis_wrapper._http.DRAIN_SECONDS", 0.01)
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
