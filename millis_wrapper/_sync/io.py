"""What differs between synchronous and asynchronous code; `_async/io.py` has the same names.

Both are written by hand; every other module here is made from the one in `_async`.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx

from millis_wrapper import _http, _http_clients
from millis_wrapper._deadline import Deadline
from millis_wrapper._fork import delays_fork
from millis_wrapper._text import shorten
from millis_wrapper.errors import ConfigurationError
from millis_wrapper.options import Options

sleep = time.sleep


def ensure_http_client(http_client: object) -> None:
    """Raise ConfigurationError for what cannot be an `http_client`."""
    if http_client == "aiohttp":
        raise ConfigurationError(
            'http_client: "aiohttp" is for AsyncMillis; there is no such engine for Millis, so leave it out'
        )
    if http_client is not None and not isinstance(http_client, httpx.Client):
        given = repr(http_client) if isinstance(http_client, str) else type(http_client).__name__
        raise ConfigurationError(f"http_client: must be an httpx.Client, not {shorten(given, 40)}")


@delays_fork
def new_client(options: Options, engine: None) -> httpx.Client:
    """Return an httpx client of our own."""
    return _http_clients.own_client(
        lambda: httpx.Client(
            **_http_clients.client_arguments(options), proxy=_http_clients.environment_proxy(options)
        )
    )


class Loop:
    """Stands for the event loop, of which synchronous code has none: there is one for all threads."""

    is_closed = False

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call `function` now."""
        function()


_loop = Loop()


def this_loop() -> Loop:
    """Return the one that there is."""
    return _loop


class Trace(_http.Trace):
    """httpcore's `trace` extension."""

    def __call__(self, event: str, info: dict[str, Any]) -> None:
        """Take note of one event of httpcore."""
        self.note(event, info)


def next_chunk(chunks: Iterator[bytes], response: httpx.Response, deadline: Deadline) -> bytes | None:
    """Return the next chunk of a body, or None at its end."""
    return next(chunks, None)


def apart(response: httpx.Response) -> httpx.Response:
    """Return `response`; only async code needs a task of its own to send a request."""
    return response


def close_response(response: httpx.Response, *, is_own: bool) -> None:
    """Close an answer."""
    response.close()


def close_network(network: Any) -> None:
    """Close httpcore's network stream."""
    with suppress(Exception):  # another failure is being reported
        network.close()


def close_client(client: httpx.Client) -> None:
    """Close an httpx client."""
    client.close()


def may_have_interrupted_closing() -> bool:
    """Return True: Ctrl-C may have come at any moment."""
    return True


def wake_reader(response: httpx.Response) -> None:
    """End the wait of the thread that is reading: closing a socket does not."""
    network = _http.own_network(response)
    connection = network.get_extra_info("socket") if network is not None else None
    if isinstance(connection, socket.socket):
        with suppress(OSError):
            # socket's own method: SSLSocket's would pull the TLS state from under the thread that is reading.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
