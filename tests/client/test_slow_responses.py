"""Every timeout covers its entire phase, even if the service sends a few bytes at a time."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable

import pytest
from clients import OPERATIONS, READERS, Clients, call, chat
from loopback import DONE, STREAM, Loopback, Peer, Steps, chunk, text_event

from millis_wrapper import (
    APITimeoutError,
    MillisError,
    StreamInterruptedError,
    Timeout,
    UnexpectedResponseError,
)

pytestmark = pytest.mark.anyio

ENOUGH = 10.0  # seconds before a hanging call fails its test


def drip(data: Callable[[int], bytes], seconds: float = 0.02) -> Callable[[Peer], None]:
    """Send small parts of data until the client disconnects."""

    def step(peer: Peer) -> None:
        for number in range(int(ENOUGH / seconds)):
            if peer.watch(seconds) or peer.server.stopping.is_set():
                return
            peer.send(data(number))

    return step


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream"
SLOW_HEADS: dict[str, Steps] = {
    "header bytes one by one": [HEAD, drip(lambda number: b"x" if number % 8 else b"\r\nx-%d: " % number)],
    "endless 1xx responses": [drip(lambda number: b"HTTP/1.1 103 Early Hints\r\nx: %d\r\n\r\n" % number)],
}


@OPERATIONS
@pytest.mark.parametrize("response", SLOW_HEADS.values(), ids=SLOW_HEADS.keys())
async def test_first_byte_covers_slow_headers(clients: Clients, operation: str, response: Steps) -> None:
    """No single wait exceeds the timeout, but the headers as a unit arrive too late."""
    with Loopback(response) as server:
        client = clients.client(server.url, timeout=Timeout(first_byte=0.4, idle=3))
        started = time.monotonic()
        with pytest.raises(APITimeoutError, match="first_byte") as caught:
            await call(client, operation)
    assert time.monotonic() - started < ENOUGH / 2
    assert caught.value.maybe_processed
    assert len(server.requests) == 1


GZIP = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"
EMPTY_BLOCK = gzip.compress(b"")
TRICKLES: dict[str, Steps] = {
    "comments": [STREAM, drip(lambda _: chunk(b": still there\n"))],
    "empty events": [STREAM, drip(lambda _: chunk(b"\n\n"))],
    "empty gzip blocks": [GZIP, drip(lambda _: chunk(EMPTY_BLOCK))],
    "texts": [STREAM, drip(lambda _: text_event("x"))],
}


@READERS
@pytest.mark.parametrize("response", TRICKLES.values(), ids=TRICKLES.keys())
async def test_total_covers_a_slow_body(clients: Clients, response: Steps, pause: float) -> None:
    """Comments, empty events, empty gzip blocks and text do not extend `total`."""
    with Loopback(response) as server:
        client = clients.client(server.url, timeout=Timeout(total=0.4, idle=3))
        started = time.monotonic()
        with pytest.raises((StreamInterruptedError, UnexpectedResponseError)):
            await chat(client, pause)
    assert time.monotonic() - started < ENOUGH / 2


async def test_comments_do_not_extend_the_wait_for_done(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a finish_reason, the client waits for `[DONE]` for a few seconds in total."""
    monkeypatch.setattr("millis_wrapper._http.FINISH_SECONDS", 0.3)
    reason = chunk(b'data: {"choices":[{"delta":{"content":"Complete."},"finish_reason":"stop"}]}\n\n')
    with Loopback([STREAM + reason, drip(lambda _: chunk(b": still there\n\n"))]) as server:
        started = time.monotonic()
        reply = await clients.client(server.url).chat.send("Hi", agent_id="-Oabc")
    assert time.monotonic() - started < ENOUGH / 2
    assert (reply.text, reply.ended) == ("Complete.", "finish_reason")


async def test_done_after_a_finish_reason_ends_the_reply(clients: Clients) -> None:
    """The wait ends as soon as `[DONE]` arrives."""
    reason = chunk(b'data: {"choices":[{"delta":{"content":"Complete."},"finish_reason":"stop"}]}\n\n')
    with Loopback([STREAM + reason, drip(lambda _: DONE, 0.2)]) as server:
        reply = await clients.client(server.url).chat.send("Hi", agent_id="-Oabc")
    assert (reply.text, reply.ended) == ("Complete.", "done")


@OPERATIONS
@pytest.mark.parametrize("coding", ["br", "zstd", "br, gzip"])
async def test_the_message_for_an_unsupported_content_encoding_names_it(
    clients: Clients, operation: str, coding: str
) -> None:
    """The client cannot decode the body, and the error names the content-encoding."""
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: 4\r\n\r\n".encode()
    with Loopback([head + b"\x8b\x02\x80{"]) as server, pytest.raises(MillisError) as caught:
        await call(clients.client(server.url), operation)
    assert coding.partition(",")[0] in str(caught.value)
    assert caught.value.maybe_processed
