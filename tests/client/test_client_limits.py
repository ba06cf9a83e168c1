"""Timeouts: each works without the others, and every wait has one."""

from __future__ import annotations

import math
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from adapters import AnyMillis
from clients import OPERATIONS, READERS, Clients, call, chat, in_thread
from loopback import END, STREAM, SUCCESS, Loopback, Step, Steps, linger, reply, text_event, until_disconnect

from millis_wrapper import (
    APIConnectionError,
    APITimeoutError,
    InternalServerError,
    MillisError,
    RetryPolicy,
    StreamInterruptedError,
    Timeout,
)

pytestmark = pytest.mark.anyio

OPENING: dict[str, Step] = {
    "chat": STREAM + text_event("Hel"),
    "duplicate": b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"id": "-On',
}
WHOSE = pytest.mark.parametrize("whose", ["own", "custom"])


def custom_client(clients: Clients, whose: str) -> dict[str, Any]:
    """Return the argument for a custom client, whose own timeouts must not apply."""
    return {"http_client": clients.httpx_client(timeout=None)} if whose == "custom" else {}


@OPERATIONS
@WHOSE
async def test_first_byte_limits_the_wait_for_the_headers(
    clients: Clients, operation: str, whose: str
) -> None:
    """The client gives up after `first_byte` and does not retry the request."""
    with Loopback([until_disconnect], SUCCESS[operation]) as server:
        client = clients.client(server.url, timeout=Timeout(first_byte=0.05), **custom_client(clients, whose))
        with pytest.raises(APITimeoutError, match="first_byte") as caught:
            await call(client, operation)
        assert await in_thread(server.disconnected.wait)
    assert caught.value.maybe_processed
    assert len(server.requests) == 1


@READERS
@OPERATIONS
@WHOSE
async def test_idle_limits_the_wait_between_two_chunks(
    clients: Clients, operation: str, whose: str, pause: float
) -> None:
    """After the headers, only `idle` applies, even if `first_byte` is longer."""
    # A client that applies `first_byte` here gets the response, which fails the test.
    slow: Steps = [OPENING[operation], linger(2.0), *SUCCESS[operation]]
    with Loopback(slow) as server:
        limits = Timeout(first_byte=math.inf, idle=0.05)
        client = clients.client(server.url, timeout=limits, **custom_client(clients, whose))
        wanted = StreamInterruptedError if operation == "chat" else APITimeoutError
        with pytest.raises(wanted, match=r"0\.05 s .*idle") as caught:
            # The time that the reader takes does not count.
            await (chat(client, 2 * pause) if operation == "chat" else call(client, operation))
        assert await in_thread(server.disconnected.wait)
    error: MillisError = caught.value
    if operation == "chat":
        assert isinstance(error, StreamInterruptedError)
        assert error.reply.text == "Hel"
    else:
        assert isinstance(error, APITimeoutError)
        assert (error.maybe_processed, error.body) == (True, '{"id": "-On')
    assert len(server.requests) == 1


@WHOSE
async def test_first_byte_does_not_apply_after_the_headers(clients: Clients, whose: str) -> None:
    """A pause in the body may be longer than `first_byte`."""
    slow: Steps = [STREAM, linger(1.2), text_event("Hello") + END]
    with Loopback(slow) as server:
        client = clients.client(server.url, timeout=Timeout(first_byte=1), **custom_client(clients, whose))
        assert (await client.chat.send("Hi", agent_id="-Oabc")).text == "Hello"


@OPERATIONS
async def test_a_timeout_of_a_call_overrides_the_clients_timeouts(clients: Clients, operation: str) -> None:
    """A number applies to every wait of this call; the next call uses the client's timeouts again."""
    with Loopback([until_disconnect], [linger(0.25), *SUCCESS[operation]]) as server:
        client = clients.client(server.url)
        with pytest.raises(APITimeoutError):
            await call(client, operation, timeout=1)
        await call(client, operation)
    assert len(server.requests) == 2


class Late(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body whose second chunk arrives after the deadline. Reading further fails the test."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks
        self.now = 0.0

    def __iter__(self) -> Iterator[bytes]:
        first, second = self.chunks
        yield first
        self.now = 601.0
        yield second
        raise AssertionError("the response was read after its deadline")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk

    def client(self, clients: Clients, status: int = 200) -> AnyMillis:
        transport = httpx.MockTransport(lambda _: httpx.Response(status, stream=self))
        return clients.client(
            "https://millis.invalid",
            http_client=clients.httpx_client(transport=transport),
            max_retries=RetryPolicy(clock=lambda: self.now),
        )


@READERS
async def test_total_limits_the_duration_of_a_reply(clients: Clients, pause: float) -> None:
    """The error has all text that arrived before the deadline."""
    client = Late(b"data: Hel\n\n", b"data: lo\n\n").client(clients)
    with pytest.raises(StreamInterruptedError, match=r"600 s .*total") as caught:
        await chat(client, pause)
    assert caught.value.reply.text == "Hello"


async def test_total_starts_with_the_status_line(clients: Clients) -> None:
    """The time also runs while the caller is not reading."""
    body = Late(b"data: Hel\n\n", b"data: lo\n\n")
    stream = body.client(clients).chat.stream("Hi", agent_id="-O")
    async with stream:
        body.now = 601.0
        with pytest.raises(StreamInterruptedError, match="total") as caught:
            await stream.until_done()
    assert caught.value.reply.text == "Hel"


async def test_total_limits_the_response_to_duplicate(clients: Clients) -> None:
    """The error has the part of the body that arrived."""
    client = Late(b'{"id": ', b'"-Onew"').client(clients)
    with pytest.raises(APITimeoutError, match=r"600 s .*total") as caught:
        await call(client, "duplicate")
    assert (caught.value.maybe_processed, caught.value.body) == (True, '{"id": "-Onew"')


async def test_a_reply_that_is_complete_at_the_deadline_is_returned(clients: Clients) -> None:
    """A complete reply is not an error, even if its end arrives late."""
    reply = (
        await Late(b"data: Hel\n\n", b"data: lo\n\ndata: [DONE]\n\n")
        .client(clients)
        .chat.send("Hi", agent_id="-O")
    )
    assert (reply.text, reply.ended) == ("Hello", "done")


@pytest.mark.parametrize("config", [b"{}", b'{"a":' * 400 + b"1" + b"}" * 400], ids=["flat", "deep"])
async def test_a_copy_that_is_complete_at_the_deadline_is_returned(clients: Clients, config: bytes) -> None:
    """A body that is complete JSON contains the entire copy, however deeply it is nested."""
    body = b'{"config": ' + config + b', "id": '
    made = await Late(body, b'"-Onew"}').client(clients).agents.duplicate("-O")
    assert made.id == "-Onew"


async def test_a_slow_error_body_does_not_change_the_error(clients: Clients) -> None:
    """The error of the status is raised, with the part of the body that arrived."""
    with pytest.raises(InternalServerError, match=r"\[500 Internal Server Error\] broken"):
        await call(Late(b"bro", b"ken").client(clients, 500), "duplicate")


@OPERATIONS
async def test_pool_limits_the_wait_for_a_free_connection(clients: Clients, operation: str) -> None:
    """The request was not sent, so the client retries it."""
    theirs = clients.httpx_client(limits=httpx.Limits(max_connections=1))
    with Loopback([STREAM + text_event("Hel"), until_disconnect], SUCCESS[operation]) as server:
        limits = Timeout(pool=0.02)
        client = clients.without_sleep(server.url, timeout=limits, http_client=theirs, clock=lambda: 0.0)
        async with client.chat.stream("Hi", agent_id="-Oabc"):
            with pytest.raises(APITimeoutError, match=r"pool.*nothing was sent") as caught:
                await call(client, operation)
            assert len(client.slept) == 2
        await call(client, operation)
    assert not caught.value.maybe_processed
    assert len(server.requests) == 2


async def test_write_limits_the_sending_of_the_request(clients: Clients) -> None:
    """A part of the request was sent, so the service may have processed it."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        client = clients.without_sleep(
            f"http://127.0.0.1:{deaf.getsockname()[1]}", timeout=Timeout(write=0.05, first_byte=5)
        )
        with pytest.raises(APITimeoutError, match="write") as caught:
            await client.chat.send("x" * 20_000_000, agent_id="-Oabc")
    assert caught.value.maybe_processed
    assert client.slept == []


async def test_connect_limits_the_wait_for_a_connection(clients: Clients) -> None:
    """The request was not sent, so the client retries it."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        client = clients.without_sleep(
            f"http://127.0.0.1:{full.getsockname()[1]}", timeout=Timeout(connect=0.05)
        )
        with pytest.raises(APITimeoutError, match=r"connect.*nothing was sent") as caught:
            await call(client, "duplicate")
    assert not caught.value.maybe_processed
    assert client.slept == [0.5, 1.0]


async def test_a_custom_client_is_not_closed(clients: Clients) -> None:
    """A failed call on a custom client does not close it."""
    theirs = clients.httpx_client(limits=httpx.Limits(max_connections=1))
    with Loopback([until_disconnect], reply("again")) as server:
        millis = clients.client(server.url, http_client=theirs)
        with pytest.raises(APIConnectionError):
            await millis.chat.send("Hi", agent_id="-Oabc", timeout=0.2)
        assert (await millis.chat.send("Hi", agent_id="-Oabc")).text == "again"
        await millis.aclose()
    assert not theirs.is_closed
