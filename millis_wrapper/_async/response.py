"""An open response, which reads, drains and closes itself, and the connection pool that it came from."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable
from functools import partial
from typing import Any

import httpx

from millis_wrapper import _http, _http_body, _http_errors
from millis_wrapper._deadline import Deadline

from . import io

# The client asks for no compression, but some gateways compress anyway. The client does not unpack any other
# coding, so that a body cannot grow to gigabytes.
_GZIP = ("gzip", "x-gzip")


class Pool:
    """An httpx client, and the calls that use it.

    A pool that has lost a slot is retired: it gets no more requests, and is closed after its last call.
    The pool uses no lock, because a lock that another thread holds during a fork stays locked in the child.

    Args:
        client: The httpx client.
        is_own: Whether the library created it.
        loses_slots: Whether an interrupted call may cost the pool a connection slot.
    """

    def __init__(self, client: httpx.AsyncClient, *, is_own: bool, loses_slots: bool) -> None:
        self.client = client
        self.is_own = is_own
        self.process = os.getpid()
        self._loses_slots = loses_slots
        self._calls = set[object]()
        self.is_retired = False

    def enter(self, call: object) -> bool:
        """Register a call; return False if the pool was retired, so that another pool is needed."""
        # The call is added before the check: if the pool is retired at this moment, either the check sees it,
        # or `leave` of another call sees this call.
        self._calls.add(call)
        if self.is_retired:
            self.leave(call)
        return not self.is_retired

    def leave(self, call: object) -> None:
        """Remove a call. The last one to leave a retired pool closes it."""
        self._calls.discard(call)
        if self.is_retired and not self._calls:
            io.this_loop().call_soon(partial(io.close_client, self.client))

    def retire(self) -> None:
        """Retire the pool, because it may have lost a slot.

        httpcore does not give back a slot when a call is canceled while it waits for a connection or right
        after one was made, when a task is canceled twice, or when TLS fails behind a proxy. aiohttp loses
        none.
        """
        self.is_retired = self.is_own and self._loses_slots


class AsyncOpenResponse:
    """A response whose body has not been read. Its deadline identifies the call in `pool`."""

    def __init__(self, response: httpx.Response, deadline: Deadline, pool: Pool) -> None:
        self.status_code = response.status_code
        self.headers = response.headers
        self.content_encoding = response.headers.get("content-encoding", "").strip().lower()
        self._response = response
        self.deadline = deadline
        self._pool = pool
        self._loop = io.this_loop()
        self._process = os.getpid()
        self._chunks: Any = None
        self._needs_timer = io.HAS_TIMERS and "network_stream" not in response.extensions
        self._is_released = False

    @property
    def is_inherited(self) -> bool:
        """Whether a parent process opened it: a forked child shares the socket, and must not touch it."""
        return self._process != os.getpid()

    @property
    def is_closed(self) -> bool:
        """Whether it is closed, or closed itself at the end of its body."""
        return self._response.is_closed

    def next_chunk(self) -> Awaitable[bytes | None]:
        """Return the next chunk of the body; None at its end.

        This function is not a coroutine, because every waiting stream would then hold one more coroutine.

        Raises:
            Exception: The transport failed, or a timeout passed.
        """
        if self._chunks is None:
            response: Any = self._response
            if response.is_stream_consumed or response.is_closed:  # an event hook has read it, or closed it
                self._chunks = aiter(response.aiter_bytes())
            elif self.content_encoding in _GZIP:
                self._chunks = _unpacked(response.stream)
            else:
                # httpx's own iterators cost one more object per waiting stream, and unpack without a limit.
                self._chunks = aiter(response.stream)
        else:
            self.deadline.restart_idle()
        chunk = anext(self._chunks, None)
        if self._needs_timer and self.deadline.is_tight:
            return io.read_within(self.deadline, chunk)
        return chunk

    async def read(self, body: _http_body.Body) -> None:
        """Read the body into `body`, as far as that accepts it.

        Raises:
            Exception: The transport failed, or a timeout passed; `body` holds the received bytes.
        """
        try:
            while (chunk := await self.next_chunk()) is not None:
                if not body.add(chunk):
                    return
        except Exception:  # an error of the transport interrupts nothing
            raise
        except BaseException:  # Ctrl-C or a canceled task
            self.note_interruption()
            raise

    async def drain(self) -> None:
        """Read to the end of the body, within bounds, so that the connection can be reused.

        The reply is complete, so no failure matters here.
        """
        if self.is_closed or _http.own_network(self._response) is None:
            return
        self.deadline.end_within("drain", _http.DRAIN_SECONDS)
        drained = 0
        try:
            while (chunk := await self.next_chunk()) is not None:
                drained += len(chunk)
                if drained > _http.DRAIN_BYTES or self.is_inherited:
                    return
        except Exception as error:  # httpx does not translate all of them
            if not _http_errors.is_transport_error(error):
                raise
        except BaseException:  # Ctrl-C or a canceled task
            self.note_interruption()
            raise

    def note_interruption(self) -> None:
        """Take note that a read was canceled, or ended by Ctrl-C."""
        if io.may_have_interrupted_closing():
            self._pool.retire()

    def wake_reader(self) -> None:
        """End the wait of another thread that reads this response."""
        io.wake_reader(self._response)

    async def close(self) -> None:
        """Close the response, and give its connection back to the pool.

        May be called more than once. A forked child leaves its parent's response alone.
        """
        if (self._is_released and self._response.is_closed) or self.is_inherited:
            return
        try:
            await io.close_response(self._response, is_own=self._pool.is_own)
        except BaseException:  # canceled a second time, so the connection is lost to this pool
            self._pool.retire()
            raise
        finally:
            self._is_released = True
            self._pool.leave(self.deadline)

    def close_soon(self) -> None:
        """Close the response from any thread: in a task of its event loop, if that still runs."""
        self._loop.call_soon(self.close)


async def _unpacked(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the body of a gzip response."""
    gunzip = _http_body.Gunzip()
    async for chunk in chunks:
        for part in gunzip.feed(chunk):  # async code cannot use `yield from`
            yield part
    gunzip.end()
