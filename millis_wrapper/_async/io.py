"""The differences between asynchronous and synchronous code; `_sync/io.py` has the same names.

Both files are written by hand. All other modules of `_sync` are generated from `_async`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from typing import Any, Literal
from weakref import ReferenceType, ref

import anyio
import httpx
from anyio.lowlevel import RunVar

from millis_wrapper import _http, _http_clients
from millis_wrapper._deadline import Deadline
from millis_wrapper._fork import delays_fork
from millis_wrapper._text import short_repr
from millis_wrapper.errors import ConfigurationError, missing_extra
from millis_wrapper.options import Options

sleep = anyio.sleep


def ensure_http_client(http_client: object) -> None:
    """Raise ConfigurationError unless `http_client` is valid."""
    if http_client == "aiohttp":
        if find_spec("aiohttp") is None:
            raise missing_extra('http_client="aiohttp"', "aiohttp", "aiohttp")
    elif http_client is not None and not isinstance(http_client, httpx.AsyncClient):
        given = short_repr(http_client, 40) if isinstance(http_client, str) else type(http_client).__name__
        raise ConfigurationError(f'http_client: must be an httpx.AsyncClient or "aiohttp", got {given}')


@delays_fork
def new_client(options: Options, engine: Literal["aiohttp"] | None) -> httpx.AsyncClient:
    """Return a new httpx client that uses httpx's own transport, or aiohttp."""
    if engine is not None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError(
                'http_client: "aiohttp" needs asyncio; on trio, omit http_client='
            ) from None
    return _http_clients.own_client(partial(_new_client, options, engine))


def _new_client(options: Options, engine: Literal["aiohttp"] | None) -> httpx.AsyncClient:
    arguments, proxy = _http_clients.client_arguments(options), _http_clients.environment_proxy(options)
    if engine is None:
        return httpx.AsyncClient(**arguments, proxy=proxy)
    from millis_wrapper._http_aiohttp import AiohttpTransport

    transport = AiohttpTransport(arguments["verify"], arguments["limits"], proxy)
    return httpx.AsyncClient(**arguments, transport=transport)


class Loop:
    """An event loop, on asyncio or trio. A connection belongs to the event loop that opened it."""

    def __init__(self) -> None:
        self._asyncio: ReferenceType[asyncio.AbstractEventLoop] | None = None
        with suppress(RuntimeError):  # on trio, no client keeps its event loop in memory
            self._asyncio = ref(asyncio.get_running_loop())

    @property
    def is_closed(self) -> bool:
        """Whether the event loop, and with it every connection that it opened, has ended."""
        loop = self._asyncio() if self._asyncio is not None else None
        return loop is not None and loop.is_closed()

    def call_soon(self, function: Callable[[], Awaitable[None]]) -> None:
        """Call `function` in a new task, from any thread; do nothing if the event loop does not run."""
        loop = self._asyncio() if self._asyncio is not None else None
        if loop is None or not loop.is_running():
            return

        def start() -> None:
            # asyncio keeps only weak references to tasks.
            task = asyncio.ensure_future(function())
            _tasks.add(task)
            task.add_done_callback(_tasks.discard)

        loop.call_soon_threadsafe(start)


_tasks = set[asyncio.Future[None]]()
_loop: RunVar[Loop] = RunVar("millis_wrapper.loop")


def this_loop() -> Loop:
    """Return the running event loop."""
    loop = _loop.get(None)
    if loop is None:
        loop = Loop()
        _loop.set(loop)
    return loop


class ConnectionTrace(_http.Trace):
    """httpcore's `trace` extension, which is awaited in async code."""

    async def __call__(self, event: str, info: dict[str, Any]) -> None:
        """Note one event of httpcore."""
        self.note(event, info)


HAS_TIMERS = True  # an awaitable can be stopped when a timeout passes


async def read_within(deadline: Deadline, chunk: Awaitable[bytes | None]) -> bytes | None:
    """Await a chunk, for a transport that does not enforce `deadline`.

    Raises:
        TimeoutError: A timeout passed.
    """
    with anyio.fail_after(max(0.0, deadline.seconds_left())):
        return await chunk


async def send(
    send_once: Callable[[], Coroutine[Any, Any, httpx.Response]], deadline: Deadline
) -> httpx.Response:
    """Send a request and return the response."""
    try:
        return await _in_task(send_once())
    except httpx.ConnectTimeout:
        # If the event loop was busy, the connection may have been made in time. The request was not sent yet.
        if not deadline.connect_is_overdue:
            raise
    return await _in_task(send_once())


async def _in_task(sending: Coroutine[Any, Any, httpx.Response]) -> httpx.Response:
    """Run `sending` in its own task and return the response.

    The frames that write a request hold its headers, and with them the key, so they must not be part of the
    traceback of a cancel. httpcore loses a connection slot if it is canceled twice, so the task is canceled
    once, and its end is awaited.
    """
    try:
        task = asyncio.get_running_loop().create_task(sending)
    except RuntimeError:  # trio tasks need a nursery
        return await sending
    try:
        await asyncio.wait([task])
    except BaseException:  # a cancel, or Ctrl-C
        task.cancel()
        with anyio.CancelScope(shield=True):
            while not task.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
            if not task.cancelled() and task.exception() is None:
                await task.result().aclose()
        raise
    return task.result()


async def close_response(response: httpx.Response, *, is_own: bool) -> None:
    """Close a response, also in a canceled task."""
    if is_own:  # the transports of the library's own clients shield their closing
        await response.aclose()
        return
    with anyio.CancelScope(shield=True):
        await response.aclose()


async def close_network(network: Any) -> None:
    """Close httpcore's network stream, also in a canceled task."""
    with anyio.CancelScope(shield=True), suppress(Exception):  # another failure is being reported
        await network.aclose()


async def close_client(client: httpx.AsyncClient) -> None:
    """Close an httpx client, also in a canceled task."""
    with anyio.CancelScope(shield=True):
        await client.aclose()


def may_have_interrupted_closing() -> bool:
    """Return whether the task was canceled twice; the second cancel interrupts the closing in httpcore."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # trio cancels a task once
        return False
    return task is not None and task.cancelling() > 1


def wake_reader(response: httpx.Response) -> None:
    """Do nothing, because closing a response wakes the task that reads it."""
