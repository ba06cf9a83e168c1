"""How long a call may take: each limit is kept, on its own, and nothing is waited for without one."""

from __future__ import annotations

import math
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from clients import OPERATIONS, AnyMillis, Clients, call, in_thread
from loopback import END, FINE, STREAM, Answer, Loopback, Step, linger, said, until_left

from millis_wrapper import (
    APITimeoutError,
    InternalServerError,
    MillisError,
    RetryPolicy,
    StreamInterruptedError,
    Timeout,
)

pytestmark = pytest.mark.anyio

OPENING: dict[str, Step] = {
    "chat": STREAM + said("Hel"),
    "duplicate": b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"id": "-On',
}
WHOSE = pytest.mark.parametrize("whose", ["own", "lent"])


def lent(clients: Clients, whose: str) -> dict[str, Any]:
    """Return the argument that hands in a client, whose own limits must not count."""
    return {"http_client": clients.httpx_client(timeout=None)} if whose == "lent" else {}


@OPERATIONS
@WHOSE
async def test_the_wait_for_the_first_byte_is_limited(clients: Clients, operation: str, whose: str) -> None:
    """A service that takes the request and is silent is left after `first_byte`, and not asked again."""
    with Loopback([until_left], FINE[operation]) as server:
        client = clients.client(server.url, timeout=Timeout(first_byte=0.05), **lent(clients, whose))
        with pytest.raises(APITimeoutError, match=r"limit: first_byte, 0\.05 s") as caught:
            await call(client, operation)
        assert await in_thread(server.left.wait)
    assert caught.value.maybe_processed
    assert len(server.requests) == 1


@OPERATIONS
@WHOSE
async def test_the_wait_between_two_pieces_is_limited_by_idle_alone(
    clients: Clients, operation: str, whose: str
) -> None:
    """After the headers the wait is `idle`, however long the first byte might have taken."""
    # A client that still waits for `first_byte` gets its answer after all, and fails the test.
    slow: Answer = [OPENING[operation], linger(2.0), *FINE[operation]]
    with Loopback(slow) as server:
        limits = Timeout(first_byte=math.inf, idle=0.05)
        client = clients.client(server.url, timeout=limits, **lent(clients, whose))
        wanted = StreamInterruptedError if operation == "chat" else APITimeoutError
        with pytest.raises(wanted, match=r"0\.05 s .*idle") as caught:
            await call(client, operation)
        assert await in_thread(server.left.wait)
    error: MillisError = caught.value
    if operation == "chat":
        assert isinstance(error, StreamInterruptedError)
        assert error.reply.text == "Hel"
    else:
        assert isinstance(error, APITimeoutError)
        assert (error.maybe_processed, error.body) == (True, '{"id": "-On')
    assert len(server.requests) == 1


@WHOSE
async def test_the_limit_on_the_first_byte_does_not_cut_a_slow_reply(clients: Clients, whose: str) -> None:
    """Once the headers are there, a pause longer than `first_byte` is none of its business."""
    slow: Answer = [STREAM, linger(1.2), said("Hello") + END]
    with Loopback(slow) as server:
        client = clients.client(server.url, timeout=Timeout(first_byte=1), **lent(clients, whose))
        assert (await client.chat.send("Hi", agent_id="-Oabc")).text == "Hello"


@OPERATIONS
async def test_a_limit_of_the_call_goes_before_the_clients(clients: Clients, operation: str) -> None:
    """A number limits each wait of this one call; the next call has the client's limits again."""
    with Loopback([until_left], [linger(0.25), *FINE[operation]]) as server:
        client = clients.client(server.url)
        with pytest.raises(APITimeoutError):
            await call(client, operation, timeout=1)
        await call(client, operation)
    assert len(server.requests) == 2


class Late(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body whose second piece comes when the time is up, and that fails the test when it is read on."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.now = 0.0

    def __iter__(self) -> Iterator[bytes]:
        first, second = self.pieces
        yield first
        self.now = 601.0
        yield second
        raise AssertionError("the answer was read on after its time")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece

    def client(self, clients: Clients, status: int = 200) -> AnyMillis:
        transport = httpx.MockTransport(lambda _: httpx.Response(status, stream=self))
        return clients.client(
            "https://millis.invalid",
            http_client=clients.httpx_client(transport=transport),
            max_retries=RetryPolicy(clock=lambda: self.now),
        )


async def test_the_whole_reply_is_limited_by_total(clients: Clients) -> None:
    """A service that keeps sending is left after `total`; all that had come is handed over."""
    client = Late(b"data: Hel\n\n", b"data: lo\n\n").client(clients)
    with pytest.raises(StreamInterruptedError, match=r"600 s .*total") as caught:
        await call(client, "chat")
    assert caught.value.reply.text == "Hello"


async def test_the_time_of_the_whole_reply_runs_from_its_status_line_on(clients: Clients) -> None:
    """Also while the caller does not read."""
    body = Late(b"data: Hel\n\n", b"data: lo\n\n")
    stream = body.client(clients).chat.stream("Hi", agent_id="-O")
    async with stream:
        body.now = 601.0
        with pytest.raises(StreamInterruptedError, match="limit: total") as caught:
            await stream.until_done()
    assert caught.value.reply.text == "Hel"


async def test_the_whole_answer_to_duplicate_is_limited_by_total(clients: Clients) -> None:
    """So is an answer that is read whole."""
    client = Late(b'{"id": ', b'"-Onew"').client(clients)
    with pytest.raises(APITimeoutError, match=r"600 s .*total") as caught:
        await call(client, "duplicate")
    assert (caught.value.maybe_processed, caught.value.body) == (True, '{"id": "-Onew"')


async def test_an_end_that_comes_too_late_is_an_end_all_the_same(clients: Clients) -> None:
    """A reply that is whole when the time is up is not thrown away."""
    answer = (
        await Late(b"data: Hel\n\n", b"data: lo\n\ndata: [DONE]\n\n")
        .client(clients)
        .chat.send("Hi", agent_id="-O")
    )
    assert (answer.text, answer.ended) == ("Hello", "done")


async def test_a_copy_whose_last_piece_comes_too_late_is_handed_over(clients: Clients) -> None:
    """A duplicate that worked hands over its id: JSON that can be read came whole."""
    made = await Late(b'{"id": ', b'"-Onew"}').client(clients).agents.duplicate("-O")
    assert made.id == "-Onew"


async def test_an_error_whose_body_takes_too_long_is_that_error(clients: Clients) -> None:
    """The body's start is a courtesy, and so is its end."""
    with pytest.raises(InternalServerError, match=r"\[500 Internal Server Error\] broken"):
        await call(Late(b"bro", b"ken").client(clients, 500), "duplicate")


@OPERATIONS
async def test_the_wait_for_a_free_connection_is_limited(clients: Clients, operation: str) -> None:
    """When all of a pool's connections are in use, nothing was sent, so it is also tried again."""
    theirs = clients.httpx_client(limits=httpx.Limits(max_connections=1))
    with Loopback([STREAM + said("Hel"), until_left], FINE[operation]) as server:
        limits = Timeout(pool=0.02)
        client = clients.patient(server.url, timeout=limits, http_client=theirs, clock=lambda: 0.0)
        async with client.chat.stream("Hi", agent_id="-Oabc"):
            with pytest.raises(APITimeoutError, match=r"limit: pool, 0\.02 s.*nothing was sent") as caught:
                await call(client, operation)
            assert len(client.slept) == 2
        await call(client, operation)
    assert not caught.value.maybe_processed
    assert len(server.requests) == 2


async def test_the_wait_for_the_service_to_take_the_request_is_limited(clients: Clients) -> None:
    """A service that does not read is left after `write`; some of it went out, so it counts as sent."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        client = clients.patient(
            f"http://127.0.0.1:{deaf.getsockname()[1]}", timeout=Timeout(write=0.05, first_byte=5)
        )
        with pytest.raises(APITimeoutError, match=r"limit: write, 0\.05 s") as caught:
            await client.chat.send("x" * 20_000_000, agent_id="-Oabc")
    assert caught.value.maybe_processed
    assert client.slept == []


async def test_the_wait_for_a_connection_is_limited(clients: Clients) -> None:
    """A host that does not answer at all is left after `connect`; nothing was sent."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        client = clients.patient(f"http://127.0.0.1:{full.getsockname()[1]}", timeout=Timeout(connect=0.05))
        with pytest.raises(APITimeoutError, match=r"limit: connect, 0\.05 s.*nothing was sent") as caught:
            await call(client, "duplicate")
    assert not caught.value.maybe_processed
    assert client.slept == [0.5, 1.0]
