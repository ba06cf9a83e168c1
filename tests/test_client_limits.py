"""How long a call may take: each limit is kept, on its own, and nothing is waited for without one."""

from __future__ import annotations

import math
import socket
from typing import Any

import httpx
import pytest
from loopback import (
    END,
    STREAM,
    Answer,
    Loopback,
    Peer,
    Step,
    chunk,
    copied,
    event,
    linger,
    reply,
    said,
    until_left,
)
from twins import Twins, call

from millis_wrapper import (
    APIConnectionError,
    APITimeoutError,
    MillisError,
    RetryPolicy,
    StreamInterruptedError,
    Timeout,
)

pytestmark = pytest.mark.anyio

OPERATIONS = pytest.mark.parametrize("operation", ["chat", "duplicate"])
FINE: dict[str, Answer] = {"chat": reply("Hello"), "duplicate": copied()}
OPENING: dict[str, Step] = {
    "chat": STREAM + said("Hel"),
    "duplicate": b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"id": "-On',
}
WHOSE = pytest.mark.parametrize("whose", ["own", "lent"])


def lent(twins: Twins, whose: str) -> dict[str, Any]:
    """Return the argument that hands in a client, whose own limits must not count."""
    return {"http_client": twins.httpx_client(timeout=None)} if whose == "lent" else {}


@OPERATIONS
@WHOSE
async def test_the_wait_for_the_first_byte_is_limited(twins: Twins, operation: str, whose: str) -> None:
    """A service that takes the request and is silent is left after `first_byte`, and not asked again."""
    with Loopback([until_left], FINE[operation]) as server:
        client = twins.client(server.url, timeout=Timeout(first_byte=0.05), **lent(twins, whose))
        with pytest.raises(APITimeoutError, match=r"limit: first_byte, 0\.05 s") as caught:
            await call(client, operation)
        assert server.left.wait(5)
    assert caught.value.request_sent
    assert len(server.requests) == 1


@OPERATIONS
@WHOSE
async def test_the_wait_between_two_pieces_is_limited_by_idle_alone(
    twins: Twins, operation: str, whose: str
) -> None:
    """After the headers the wait is `idle`, however long the first byte might have taken."""
    # A client that still waits for `first_byte` gets its answer after all, and fails the test.
    slow: Answer = [OPENING[operation], linger(2.0), *FINE[operation]]
    with Loopback(slow) as server:
        limits = Timeout(first_byte=math.inf, idle=0.05)
        client = twins.client(server.url, timeout=limits, **lent(twins, whose))
        wanted = StreamInterruptedError if operation == "chat" else APITimeoutError
        with pytest.raises(wanted, match=r"nothing came for 0\.05 s \(limit: idle\)") as caught:
            await call(client, operation)
        assert server.left.wait(5)
    error: MillisError = caught.value
    if operation == "chat":
        assert isinstance(error, StreamInterruptedError)
        assert error.reply.text == "Hel"
    else:
        assert isinstance(error, APITimeoutError)
        assert (error.request_sent, error.body) == (True, '{"id": "-On')
    assert len(server.requests) == 1


@WHOSE
async def test_the_limit_on_the_first_byte_does_not_cut_a_slow_reply(twins: Twins, whose: str) -> None:
    """Once the headers are there, a pause longer than `first_byte` is none of its business."""
    slow: Answer = [STREAM, linger(0.1), said("Hello") + END]
    with Loopback(slow) as server:
        client = twins.client(server.url, timeout=Timeout(first_byte=0.03), **lent(twins, whose))
        assert (await client.chat.send("Hi", agent_id="-Oabc")).text == "Hello"


@OPERATIONS
async def test_a_limit_of_the_call_goes_before_the_clients(twins: Twins, operation: str) -> None:
    """A number limits each wait of this one call; the next call has the client's limits again."""
    with Loopback([until_left], [linger(0.1), *FINE[operation]]) as server:
        client = twins.client(server.url)
        with pytest.raises(APITimeoutError):
            await call(client, operation, timeout=0.05)
        await call(client, operation)
    assert len(server.requests) == 2


@OPERATIONS
async def test_the_whole_answer_is_limited_by_total(twins: Twins, operation: str) -> None:
    """A service that keeps sending, piece by piece, is left after `total`; what had come is handed over."""
    now = [0.0]

    def late(peer: Peer) -> None:
        now.append(601.0)

    endless: Step = STREAM + said("Hel") if operation == "chat" else OPENING["duplicate"]
    more: Step = said("lo") if operation == "chat" else b'ew"'
    with Loopback([endless, linger(0.05), late, more, until_left]) as server:
        policy = RetryPolicy(clock=lambda: now[-1])
        client = twins.client(server.url, retries=policy)
        wanted = StreamInterruptedError if operation == "chat" else APIConnectionError
        with pytest.raises(wanted, match="it took longer than 600 s in all") as caught:
            await call(client, operation)
        assert server.left.wait(5)
    error: MillisError = caught.value
    if operation == "chat":
        assert isinstance(error, StreamInterruptedError)
        assert error.reply.text == "Hello"
    else:
        assert isinstance(error, APIConnectionError)
        assert error.body == '{"id": "-Onew"'


async def test_an_end_that_comes_too_late_is_an_end_all_the_same(twins: Twins) -> None:
    """A reply that is whole when the time is up is not thrown away."""
    now = [0.0]

    def late(peer: Peer) -> None:
        now.append(601.0)

    last = chunk(b"data: lo\n\ndata: [DONE]\n\n")
    with Loopback([STREAM + event("Hel"), linger(0.05), late, last + END]) as server:
        client = twins.client(server.url, retries=RetryPolicy(clock=lambda: now[-1]))
        answer = await client.chat.send("Hi", agent_id="-Oabc")
    assert (answer.text, answer.ended) == ("Hello", "done")


async def test_the_error_bodys_total_is_limited_too(twins: Twins) -> None:
    """An error whose body trickles in is that error, with what had come."""
    now = [0.0]

    def late(peer: Peer) -> None:
        now.append(601.0)

    trickle: Answer = [b"HTTP/1.1 500 X\r\n\r\nbro", linger(0.05), late, b"ken", until_left]
    with Loopback(trickle) as server:
        client = twins.client(server.url, retries=RetryPolicy(clock=lambda: now[-1]))
        with pytest.raises(Exception, match=r"\[500 Internal Server Error\] broken"):
            await call(client, "duplicate")


@OPERATIONS
async def test_the_wait_for_a_free_connection_is_limited(twins: Twins, operation: str) -> None:
    """When all of a pool's connections are in use, nothing was sent, so it is also tried again."""
    theirs = twins.httpx_client(limits=httpx.Limits(max_connections=1))
    with Loopback([STREAM + said("Hel"), until_left], FINE[operation]) as server:
        limits = Timeout(pool=0.02)
        client = twins.patient(server.url, timeout=limits, http_client=theirs, clock=lambda: 0.0)
        async with client.chat.stream("Hi", agent_id="-Oabc"):
            with pytest.raises(APITimeoutError, match=r"limit: pool, 0\.02 s.*nothing was sent") as caught:
                await call(client, operation)
            assert len(client.slept) == 2
        await call(client, operation)
    assert not caught.value.request_sent
    assert len(server.requests) == 2


async def test_the_wait_for_the_service_to_take_the_request_is_limited(twins: Twins) -> None:
    """A service that does not read is left after `write`; some of it went out, so it counts as sent."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        client = twins.patient(
            f"http://127.0.0.1:{deaf.getsockname()[1]}", timeout=Timeout(write=0.05, first_byte=5)
        )
        with pytest.raises(APITimeoutError, match=r"limit: write, 0\.05 s") as caught:
            await client.chat.send("x" * 20_000_000, agent_id="-Oabc")
    assert caught.value.request_sent
    assert client.slept == []


async def test_the_wait_for_a_connection_is_limited(twins: Twins) -> None:
    """A host that does not answer at all is left after `connect`; nothing was sent."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        client = twins.patient(f"http://127.0.0.1:{full.getsockname()[1]}", timeout=Timeout(connect=0.05))
        with pytest.raises(APITimeoutError, match=r"limit: connect, 0\.05 s.*nothing was sent") as caught:
            await call(client, "duplicate")
    assert not caught.value.request_sent
    assert client.slept == [0.5, 1.0]
