"""The differences between synchronous and asynchronous code; `_async/io.py` has the same names.

Both files are written by hand. All other modules of `_sync` are generated from `_async`.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx

from millis_wrapper import _http, _http_clients
from millis_wrapper._deadline import Deadline
from millis_wrapper._fork import delays_fork
from millis_wrapper._text import short_repr
from millis_wrapper.errors import ConfigurationError
from millis_wrapper.options import Options

sleep = time.sleep


def ensure_http_client(http_client: object) -> None:
    """Raise ConfigurationError unless `http_client` is valid."""
    if http_client == "aiohttp":
        raise ConfigurationError('http_client: "aiohttp" works only with AsyncMillis; omit http_client=')
    if http_client is not None and not isinstance(http_client, httpx.Client):
        given = short_repr(http_client, 40) if isinstance(http_client, str) else type(http_client).__name__
        raise ConfigurationError(f"http_client: must be an httpx.Client, got {given}")


@delays_fork
def new_client(options: Options, engine: None) -> httpx.Client:
    """Return a new httpx client."""
    return _http_clients.own_client(
        lambda: httpx.Client(
            **_http_clients.client_arguments(options), proxy=_http_clients.environment_proxy(options)
        )
    )


class Loop:
    """Takes the place of an event loop; all threads share one."""

    is_closed = False

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call `function` now."""
        function()


_loop = Loop()


def this_loop() -> Loop:
    """Return the shared loop."""
    return _loop


class ConnectionTrace(_http.Trace):
    """httpcore's `trace` extension."""

    def __call__(self, event: str, info: dict[str, Any]) -> None:
        """Note one event of httpcore."""
        self.note(event, info)


HAS_TIMERS = False  # a read cannot be stopped from outside


def read_within(deadline: Deadline, chunk: bytes | None) -> bytes | None:
    """Return `chunk`, which was read already."""
    return chunk


def send(send_once: Callable[[], httpx.Response], deadline: Deadline) -> httpx.Response:
    """Send a request and return the response."""
    return send_once()


def close_response(response: httpx.Response, *, is_own: bool) -> None:
    """Close a response."""
    response.close()


def close_network(network: Any) -> None:
    """Close httpcore's network stream."""
    with suppress(Exception):  # another failure is being reported
        network.close()


def close_client(client: httpx.Client) -> None:
    """Close an httpx client."""
    client.close()


def may_have_interrupted_closing() -> bool:
    """Return True, because Ctrl-C can come at any moment."""
    return True


def wake_reader(response: httpx.Response) -> None:
    """End the wait of the thread that reads the response; closing the socket would not."""
    network = _http.own_network(response)
    connection = network.get_extra_info("socket") if network is not None else None
    if isinstance(connection, socket.socket):
        with suppress(OSError):
            # SSLSocket.shutdown would remove the TLS state that the reading thread uses.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
