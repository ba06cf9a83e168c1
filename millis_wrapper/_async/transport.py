"""Sends calls, async: once, or again where that is safe."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from weakref import ReferenceType, WeakKeyDictionary, ref

import anyio
import httpx
from anyio.lowlevel import RunVar

from millis_wrapper import _http
from millis_wrapper._http_errors import READING_ERRORS, SENDING_ERRORS, reading_failure, sending_failure
from millis_wrapper.chat import ReplyBuilder
from millis_wrapper.errors import MillisError
from millis_wrapper.options import Settings, Timeout
from millis_wrapper.request import PreparedRequest
from millis_wrapper.retry import Attempts, RetryPolicy


class _Loop:
    """Stands for an event loop: asyncio and trio have no type in common."""

    def __init__(self) -> None:
        self._asyncio: ReferenceType[asyncio.AbstractEventLoop] | None = None
        with suppress(RuntimeError):  # trio: no client holds on to its loop there
            self._asyncio = ref(asyncio.get_running_loop())

    def is_closed(self) -> bool:
        loop = self._asyncio() if self._asyncio is not None else None
        return loop is not None and loop.is_closed()


_loop: RunVar[_Loop] = RunVar("millis_wrapper.loop")


def _this_loop() -> _Loop:
    loop = _loop.get(None)
    if loop is None:
        loop = _Loop()
        _loop.set(loop)
    return loop


class AsyncTransport:
    """Sends one call, again where that is safe; the only place that does."""

    def __init__(
        self,
        settings: Settings,
        timeout: Timeout,
        policy: RetryPolicy,
        http: httpx.AsyncClient | None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self.settings = settings
        self.timeout = timeout
        self.policy = policy
        self._given = http
        self._auth = _http.KeyAuth(settings.key)
        # Owned by the transport, so that a client that nobody closed goes when the transport goes.
        self._own = WeakKeyDictionary[_Loop, httpx.AsyncClient]()
        self._lock = threading.Lock()
        self._closed = False
        self._sleep = sleep

    @property
    def http(self) -> httpx.AsyncClient:
        """The httpx client: the caller's, or one for each event loop, since a connection belongs to the
        loop that opened it.
        """
        if self._given is not None:
            return self._given
        loop = _this_loop()
        client = self._own.get(loop)
        if client is None:
            client = _http.own_client(httpx.AsyncClient, self.settings)
            with self._lock:
                # A client holds on to its loop: without this, each `asyncio.run` would leave one behind.
                for other in [other for other in self._own if other.is_closed()]:
                    del self._own[other]
                self._own[loop] = client
        return client

    async def open(
        self, call: PreparedRequest, limits: Timeout, core: ReplyBuilder | None = None
    ) -> httpx.Response:
        """Return the answer to `call`, a success with its body unread.

        `core`: of the stream that is to read it; once that is over, the call is not sent again.
        """
        attempts = Attempts(call.operation, self.policy)
        while True:
            began = self.policy.clock()
            try:
                response = await self._open_once(call, limits)
            except MillisError as error:
                _http.log_attempt(call, attempts, began, error)
                delay = attempts.delay_after(error)
                if delay is None:
                    raise
                failure = error
            else:
                _http.log_attempt(call, attempts, began, response.status_code)
                return response
            await self._sleep(delay)
            if core is not None and core.over:
                raise failure

    async def read(self, call: PreparedRequest, limits: Timeout) -> bytes:
        """Return the body of a success."""
        response = await self.open(call, limits)
        body = _http.Body(_http.MAX_BODY_BYTES, self.deadline(limits))
        failure: Exception | None = None
        async with aclosing(response):
            try:
                async for piece in response.aiter_bytes():
                    if not body.add(piece):
                        break
            except READING_ERRORS as error:
                # A copy that was made is not lost because only the answer's ending is.
                if not body.is_json:
                    failure = reading_failure(error, self.settings, call, body)
        if failure is not None:
            raise failure
        return bytes(body.data)

    def deadline(self, limits: Timeout) -> _http.Deadline:
        """Start the clock for the whole of an answer."""
        return _http.Deadline(limits, self.policy)

    async def close(self) -> None:
        """Close the connections of this event loop, unless the httpx client is the caller's own."""
        self._closed = True
        client = self._own.get(_this_loop())
        if client is not None:
            await client.aclose()

    async def _open_once(self, call: PreparedRequest, limits: Timeout) -> httpx.Response:
        http = self.http
        _http.ensure_open(self._closed or http.is_closed)
        request = _http.build_request(http, self.settings, call, limits)
        try:
            response = await http.send(request, stream=True, auth=self._auth, follow_redirects=False)
        except SENDING_ERRORS as error:
            failure = sending_failure(error, request, self.settings, call, limits)
        else:
            _http.begin_body(response, limits)
            if response.is_success:
                return response
            failure = await self._refusal(call, response, limits)
        raise failure

    async def _refusal(self, call: PreparedRequest, response: httpx.Response, limits: Timeout) -> MillisError:
        body = _http.Body(_http.MAX_ERROR_BODY_BYTES, self.deadline(limits))
        # The status is the message; a body that breaks off takes nothing from it.
        async with aclosing(response):
            with suppress(httpx.RequestError):
                async for piece in response.aiter_bytes():
                    if not body.add(piece):
                        break
        return _http.status_error(self.settings, call, response, body)
