"""Each limit holds for its whole phase, however the bytes trickle in."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable

import pytest
from clients import OPERATIONS, Clients, call
from loopback import DONE, STREAM, Answer, Loopback, Peer, chunk, said

from millis_wrapper import (
    APITimeoutError,
    MillisError,
    StreamInterruptedError,
    Timeout,
    UnexpectedResponseError,
)

pytestmark = pytest.mark.anyio

ENOUGH = 10.0  # seconds after which a call that should have ended has failed its test


def drip(piece: Callable[[int], bytes], seconds: float = 0.02) -> Callable[[Peer], None]:
    """Send one small piece after the other until the client leaves."""

    def step(peer: Peer) -> None:
        for number in range(int(ENOUGH / seconds)):
            if peer.watch(seconds) or peer.server.stopping.is_set():
                return
            peer.send(piece(number))

    return step


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream"
SLOW_HEADS: dict[str, Answer] = {
    "a head letter by letter": [HEAD, drip(lambda number: b"x" if number % 8 else b"\r\nx-%d: " % number)],
    "1xx without an end": [drip(lambda number: b"HTTP/1.1 103 Early Hints\r\nx: %d\r\n\r\n" % number)],
}


@OPERATIONS
@pytest.mark.parametrize("answer", SLOW_HEADS.values(), ids=SLOW_HEADS.keys())
async def test_a_head_that_trickles_in_is_limited_by_first_byte(
    clients: Clients, operation: str, answer: Answer
) -> None:
    """Each piece comes in time, and the whole does not."""
    with Loopback(answer) as server:
        client = clients.client(server.url, timeout=Timeout(first_byte=0.4, idle=3))
        began = time.monotonic()
        with pytest.raises(APITimeoutError, match="first_byte") as caught:
            await call(client, operation)
    assert time.monotonic() - began < ENOUGH / 2
    assert caught.value.maybe_processed
    assert len(server.requests) == 1


GZIP = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"
EMPTY_BLOCK = gzip.compress(b"")
TRICKLES: dict[str, Answer] = {
    "comments": [STREAM, drip(lambda _: chunk(b": still there\n"))],
    "empty events": [STREAM, drip(lambda _: chunk(b"\n\n"))],
    "empty gzip blocks": [GZIP, drip(lambda _: chunk(EMPTY_BLOCK))],
    "texts": [STREAM, drip(lambda _: said("x"))],
}


@pytest.mark.parametrize("answer", TRICKLES.values(), ids=TRICKLES.keys())
async def test_a_body_that_trickles_in_is_limited_by_total(clients: Clients, answer: Answer) -> None:
    """Nothing keeps a reply open longer than `total`, whatever it is that comes."""
    with Loopback(answer) as server:
        client = clients.client(server.url, timeout=Timeout(total=0.4, idle=3))
        began = time.monotonic()
        with pytest.raises((StreamInterruptedError, UnexpectedResponseError)):
            await client.chat.send("Hi", agent_id="-Oabc")
    assert time.monotonic() - began < ENOUGH / 2


async def test_comments_do_not_prolong_the_wait_for_the_mark(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a finish_reason the reply is whole; `[DONE]` is waited for a few seconds, whatever else comes."""
    monkeypatch.setattr("millis_wrapper._http.FINISH_SECONDS", 0.3)
    reason = chunk(b'data: {"choices":[{"delta":{"content":"Whole."},"finish_reason":"stop"}]}\n\n')
    with Loopback([STREAM + reason, drip(lambda _: chunk(b": still there\n\n"))]) as server:
        began = time.monotonic()
        reply = await clients.client(server.url).chat.send("Hi", agent_id="-Oabc")
    assert time.monotonic() - began < ENOUGH / 2
    assert (reply.text, reply.ended) == ("Whole.", "finish_reason")


async def test_a_mark_that_comes_after_the_reason_is_heard(clients: Clients) -> None:
    """The wait ends as soon as it is there."""
    reason = chunk(b'data: {"choices":[{"delta":{"content":"Whole."},"finish_reason":"stop"}]}\n\n')
    with Loopback([STREAM + reason, drip(lambda _: DONE, 0.2)]) as server:
        reply = await clients.client(server.url).chat.send("Hi", agent_id="-Oabc")
    assert (reply.text, reply.ended) == ("Whole.", "done")


@OPERATIONS
@pytest.mark.parametrize("coding", ["br", "zstd", "br, gzip"])
async def test_a_body_in_a_coding_that_is_not_installed_is_named(
    clients: Clients, operation: str, coding: str
) -> None:
    """httpx hands such a body on as it is; the error says why it cannot be read."""
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: 4\r\n\r\n".encode()
    with Loopback([head + b"\x8b\x02\x80{"]) as server, pytest.raises(MillisError) as caught:
        await call(clients.client(server.url), operation)
    assert coding.partition(",")[0] in str(caught.value)
    assert caught.value.maybe_processed
