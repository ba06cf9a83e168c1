"""What differs between asynchronous and synchronous code; `_sync/io.py` has the same names.

Both are written by hand; every other module of `_sync` is made from the one here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
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
from millis_wrapper._text import shorten
from millis_wrapper.errors import ConfigurationError, missing_extra
from millis_wrapper.options import Options

sleep = anyio.sleep


def ensure_http_client(http_client: object) -> None:
    """Raise ConfigurationError for what cannot be an `http_client`."""
    if http_client == "aiohttp":
        if find_spec("aiohttp") is None:
            raise missing_extra('http_client="aiohttp"', "aiohttp", "aiohttp")
    elif http_client is not None and not isinstance(http_client, httpx.AsyncClient):
        given = repr(http_client) if isinstance(http_client, str) else type(http_client).__name__
        raise ConfigurationError(
            f'http_client: must be an httpx.AsyncClient or "aiohttp", not {shorten(given, 40)}'
        )


@delays_fork
def new_client(options: Options, engine: Literal["aiohttp"] | None) -> httpx.AsyncClient:
    """Return an httpx client of our own, on httpx's engine or another one."""
    if engine is not None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError(
                'http_client="aiohttp" works on asyncio only: on trio, leave http_client= out'
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
    """Stands for an event loop, since a connection belongs to the loop that opened it.

    asyncio and trio have no type in common.
    """

    def __init__(self) -> None:
        self._asyncio: ReferenceType[asyncio.AbstractEventLoop] | None = None
        with suppress(RuntimeError):  # trio: no client holds on to its loop there
            self._asyncio = ref(asyncio.get_running_loop())

    @property
    def is_closed(self) -> bool:
        """Whether the loop is gone, and with it the connections that it opened."""
        loop = self._asyncio() if self._asyncio is not None else None
        return loop is not None and loop.is_closed()

    def call_soon(self, function: Callable[[], Awaitable[None]]) -> None:
        """Call `function` in a task of its own, from any thread; do nothing if no loop runs any more."""
        loop = self._asyncio() if self._asyncio is not None else None
        if loop is None or not loop.is_running():
            return

        def start() -> None:
            # asyncio itself holds on to tasks only weakly.
            task = asyncio.ensure_future(function())
            _tasks.add(task)
            task.add_done_callback(_tasks.discard)

        loop.call_soon_threadsafe(start)


_tasks = set[asyncio.Future[None]]()
_loop: RunVar[Loop] = RunVar("millis_wrapper.loop")


def this_loop() -> Loop:
    """Return what stands for the running event loop."""
    loop = _loop.get(None)
    if loop is None:
        loop = Loop()
        _loop.set(loop)
    return loop


class Trace(_http.Trace):
    """httpcore's `trace` extension, which is awaited in async code."""

    async def __call__(self, event: str, info: dict[str, Any]) -> None:
        """Take note of one event of httpcore."""
        self.note(event, info)


def next_chunk(
    chunks: AsyncIterator[bytes], response: httpx.Response, deadline: Deadline
) -> Awaitable[bytes | None]:
    """Return what waits for the next chunk of a body, and gives None at its end.

    Not a coroutine itself: there would be one for each chunk, and one in the memory of each stream.

    Raises:
        TimeoutError: when awaited; a limit has passed that the transport does not hold by itself.
    """
    chunk = anext(chunks, None)
    if "network_stream" in response.extensions or not deadline.is_tight:
        return chunk
    return _within(deadline, chunk)


async def _within(deadline: Deadline, chunk: Awaitable[bytes | None]) -> bytes | None:
    with anyio.fail_after(max(0.0, deadline.seconds_left())):
        return await chunk


async def apart(sending: Coroutine[Any, Any, httpx.Response]) -> httpx.Response:
    """Return the response of `sending`, which runs in a task of its own.

    The frames in which a request is written hold its head, and with it the key, so none of them may be part
    of a cancel's traceback. And httpcore loses a connection slot if it is canceled twice, so it is canceled
    once and waited for.
    """
    try:
        task = asyncio.get_running_loop().create_task(sending)
    except RuntimeError:  # trio has no tasks outside of a nursery
        return await sending
    try:
        await asyncio.wait([task])
    except BaseException:
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
    """Close an answer; a cancelled task has to give its connection back all the same.

    Args:
        response: the answer.
        is_own: whether it came through an httpx client of our own, whose engines shield their closing.
    """
    if is_own:
        await response.aclose()
        return
    with anyio.CancelScope(shield=True):
        await response.aclose()


async def close_network(network: Any) -> None:
    """Close httpcore's network stream, also in a cancelled task."""
    with anyio.CancelScope(shield=True), suppress(Exception):  # another failure is being reported
        await network.aclose()


async def close_client(client: httpx.AsyncClient) -> None:
    """Close an httpx client, also in a cancelled task."""
    with anyio.CancelScope(shield=True):
        await client.aclose()


def may_have_interrupted_closing() -> bool:
    """Return whether the task was cancelled a second time, for which httpcore's closing does not wait."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # trio has no second cancel
        return False
    return task is not None and task.cancelling() > 1


def wake_reader(response: httpx.Response) -> None:
    """Do nothing: closing an answer wakes the task that reads it."""
