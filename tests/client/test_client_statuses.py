"""Error statuses: the raised error, and which statuses are retried."""

from __future__ import annotations

import pytest
from clients import OPERATIONS, Clients, call
from loopback import SUCCESS, Loopback, Peer, Steps, chunk, close, copied, http, linger, reset

from millis_wrapper import (
    APIStatusError,
    ConfigurationError,
    InternalServerError,
    MillisError,
    RateLimitError,
    UnexpectedResponseError,
)

pytestmark = pytest.mark.anyio

BROKEN_CHUNKS = b"HTTP/1.1 500 X\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(b"broken")


@OPERATIONS
@pytest.mark.parametrize("location", ["/elsewhere", "http://a:b/", "mailto:x", "javascript:1", "x" * 70_000])
async def test_a_redirect_is_an_error(clients: Clients, operation: str, location: str) -> None:
    """The client does not follow redirects, and an invalid location does not raise an httpx error."""
    with (
        Loopback([http(307, "moved", {"location": location})], SUCCESS[operation]) as server,
        pytest.raises(MillisError, match=r"redirect|location header") as caught,
    ):
        await call(clients.without_sleep(server.url), operation)
    assert len(server.requests) == 1
    if location == "/elsewhere":
        assert isinstance(caught.value, APIStatusError)
        assert (caught.value.status_code, caught.value.body) == (307, "moved")
    else:
        assert not isinstance(caught.value, ConfigurationError)


STATUSES = [302, 400, 401, 403, 404, 408, 409, 418, 422, 425, 429, 500, 502, 503, 504, 520]


@OPERATIONS
@pytest.mark.parametrize("retry_after", [None, "7"])
@pytest.mark.parametrize("status", STATUSES)
async def test_only_429_and_503_with_retry_after_are_retried(
    clients: Clients, operation: str, status: int, retry_after: str | None
) -> None:
    """The client retries both operations after 429, and a chat after 503 with Retry-After."""
    headers = {} if retry_after is None else {"retry-after": retry_after}
    with Loopback([http(status, '{"detail": "no"}', headers)], SUCCESS[operation]) as server:
        client = clients.without_sleep(server.url)
        if status == 429 or (operation, status, retry_after) == ("chat", 503, "7"):
            await call(client, operation)
            assert client.slept == [7.0 if retry_after else 0.5]
            assert (server.connections, len(server.requests)) == (1, 2)
            assert server.requests[0].body == server.requests[1].body
        else:
            with pytest.raises(APIStatusError, match=rf"\[{status}\b.*no") as caught:
                await call(client, operation)
            assert (caught.value.status_code, caught.value.detail) == (status, "no")
            assert caught.value.retry_after == (7.0 if retry_after else None)
            assert (len(server.requests), client.slept) == (1, [])


@OPERATIONS
async def test_a_repeated_429_is_raised_after_the_last_attempt(clients: Clients, operation: str) -> None:
    """After two retries, the last response is raised."""
    with Loopback([http(429, "slow down", {"retry-after": "7"})]) as server:
        client = clients.without_sleep(server.url)
        with pytest.raises(RateLimitError, match="slow down") as caught:
            await call(client, operation)
    assert caught.value.retry_after == 7.0
    assert (len(server.requests), client.slept) == (3, [7.0, 7.0])


@pytest.mark.parametrize(
    ("retry_after", "slept"),
    [
        ("25", [25.0, 25.0]),  # the third delay would end after 60 s
        ("31", []),  # longer than max_delay
        ("0", [0.0] * 5),
        ("Wed, 21 Oct 2015 07:28:00 GMT", [0.0] * 5),
        ("soon", [0.5, 1.0, 2.0, 4.0, 8.0]),
    ],
)
async def test_retry_after_is_obeyed_within_the_limits(
    clients: Clients, retry_after: str, slept: list[float]
) -> None:
    """The client waits for a delay or until a date, up to `max_delay` and `max_elapsed`."""
    with Loopback([http(429, "", {"retry-after": retry_after})]) as server:
        client = clients.without_sleep(server.url, max_retries=5)
        with pytest.raises(RateLimitError):
            await call(client, "duplicate")
    assert client.slept == slept
    assert len(server.requests) == len(slept) + 1


@OPERATIONS
async def test_max_retries_0_means_one_attempt(clients: Clients, operation: str) -> None:
    """The request is sent once, whatever the status."""
    with Loopback([http(429, "", {"retry-after": "0"})]) as server, pytest.raises(RateLimitError):
        await call(clients.client(server.url, max_retries=0), operation)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b'"text"', b'["list"]', b"<html>no</html>", b"\xff\xfe", b'{"detail": ', b"[" * 100_000],
    ids=["empty", "null", "string", "list", "html", "not UTF-8", "incomplete JSON", "deep"],
)
@OPERATIONS
async def test_the_status_decides_the_error_class(clients: Clients, operation: str, body: bytes) -> None:
    """The body does not matter."""
    with Loopback([http(500, body)]) as server, pytest.raises(InternalServerError) as caught:
        await call(clients.without_sleep(server.url), operation)
    assert caught.value.status_code == 500
    assert caught.value.body == body.decode("utf-8", "replace")[:2000]


@pytest.mark.parametrize(
    "response",
    [
        [b"HTTP/1.1 500 X\r\ncontent-length: 100\r\n\r\nbroken", close],
        [b"HTTP/1.1 500 X\r\ncontent-length: 100\r\n\r\nbroken", reset],
        [BROKEN_CHUNKS, linger(0.1), b"zz\r\n", close],
        [b"HTTP/1.1 500 X\r\ncontent-encoding: gzip\r\ncontent-length: 6\r\n\r\nbroken"],
    ],
    ids=["cut", "reset", "bad chunk", "bad gzip"],
)
async def test_a_cut_off_body_does_not_change_the_error_of_the_status(
    clients: Clients, response: Steps
) -> None:
    """The error has the part of the body that arrived."""
    with Loopback(response) as server, pytest.raises(InternalServerError) as caught:
        # A test that hangs here fails after the timeout.
        await call(clients.without_sleep(server.url), "duplicate", timeout=3)
    assert caught.value.body in ("broken", "")
    assert len(server.requests) == 1


async def test_only_the_start_of_an_error_body_is_read(clients: Clients) -> None:
    """The client stops reading an endless body and can send the next request."""
    with Loopback([b"HTTP/1.1 500 X\r\n\r\n", flood], copied()) as server:
        client = clients.without_sleep(server.url)
        with pytest.raises(InternalServerError) as caught:
            await call(client, "duplicate")
        assert caught.value.body == ("x" * 2000)
        await call(client, "duplicate")
    assert server.connections == 2


async def test_an_endless_response_to_duplicate_is_an_error(clients: Clients) -> None:
    """The error has the start of the body and warns that a copy may exist."""
    with (
        Loopback([b"HTTP/1.1 200 X\r\n\r\n", flood]) as server,
        pytest.raises(UnexpectedResponseError, match="a copy may exist") as caught,
    ):
        await call(clients.without_sleep(server.url), "duplicate")
    assert caught.value.body == "x" * 2000
    assert len(server.requests) == 1


def flood(peer: Peer) -> None:
    while True:
        peer.send(b"x" * 65536)
