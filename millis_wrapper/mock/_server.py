"""`MockMillis`: the mock server, which runs on uvicorn in a thread."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from millis_wrapper._text import short_repr
from millis_wrapper.errors import ConfigurationError

from ._app import create_app, log
from ._state import State
from ._streams import CutError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_START_SECONDS = 30.0


class _Protocol(H11Protocol):
    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        # uvicorn's own settings for logging would change its loggers for the entire program.
        self.access_log = False
        self.logger = log


class Server(uvicorn.Server):
    """Serves an ASGI application on a local address, in a thread. Port 0 picks a free port."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        listener = listen(host, port)
        self.url = _url(host, listener.getsockname()[1])
        config = uvicorn.Config(
            app,
            # Always the same implementations, even if faster ones are installed.
            http=_Protocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            # Leaves the logging of the surrounding program unchanged.
            log_config=None,
            server_header=False,
            proxy_headers=False,
        )
        super().__init__(config)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self.run, args=[[listener]], name="millis-mock", daemon=True)

    def start(self) -> None:
        """Start to serve; return when the server is ready."""
        self._thread.start()
        # The socket accepts connections before that. Waiting makes a failure visible here.
        if not self._ready.wait(_START_SECONDS):
            raise RuntimeError(f"the mock server did not start within {_START_SECONDS:g} s")

    def stop(self) -> None:
        """Cancel open responses and end the thread."""
        self.should_exit = True
        self._thread.join()  # uvicorn closes the socket

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start uvicorn and report that the server is ready."""
        await super().startup(sockets)
        self._ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Cancel open responses, then shut down uvicorn."""
        # uvicorn's `timeout_graceful_shutdown` also cancels them, but logs an error for each.
        for task in list(self.server_state.tasks):
            task.cancel()
        await super().shutdown(sockets)


def is_failure(record: logging.LogRecord) -> bool:
    """Return whether a log record reports anything but a response that a scenario or the shutdown cut off."""
    return not (record.exc_info and _is_expected(record.exc_info[1]))


def _is_expected(error: BaseException | None) -> bool:
    # Older versions of Starlette raise the errors of a streaming response in an exception group.
    if grouped := getattr(error, "exceptions", ()):
        return all(map(_is_expected, grouped))
    return isinstance(error, CutError | asyncio.CancelledError)


log.addFilter(is_failure)


def _url(host: str, port: int) -> str:
    # Clients cannot connect to a wildcard address.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (it is replaced)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        ConfigurationError: The address is invalid or in use.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if type(port) is not int or not 0 <= port <= 65535:
        raise ConfigurationError(f"port: must be 0 to 65535, got {short_repr(port)}; 0 picks a free port")
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        # create_server adds "(while attempting to bind on address ...)".
        reason = (error.strerror or str(error)).partition(" (")[0]
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {reason}; choose another host or port"
        ) from error
    # Every connection inherits this option. asyncio sets it only for sockets that were created with an
    # explicit protocol. Without it, each response waits 40 ms until the client acknowledges the headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class MockMillis(State):
    """A mock server with both endpoints of the service, which follows the contract.

    `with MockMillis() as mock:` runs the server in a thread, on a free port, at `mock.url`. Call `start` to
    choose the address.

    Args:
        pace: Delay between two chunks of a reply, in seconds.
        slow: Delay before the response in the scenario `slow`, in seconds.
        retry_after: Retry-After of responses with status 429 and 503, in seconds.
        api_key: The only accepted key. None accepts any key.
        cors: Whether web pages of any origin may call the server. It then responds to preflight requests.
        sleep: Async function that waits for a number of seconds; for tests.
        clock: Returns the current time, in seconds since the epoch; for tests.
        new_id: Returns the id of the next copy; for tests.

    Examples:
        >>> with MockMillis() as mock, Millis("any-key", base_url=mock.url) as millis:
        ...     mock.reply_with("Good evening.")
        ...     print(millis.chat.send("Hello", agent_id="-mock-agent---------").text)
        Good evening.
    """

    _server: Server | None = None

    def __repr__(self) -> str:
        where = f"at {self._server.url}" if self._server is not None else "not running"
        agents, requests = len(self.agents.names()), len(self.requests)
        return f"<MockMillis {where}: {agents} agents, {requests} requests>"

    @cached_property
    def app(self) -> ASGIApp:
        """The ASGI application with both endpoints, for calls without a network."""
        return create_app(self)

    @property
    def url(self) -> str:
        """The URL of the running server, for a client's `base_url`.

        Raises:
            ConfigurationError: The server is not running.
        """
        if self._server is None:
            raise ConfigurationError("the mock server is not running; call start() or use a `with` block")
        return self._server.url

    def start(self, *, host: str = "127.0.0.1", port: int = 0) -> Self:
        """Start the server in a thread.

        Args:
            host: Address to listen on.
            port: Port to listen on; 0 picks a free port.

        Raises:
            ConfigurationError: The address is invalid or in use, or the server is already running.
        """
        if self._server is not None:
            raise ConfigurationError(f"the mock server is already running at {self.url}")
        server = Server(self.app, host, port)
        server.start()
        self._server = server
        return self

    def stop(self) -> None:
        """Stop the server and cancel open responses. Has no effect if the server is not running."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        return self if self._server is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
