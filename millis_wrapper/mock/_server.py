"""uvicorn on a socket of ours, in a thread."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from millis_wrapper.errors import ConfigurationError

from ._answers import not_a_cut

if TYPE_CHECKING:
    from starlette.types import ASGIApp

log = logging.getLogger("millis_wrapper.mock")
log.addFilter(not_a_cut)

_START_SECONDS = 30.0


class Server:
    """An ASGI application on an address of this machine.

    `host`, `port`: where to listen; port 0 is any free one. `before_stop`: called in the event loop, to end
    what would keep the server from stopping. Raises ConfigurationError when the address cannot be had.
    """

    def __init__(self, app: ASGIApp, host: str, port: int, before_stop: Callable[[], None]) -> None:
        self._socket = listen(host, port)
        port = self._socket.getsockname()[1]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
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
        self._server = _Uvicorn(config, before_stop)
        self._thread = threading.Thread(
            target=self._server.run, args=[[self._socket]], name="millis-mock", daemon=True
        )

    def start(self) -> None:
        """Serve in a thread."""
        self._thread.start()
        # Connections are taken from the moment the socket listens; this is for a failure to be seen here.
        if not self._server.ready.wait(_START_SECONDS):
            raise RuntimeError("the mock did not start")

    def stop(self) -> None:
        """End the thread, and all that is under way."""
        self._server.should_exit = True
        self._thread.join()  # uvicorn closes the socket


class _Protocol(H11Protocol):
    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        # Here, because uvicorn's settings for both change its loggers for the whole program.
        self.access_log = False
        self.logger = log


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, before_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._before_stop = before_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._before_stop()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that takes connections; raises ConfigurationError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"port {port} is none: they go from 1 to 65535, and 0 is any free one")
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigurationError(f"no server at {host}, port {port}: {error}") from error
    # Every connection inherits it. asyncio sets it only where the protocol was named when the socket was
    # made; without it each answer waits 40 ms for the client's acknowledgement of its head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
