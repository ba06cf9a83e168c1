"""HTTP/2 and SOCKS proxies, which aiohttp does not have. The other tests run on aiohttp, too."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import httpx
import pytest
from clients import ON_HTTPX, OPERATIONS, Clients, call, use_proxy
from loopback import Peer, Step, Unprompted, until_disconnect

from millis_wrapper import APIConnectionError, APITimeoutError, Timeout

pytestmark = [pytest.mark.anyio, ON_HTTPX]

Connection = h2.connection.H2Connection
React = Callable[[Connection, int], None]


class Service:
    """An HTTP/2 server over TLS that handles each request with the next reaction; the last one repeats."""

    def __init__(self, context: ssl.SSLContext, reactions: list[React]) -> None:
        self._context = context
        self._reactions = reactions
        self.requests = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._peers: list[socket.socket] = []

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._connection, args=[accepted], daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self._peers:
            with suppress(OSError):
                socket.socket.shutdown(peer, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _connection(self, accepted: socket.socket) -> None:
        # After a GOAWAY frame, h2 rejects further data.
        with (
            suppress(OSError, h2.exceptions.ProtocolError),
            self._context.wrap_socket(accepted, server_side=True) as peer,
        ):
            self._peers.append(peer)
            connection = Connection(h2.config.H2Configuration(client_side=False))
            connection.initiate_connection()
            peer.sendall(connection.data_to_send())
            while data := peer.recv(65536):
                for event in connection.receive_data(data):
                    if isinstance(event, h2.events.StreamEnded):
                        self.requests += 1
                        react = self._reactions[min(self.requests, len(self._reactions)) - 1]
                        react(connection, event.stream_id)
                peer.sendall(connection.data_to_send())


def respond(connection: Connection, stream: int) -> None:
    body = b'data: {"choices":[{"delta":{"content":"Hello"}}]}\n\ndata: [DONE]\n\n'
    copied = json.dumps({"id": "-Ocopy", "config": {}}).encode()
    # The body depends on the operation, which the fixture `_operation` sets.
    connection.send_headers(stream, [(":status", "200"), ("content-type", "text/event-stream")])
    connection.send_data(stream, body if _CHAT.is_set() else copied, end_stream=True)


_CHAT = threading.Event()


def refuse(connection: Connection, stream: int) -> None:
    connection.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)


def reset_stream(connection: Connection, stream: int) -> None:
    connection.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)


def goaway_below(connection: Connection, stream: int) -> None:
    connection.close_connection(h2.errors.ErrorCodes.NO_ERROR, last_stream_id=0)


def goaway_at(connection: Connection, stream: int) -> None:
    connection.close_connection(h2.errors.ErrorCodes.NO_ERROR, last_stream_id=stream)


@contextmanager
def service(file: Path, *reactions: React) -> Generator[tuple[Service, ssl.SSLContext]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    context.set_alpn_protocols(["h2"])
    running = Service(context, list(reactions))
    thread = threading.Thread(target=running.serve)
    thread.start()
    try:
        yield running, ssl.create_default_context(cafile=str(file))
    finally:
        running.close()
        thread.join(5)


@pytest.fixture(autouse=True)
def _operation(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.node.callspec.params["operation"] == "chat":
        _CHAT.set()
    yield
    _CHAT.clear()


@OPERATIONS
@pytest.mark.parametrize("unprocessed", [refuse, goaway_below])
async def test_an_unprocessed_request_is_retried(
    clients: Clients, operation: str, unprocessed: React, certificate: Path
) -> None:
    """REFUSED_STREAM and GOAWAY below the stream's id report an unprocessed request (RFC 9113, 8.7)."""
    with service(certificate, unprocessed, respond) as (running, trusted):
        http = clients.httpx_client(http2=True, verify=trusted, trust_env=False)
        await call(clients.client(running.url, http_client=http), operation)
        assert running.requests == 2


@OPERATIONS
@pytest.mark.parametrize("broken", [reset_stream, goaway_at])
async def test_a_request_that_may_have_been_processed_is_not_retried(
    clients: Clients, operation: str, broken: React, certificate: Path
) -> None:
    """After any other end, the service may have processed the request."""
    with service(certificate, broken) as (running, trusted):
        http = clients.httpx_client(http2=True, verify=trusted, trust_env=False)
        with pytest.raises(APIConnectionError) as caught:
            await call(clients.client(running.url, http_client=http), operation, timeout=2)
        assert running.requests == 1
    assert caught.value.maybe_processed


@OPERATIONS
async def test_a_request_without_a_free_stream_was_not_sent(
    clients: Clients, operation: str, certificate: Path
) -> None:
    """httpcore reports this only in the message of its exception."""
    with service(certificate, respond) as (running, trusted):
        http = clients.httpx_client(http2=True, verify=trusted, trust_env=False)

        def full(request: httpx.Request) -> None:
            raise httpx.LocalProtocolError("Max outbound streams is 100, 100 open")

        async def full_async(request: httpx.Request) -> None:
            full(request)

        http.event_hooks = {"request": [full_async if clients.kind != "sync" else full]}
        with pytest.raises(APIConnectionError, match="nothing was") as caught:
            await call(clients.client(running.url, http_client=http, max_retries=0), operation)
        assert running.requests == 0
    assert not caught.value.maybe_processed


def swallow(peer: Peer) -> None:
    """Read one message of the handshake."""
    peer._socket.recv(4096)  # pyright: ignore[reportPrivateUsage]


@OPERATIONS
@pytest.mark.parametrize(
    ("step", "connect", "error"),
    [
        (until_disconnect, 0.2, APITimeoutError),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", 2, APIConnectionError),
        (b"\x05", 2, APIConnectionError),
        (b"\x04\x00", 2, APIConnectionError),
        (b"\x05\xff", 2, APIConnectionError),
        (b"\x00" * 64, 2, APIConnectionError),
    ],
)
async def test_a_proxy_that_is_silent_or_does_not_speak_socks_raises_our_error(
    clients: Clients,
    operation: str,
    step: Step,
    connect: float,
    error: type[APIConnectionError],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exceptions of socksio do not reach the caller, the wait has a timeout, and the request was not sent."""
    with Unprompted([swallow, step]) as proxy:
        use_proxy(monkeypatch, f"socks5://{proxy.address}")
        client = clients.client("https://millis.invalid", max_retries=0, timeout=Timeout(connect=connect))
        with pytest.raises(error) as caught:
            await call(client, operation)
        assert proxy.address in str(caught.value)
        assert ("timeout: connect" in str(caught.value)) is (error is APITimeoutError)
    assert not caught.value.maybe_processed
