"""HTTP/2, with a client that is handed in: what the peer says it did not process may be sent again."""

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
from clients import ON_HTTPX, OPERATIONS, Clients, call

from millis_wrapper import APIConnectionError

pytestmark = [pytest.mark.anyio, ON_HTTPX]

Connection = h2.connection.H2Connection
React = Callable[[Connection, int], None]


class Service:
    """Speaks HTTP/2 over TLS; does to each request what its list says, the last again and again."""

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
        # After a GOAWAY h2 takes nothing more.
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


def answer(connection: Connection, stream: int) -> None:
    body = b'data: {"choices":[{"delta":{"content":"Hello"}}]}\n\ndata: [DONE]\n\n'
    copied = json.dumps({"id": "-Ocopy", "config": {}}).encode()
    # One answer that both operations can read would not be HTTP: the stream's own path tells them apart.
    connection.send_headers(stream, [(":status", "200"), ("content-type", "text/event-stream")])
    connection.send_data(stream, body if _CHAT.is_set() else copied, end_stream=True)


_CHAT = threading.Event()


def refuse(connection: Connection, stream: int) -> None:
    connection.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)


def break_off(connection: Connection, stream: int) -> None:
    connection.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)


def go_away_below(connection: Connection, stream: int) -> None:
    connection.close_connection(h2.errors.ErrorCodes.NO_ERROR, last_stream_id=0)


def go_away_at(connection: Connection, stream: int) -> None:
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
@pytest.mark.parametrize("unprocessed", [refuse, go_away_below])
async def test_a_request_that_was_not_processed_is_sent_again(
    clients: Clients, operation: str, unprocessed: React, certificate: Path
) -> None:
    """RFC 9113, 8.7: REFUSED_STREAM, and GOAWAY below the stream's id, mean that nothing was done."""
    with service(certificate, unprocessed, answer) as (running, trusted):
        http = clients.httpx_client(http2=True, verify=trusted, trust_env=False)
        await call(clients.client(running.url, http_client=http), operation)
        assert running.requests == 2


@OPERATIONS
@pytest.mark.parametrize("broken", [break_off, go_away_at])
async def test_a_request_that_may_have_been_processed_is_not(
    clients: Clients, operation: str, broken: React, certificate: Path
) -> None:
    """Any other end may have come after the work was done."""
    with service(certificate, broken) as (running, trusted):
        http = clients.httpx_client(http2=True, verify=trusted, trust_env=False)
        with pytest.raises(APIConnectionError) as caught:
            await call(clients.client(running.url, http_client=http), operation, timeout=2)
        assert running.requests == 1
    assert caught.value.maybe_processed


@OPERATIONS
async def test_a_request_that_found_no_free_stream_was_never_written(
    clients: Clients, operation: str, certificate: Path
) -> None:
    """httpcore says so in words only, and httpx hands them on."""
    with service(certificate, answer) as (running, trusted):
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
