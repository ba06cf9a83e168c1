"""`MockMillis`: the state and the application of the mock, on uvicorn in a thread."""

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
        # Here, because uvicorn's settings for both change its loggers for the whole program.
        self.access_log = False
        self.logger = log


class Server(uvicorn.Server):
    """An ASGI application on an address of this machine, in a thread; port 0 is any free one."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        listener = listen(host, port)
        self.url = _url(host, listener.getsockname()[1])
        config = uvicorn.Config(
            app,
            # The same pieces everywhere, whatever faster ones are installed.
            http=_Protocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            # The logging of the program that the mock runs in is its own affair.
            log_config=None,
            server_header=False,
            proxy_headers=False,
        )
        super().__init__(config)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self.run, args=[[listener]], name="millis-mock", daemon=True)

    def start(self) -> None:
        """Serve."""
        self._thread.start()
        # Connections are taken from the moment the socket listens; this is for a failure to be seen here.
        if not self._ready.wait(_START_SECONDS):
            raise RuntimeError("the mock did not start")

    def stop(self) -> None:
        """End the thread, and all that is under way."""
        self.should_exit = True
        self._thread.join()  # uvicorn closes the socket

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open for connections, and say that it is."""
        await super().startup(sockets)
        self._ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Cancel the answers under way, then do what uvicorn does."""
        # uvicorn's own `timeout_graceful_shutdown` does this too, and logs an error each time.
        for task in list(self.server_state.tasks):
            task.cancel()
        await super().shutdown(sockets)


def is_failure(record: logging.LogRecord) -> bool:
    """Keep a log record unless it reports a response that was cut off on purpose, or by the shutdown."""
    return not (record.exc_info and _is_expected(record.exc_info[1]))


def _is_expected(error: BaseException | None) -> bool:
    # Older versions of Starlette raise the errors of a streaming response in a group.
    if grouped := getattr(error, "exceptions", ()):
        return all(map(_is_expected, grouped))
    return isinstance(error, CutError | asyncio.CancelledError)


log.addFilter(is_failure)


def _url(host: str, port: int) -> str:
    # "All addresses" is not one to connect to.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (it is replaced)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that takes connections.

    Raises:
        ConfigurationError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"port {port} is not valid: pass 1 to 65535, or 0 for any free one")
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigurationError(f"no server at {host}, port {port}: {error}") from error
    # Every connection inherits it. asyncio sets it only where the protocol was named when the socket was
    # made; without it each answer waits 40 ms for the client's acknowledgement of its head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class MockMillis(State):
    """A mock server: both endpoints of the service, true to the contract, on this machine.

    `with MockMillis() as mock:` runs it at `mock.url`, in a thread, on a free port; `start` before it chooses
    the address.

    Args:
        pace: seconds between two pieces of a reply.
        slow: seconds that the agent which is slow takes.
        retry_after: seconds that a refusal asks to wait.
        api_key: the only key that is accepted; None accepts any.
        cors: whether web pages of any origin may call it (its preflight requests are answered).
        sleep: waits for a number of seconds (async); for tests.
        clock: returns seconds since the epoch; for tests.
        new_id: returns the ids of copies; for tests.

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
        """Both endpoints, to be called without a network."""
        return create_app(self)

    @property
    def url(self) -> str:
        """The address where it runs, for a client's `base_url`.

        Raises:
            ConfigurationError: it does not run.
        """
        if self._server is None:
            raise ConfigurationError("the mock does not run: start() it, or use it in `with`")
        return self._server.url

    def start(self, *, host: str = "127.0.0.1", port: int = 0) -> Self:
        """Run it in a thread.

        Args:
            host: the address to listen at.
            port: the port; 0 is any free one.

        Raises:
            ConfigurationError: the address cannot be had, or it runs already.
        """
        if self._server is not None:
            raise ConfigurationError(f"the mock runs already, at {self.url}")
        server = Server(self.app, host, port)
        server.start()
        self._server = server
        return self

    def stop(self) -> None:
        """End it, and the answers under way; nothing happens when it does not run."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        return self if self._server is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
