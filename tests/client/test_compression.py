"""Bodies with a content-encoding. The client does not request one, but some gateways compress anyway."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest
from clients import OPERATIONS, Clients, call, chat
from loopback import Loopback, Step, http

from millis_wrapper import MillisError, NotFoundError, StreamInterruptedError, UnexpectedResponseError

pytestmark = pytest.mark.anyio


def _bomb() -> bytes:
    return gzip.compress(gzip.compress(bytes(30_000_000)))


CODINGS: dict[str, bytes] = {
    "gzip, gzip": _bomb(),
    "br": b"\x1b\x0f\x00\xf8\xa5",
    "zstd": b"(\xb5/\xfd",
    "deflate": zlib.compress(b"{}"),
}


@OPERATIONS
@pytest.mark.parametrize("coding", CODINGS)
async def test_an_unrequested_compression_is_not_decoded(
    clients: Clients, operation: str, coding: str
) -> None:
    """The error names the content-encoding."""
    body, headers = CODINGS[coding], {"content-encoding": coding}
    with Loopback([http(200, body, headers)]) as server, pytest.raises(MillisError) as caught:
        await call(clients.client(server.url), operation)
    assert isinstance(caught.value, UnexpectedResponseError)
    assert coding in str(caught.value)


@OPERATIONS
async def test_gzip_is_decoded_up_to_the_limit_for_plain_bodies(clients: Clients, operation: str) -> None:
    """A gzip body of 300 KB that decodes to 300 MB is an error at the size limit for plain bodies."""
    body = gzip.compress(b" " * 300_000_000)
    with (
        Loopback([http(200, body, {"content-encoding": "gzip"})]) as server,
        pytest.raises(UnexpectedResponseError),
    ):
        await call(clients.client(server.url), operation)


async def test_an_error_body_in_gzip_is_decoded(clients: Clients) -> None:
    """The detail is read; a body that decodes to a huge one is cut at the limit for error bodies."""
    small, large = gzip.compress(b'{"detail": "no such agent"}'), gzip.compress(b"x" * 100_000_000)
    responses: list[list[Step]] = [[http(404, body, {"content-encoding": "gzip"})] for body in (small, large)]
    with Loopback(*responses) as server:
        client = clients.client(server.url)
        with pytest.raises(NotFoundError, match="no such agent"):
            await call(client, "duplicate")
        with pytest.raises(NotFoundError):
            await call(client, "duplicate")


async def test_a_reply_and_a_copy_in_gzip_are_decoded(clients: Clients) -> None:
    """A gateway may compress although the client does not accept it."""
    events = b'data: {"choices":[{"delta":{"content":"Hello"}}]}\n\ndata: [DONE]\n\n'
    copy = json.dumps({"id": "-Ocopy", "name": "c", "config": {}, "created_at": 1}).encode()
    coded = {"content-encoding": "gzip"}
    responses: list[list[Step]] = [[http(200, gzip.compress(body), coded)] for body in (events, copy)]
    with Loopback(*responses) as server:
        client = clients.client(server.url)
        chat: Any = await call(client, "chat")
        agent: Any = await call(client, "duplicate")
    assert (chat.text, agent.id) == ("Hello", "-Ocopy")


async def test_gzip_that_is_cut_off_makes_the_reply_fail(clients: Clients) -> None:
    """The text before the cut is kept."""
    events = b"".join(
        b'data: {"choices":[{"delta":{"content":"%d "}}]}\n\n' % number for number in range(3000)
    )
    body = gzip.compress(events + b"data: [DONE]\n\n")
    response: list[Step] = [http(200, body[:-40], {"content-encoding": "gzip"})]
    with Loopback(response) as server, pytest.raises(StreamInterruptedError) as caught:
        await chat(clients.client(server.url))
    assert caught.value.reply.text.startswith("0 1 2 ")
