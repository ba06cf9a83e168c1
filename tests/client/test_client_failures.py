"""Connection failures: the raised error, and how often the request is sent."""

from __future__ import annotations

import threading

import httpx
import pytest
from clients import OPERATIONS, READERS, Clients, call, chat
from loopback import (
    END,
    STREAM,
    SUCCESS,
    Loopback,
    Peer,
    Step,
    Steps,
    chunk,
    close,
    copied,
    http,
    linger,
    nowhere,
    reply,
    reset,
    text_event,
    until_disconnect,
)

from millis_wrapper import (
    APIConnectionError,
    APITimeoutError,
    MillisError,
    StreamInterruptedError,
    Timeout,
    UnexpectedResponseError,
)

pytestmark = pytest.mark.anyio

MAY_BE_PROCESSED = {
    "chat": "may have acted",
    "duplicate": "a copy may exist",
}

NO_RESPONSE: dict[str, Steps] = {
    "reset": [reset],
    "closed": [close],
    "half a status line": [b"HTTP/1.1 2", close],
    "half the headers": [b"HTTP/1.1 200 OK\r\ncontent-ty", close],
    "reset in the headers": [b"HTTP/1.1 200 OK\r\ncontent-ty", reset],
    "not HTTP": [b"220 mail.example ESMTP\r\n\r\n", close],
    "headers without an end": [b"HTTP/1.1 200 OK\r\nx-a: " + b"a" * 300_000, close],
}


@OPERATIONS
@pytest.mark.parametrize("response", NO_RESPONSE.values(), ids=NO_RESPONSE.keys())
async def test_a_request_without_a_response_is_not_retried(
    clients: Clients, operation: str, response: Steps
) -> None:
    """A request that was sent may have been processed, and `maybe_processed` is True."""
    with Loopback(response, SUCCESS[operation]) as server:
        client = clients.without_sleep(server.url)
        with pytest.raises(APIConnectionError, match=MAY_BE_PROCESSED[operation]) as caught:
            await call(client, operation)
    assert caught.value.maybe_processed
    assert isinstance(caught.value.__cause__, httpx.RequestError)
    assert (len(server.requests), client.slept) == (1, [])


@OPERATIONS
async def test_a_refused_connection_is_retried(clients: Clients, operation: str) -> None:
    """The request was not sent, so the client retries it with growing delays."""
    client = clients.without_sleep(f"http://{nowhere()}", max_retries=4)
    with pytest.raises(APIConnectionError, match="nothing was sent") as caught:
        await call(client, operation)
    assert not caught.value.maybe_processed
    assert client.slept == [0.5, 1.0, 2.0, 4.0]


@OPERATIONS
async def test_a_failed_tls_handshake_is_retried(clients: Clients, operation: str) -> None:
    """The request is not sent during the handshake."""
    with Loopback(SUCCESS[operation]) as server:
        client = clients.without_sleep(f"https://{server.address}")
        with pytest.raises(APIConnectionError, match="nothing was sent") as caught:
            await call(client, operation)
    assert not caught.value.maybe_processed
    assert (server.connections, len(server.requests)) == (3, 0)


@OPERATIONS
@pytest.mark.parametrize(
    ("failure", "kind", "sent"),
    [
        (httpx.ConnectError, APIConnectionError, False),
        (httpx.ConnectTimeout, APITimeoutError, False),
        (httpx.PoolTimeout, APITimeoutError, False),
        (httpx.ProxyError, APIConnectionError, False),
        (httpx.UnsupportedProtocol, APIConnectionError, False),
        (httpx.WriteTimeout, APITimeoutError, True),
        (httpx.ReadTimeout, APITimeoutError, True),
        (httpx.WriteError, APIConnectionError, True),
        (httpx.ReadError, APIConnectionError, True),
        (httpx.CloseError, APIConnectionError, True),
        (httpx.LocalProtocolError, APIConnectionError, True),
        (httpx.RemoteProtocolError, APIConnectionError, True),
        (httpx.DecodingError, APIConnectionError, True),
    ],
)
async def test_only_failures_before_the_request_is_sent_are_retried(
    clients: Clients,
    operation: str,
    failure: type[httpx.RequestError],
    kind: type[APIConnectionError],
    sent: bool,
) -> None:
    """Exceptions of httpx become our errors. The client retries only those without a connection."""
    sent_requests: list[httpx.Request] = []

    def fail(request: httpx.Request) -> httpx.Response:
        sent_requests.append(request)
        raise failure("")

    theirs = clients.httpx_client(transport=httpx.MockTransport(fail))
    client = clients.without_sleep("https://millis.invalid", http_client=theirs)
    with pytest.raises(APIConnectionError) as caught:
        await call(client, operation)
    assert type(caught.value) is kind
    assert caught.value.maybe_processed is sent
    assert len(sent_requests) == (1 if sent else 3)


HALF = b'{"id": "-Onew", "na'
CUT: dict[str, Steps] = {
    "content-length": [b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n" + HALF, close],
    "reset": [b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n" + HALF, reset],
    "chunked": [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(HALF), close],
    "half a chunk": [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n40\r\n" + HALF, close],
}


@pytest.mark.parametrize("response", CUT.values(), ids=CUT.keys())
async def test_a_cut_off_response_to_duplicate_is_not_retried(clients: Clients, response: Steps) -> None:
    """A copy may exist, and its id may be in the received part, which the error has."""
    with Loopback(response, copied()) as server:
        client = clients.without_sleep(server.url)
        with pytest.raises(APIConnectionError, match="a copy may exist") as caught:
            await call(client, "duplicate")
    assert caught.value.maybe_processed
    # A reset may discard bytes that have not been read, depending on the operating system.
    assert caught.value.body in ([HALF.decode(), ""] if reset in response else [HALF.decode()])
    assert (len(server.requests), client.slept) == (1, [])


@READERS
@pytest.mark.parametrize("broken", [close, reset])
async def test_a_chat_whose_reply_is_cut_off_is_not_retried(
    clients: Clients, broken: Step, pause: float
) -> None:
    """The error has the text received before the cut."""
    rest: Steps = [STREAM + text_event("Hel"), broken]
    with Loopback(rest, reply("Hello")) as server:
        client = clients.without_sleep(server.url)
        with pytest.raises(StreamInterruptedError) as caught:
            await chat(client, pause)
    assert caught.value.reply.text in ("Hel", "") if broken is reset else caught.value.reply.text == "Hel"
    assert caught.value.reply.ended is None
    assert (len(server.requests), client.slept) == (1, [])


@OPERATIONS
async def test_a_connection_that_the_server_closed_is_not_reused(clients: Clients, operation: str) -> None:
    """If the close arrives before the next call, the client opens a new connection without an error."""
    closed = threading.Event()
    with Loopback([*SUCCESS[operation], close, lambda _: closed.set()], SUCCESS[operation]) as server:
        client = clients.without_sleep(server.url)
        await call(client, operation)
        assert closed.wait(5)
        await call(client, operation)
    assert (server.connections, len(server.requests), client.slept) == (2, 2, [])


@OPERATIONS
@pytest.mark.parametrize("broken", [close, reset])
async def test_a_connection_that_the_server_closes_during_sending_counts_as_sent(
    clients: Clients, operation: str, broken: Step
) -> None:
    """The client cannot know whether the service read the request, so it does not retry."""
    with Loopback([*SUCCESS[operation], Peer.wait_for_request, broken], SUCCESS[operation]) as server:
        client = clients.without_sleep(server.url)
        await call(client, operation)
        with pytest.raises(APIConnectionError, match=MAY_BE_PROCESSED[operation]) as caught:
            await call(client, operation)
    assert caught.value.maybe_processed
    assert (server.connections, len(server.requests), client.slept) == (1, 1, [])


@pytest.mark.parametrize("response", [[http(200)], [http(204)], [STREAM + END], [http(200, "null")]])
@OPERATIONS
async def test_an_empty_success_response_is_an_error(
    clients: Clients, operation: str, response: Steps
) -> None:
    """The client raises UnexpectedResponseError and does not retry."""
    with Loopback(response, SUCCESS[operation]) as server, pytest.raises(UnexpectedResponseError):
        await call(clients.without_sleep(server.url), operation)
    assert len(server.requests) == 1


@pytest.mark.parametrize("ending", [[close], [reset], [until_disconnect]], ids=["closed", "reset", "stalled"])
@pytest.mark.parametrize("framing", ["chunked", "length"])
async def test_a_copy_is_returned_if_only_the_end_of_the_body_is_missing(
    clients: Clients, framing: str, ending: Steps
) -> None:
    """A body that is complete JSON contains the entire copy."""
    body = b'{"config": {"prompt": "%s"}, "id": "-Onew"}' % (b"x" * 5000)
    head = {
        "chunked": b"transfer-encoding: chunked\r\n\r\n" + chunk(body),
        "length": b"content-length: %d\r\n\r\n" % (len(body) + 1) + body,
    }[framing]
    with Loopback([b"HTTP/1.1 200 OK\r\n" + head, linger(0.05), *ending]) as server:
        made = await clients.client(server.url, timeout=Timeout(idle=1)).agents.duplicate("-Oabc")
    assert made.id == "-Onew"
    assert len(server.requests) == 1


async def test_the_error_of_a_cut_off_response_has_the_entire_received_part(clients: Clients) -> None:
    """The id of the copy may be anywhere in it."""
    body = b'{"config": {"prompt": "%s"}, "id": "-Onew", "name": "' % (b"x" * 5000)
    cut: Steps = [b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n" + body, close]
    with Loopback(cut) as server, pytest.raises(APIConnectionError) as caught:
        await call(clients.client(server.url), "duplicate")
    assert caught.value.body == body.decode()


async def test_a_failing_event_hook_does_not_cause_a_second_copy(clients: Clients) -> None:
    """The service has already responded when the hook's own request fails."""

    def report(response: httpx.Response) -> None:
        httpx.post(f"http://{nowhere()}/metrics")

    async def report_async(response: httpx.Response) -> None:
        report(response)

    theirs = clients.httpx_client()
    theirs.event_hooks = {"response": [report_async if clients.kind != "sync" else report]}
    with Loopback(copied()) as server, pytest.raises(APIConnectionError, match="a copy may exist") as caught:
        await call(clients.client(server.url, http_client=theirs), "duplicate")
    assert caught.value.maybe_processed
    assert len(server.requests) == 1


async def test_an_event_hook_may_remove_the_key(clients: Clients) -> None:
    """A hook that logs requests may remove the key, and the copy is returned."""

    def remove(response: httpx.Response) -> None:
        del response.request.headers["authorization"]

    async def remove_async(response: httpx.Response) -> None:
        remove(response)

    theirs = clients.httpx_client()
    theirs.event_hooks = {"response": [remove_async if clients.kind != "sync" else remove]}
    with Loopback(copied("-Onew")) as server:
        made = await clients.client(server.url, http_client=theirs).agents.duplicate("-Oabc")
    assert made.id == "-Onew"


@OPERATIONS
async def test_an_event_hook_that_consumes_the_body_is_an_error(clients: Clients, operation: str) -> None:
    """The client cannot read the body a second time, and raises one of our errors."""

    def read_body(response: httpx.Response) -> None:
        list(response.iter_raw())

    async def read_body_async(response: httpx.Response) -> None:
        _ = [chunk async for chunk in response.aiter_raw()]

    theirs = clients.httpx_client()
    theirs.event_hooks = {"response": [read_body_async if clients.kind != "sync" else read_body]}
    with Loopback(SUCCESS[operation]) as server, pytest.raises(MillisError, match="already been streamed"):
        await call(clients.client(server.url, http_client=theirs), operation)


@OPERATIONS
async def test_an_event_hook_that_closes_the_response_is_an_error(clients: Clients, operation: str) -> None:
    """Its connection may already serve another call, so the client does not read from it."""

    async def close_async(response: httpx.Response) -> None:
        await response.aclose()

    theirs = clients.httpx_client()
    hook = close_async if clients.kind != "sync" else httpx.Response.close
    theirs.event_hooks = {"response": [hook]}
    with Loopback(SUCCESS[operation]) as server, pytest.raises(MillisError, match="has been closed"):
        await call(clients.client(server.url, http_client=theirs), operation)
