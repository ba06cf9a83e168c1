"""A scripted server on loopback that can misbehave, and that records the requests."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

PATIENCE = 20.0  # seconds before a hanging test fails


@attrs.frozen
class Received:
    """One received request. `connection` counts from 1; header names are lowercase."""

    connection: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: Loopback, connection: socket.socket, number: int) -> None:
        self.server = server
        self.number = number
        self._socket = connection
        self._buffer = b""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def run(self, steps: Steps) -> None:
        """Send the bytes among `steps`, and call the functions."""
        for step in steps:
            if isinstance(step, bytes):
                self.send(step)
            else:
                step(self)

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def reset(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def wait_for(self, event: threading.Event) -> None:
        """Wait until the test sets `event`; fail if it does not."""
        for _ in range(int(PATIENCE / 0.01)):
            if event.wait(0.01) or self.server.stopping.is_set():
                return
        raise AssertionError("the test did not let the server continue")

    def watch(self, seconds: float) -> bool:
        """Return whether the client disconnects within `seconds`."""
        self._socket.settimeout(seconds)
        try:
            gone = not self._socket.recv(65536)
        except TimeoutError:
            return False
        except OSError:
            gone = True
        finally:
            if self._socket.fileno() != -1:
                self._socket.settimeout(None)
        if gone:
            self.server.disconnected.set()
        return gone

    def wait_for_request(self) -> None:
        """Wait for the first byte of the next request without consuming it."""
        self._socket.recv(1, socket.MSG_PEEK)

    def receive(self) -> Received | None:
        """Return the next request, or None if the client disconnected or does not speak HTTP."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                return None
            if not self._buffer[:1].isalpha():  # the client starts a TLS handshake
                self.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                return None
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        pairs = (line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in pairs}
        length = int(headers.get("content-length", "0"))
        self._buffer = rest
        while len(self._buffer) < length:
            if not self._more():
                return None
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Received(self.number, method, path, headers, body)

    def _more(self) -> bool:
        data = self._socket.recv(65536)
        self._buffer += data
        return bool(data)


Step = bytes | Callable[[Peer], object]
Steps = Sequence[Step]


class Loopback:
    """A server that sends the first response to the first request, the second to the second, and so on.

    The last response repeats. A response is a list of steps: bytes to send, or functions to call. After
    the last step, the connection stays open for the next request, unless a step closed it.
    """

    def __init__(self, *responses: Steps) -> None:
        self.responses = list(responses)
        self.connections = 0
        self.requests: list[Received] = []
        self.request_arrived = threading.Event()  # set when the first request has arrived
        self.disconnected = threading.Event()  # set when a client disconnects while a step watches it
        self.resume = threading.Event()  # the step `until_resumed` waits until a test sets it
        self.stopping = threading.Event()
        self._peers: list[Peer] = []
        self._threads: list[threading.Thread] = []
        self._failures: list[Exception] = []
        self._arrival = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"{host}:{port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def bodies(self) -> list[Any]:
        return [request.json for request in self.requests]

    def wait_for_requests(self, count: int) -> None:
        """Wait until `count` requests have arrived; a client can fail before the server reads its request."""
        with self._arrival:
            assert self._arrival.wait_for(lambda: len(self.requests) >= count, PATIENCE)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stopping.set()
        with suppress(OSError):  # wakes the accepting thread
            socket.create_connection(self._listener.getsockname(), timeout=1).close()
        self._threads[0].join(PATIENCE)
        self._listener.close()
        for peer in self._peers:
            peer.close()
        for thread in self._threads:
            thread.join(PATIENCE)
        if self._failures and error is None:
            raise self._failures[0]

    def _start(self, target: Callable[..., None], *args: Peer) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self.stopping.is_set():
                connection.close()
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            peer = Peer(self, connection, self.connections)
            self._peers.append(peer)
            self._start(self._serve, peer)

    def _serve(self, peer: Peer) -> None:
        try:
            while (request := peer.receive()) is not None:
                peer.run(self._response_to(request))
        except OSError:
            pass  # the client left, or a step closed the connection
        except Exception as failure:
            self._failures.append(failure)
        finally:
            peer.close()

    def _response_to(self, request: Received) -> Steps:
        with self._arrival:
            self.requests.append(request)
            self._arrival.notify_all()
            self.request_arrived.set()
            return self.responses[min(len(self.requests), len(self.responses)) - 1]


class SecureLoopback(Loopback):
    """A `Loopback` behind TLS, with a certificate for 127.0.0.1 and localhost."""

    def __init__(self, certificate: Path, *responses: Steps) -> None:
        super().__init__(*responses)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._listener = context.wrap_socket(self._listener, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        return f"https://{self.address}"


class Unprompted(Loopback):
    """A server that runs its steps when a client connects, without waiting for an HTTP request."""

    def _serve(self, peer: Peer) -> None:
        with closing(peer), suppress(OSError):
            peer.run(self.responses[0])


def reset(peer: Peer) -> None:
    """Reset the connection."""
    peer.reset()


def close(peer: Peer) -> None:
    """Close the connection normally."""
    peer.close()


def until_disconnect(peer: Peer) -> None:
    """Wait until the client disconnects; fail if it does not."""
    assert peer.server.stopping.is_set() or peer.watch(PATIENCE), "the client did not disconnect"


def pause(event: threading.Event) -> Step:
    """Return a step that waits until the test sets `event`."""
    return lambda peer: peer.wait_for(event)


def until_resumed(peer: Peer) -> None:
    """Wait until the test sets the server's `resume`."""
    peer.wait_for(peer.server.resume)


def linger(seconds: float) -> Step:
    """Return a step that waits up to `seconds` for the client to disconnect."""
    return lambda peer: peer.watch(seconds)


def http(
    status: int, body: bytes | str = b"", headers: Mapping[str, str] | None = None, *, reason: str = "X"
) -> bytes:
    """Return a complete response."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    return "\r\n".join([*lines, f"content-length: {len(content)}", "", ""]).encode("latin-1") + content


def chunk(data: bytes) -> bytes:
    """Return `data` in HTTP's chunked framing."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(data: str) -> bytes:
    """Return one server-sent event as one HTTP chunk."""
    return chunk(f"data: {data}\n\n".encode())


def text_event(text: str) -> bytes:
    """Return the event that carries `text`."""
    return event(json.dumps({"choices": [{"delta": {"content": text}}]}))


STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
DONE = event("[DONE]")
END = b"0\r\n\r\n"


def reply(*texts: str) -> list[Step]:
    """Return the steps of a complete reply."""
    return [STREAM + b"".join(text_event(text) for text in texts) + DONE + END]


def copied(agent_id: str = "-Ocopy") -> list[Step]:
    """Return the steps of a response to duplicate."""
    body = {"id": agent_id, "name": "Copy", "config": {"prompt": "p"}, "created_at": 1700000000000}
    return [http(200, json.dumps(body))]


SUCCESS: dict[str, Steps] = {"chat": reply("Hello"), "duplicate": copied()}
"""A successful response to each operation."""


def nowhere() -> str:
    """Return the address of a port that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()[:2]
    return f"{host}:{port}"
