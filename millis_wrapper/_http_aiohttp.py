"""An httpx transport on aiohttp, for many streams at once: `http_client="aiohttp"` of the async client.

The transport of httpx-aiohttp is not used: it reports a connection that broke after the request was sent as
one that was never made, ignores the write timeout, and leaves the key in the response.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import httpx
from yarl import URL

from ._deadline import DeadlineSeconds
from ._http import Trace
from ._http_connector import Connector
from .errors import ConfigurationError

_HEADER_BYTES = 100 * 1024  # maximum size of a status line, and of a response header
_PART_BYTES = 64 * 1024  # of a request body; aiohttp passes this much to the socket without a wait

_TIMEOUTS: dict[str, type[httpx.TimeoutException]] = {
    "pool": httpx.PoolTimeout,
    "connect": httpx.ConnectTimeout,
    "write": httpx.WriteTimeout,
    "read": httpx.ReadTimeout,
}
_url = lru_cache(maxsize=64)(URL)


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends requests through an aiohttp session, which the first request creates."""

    def __init__(
        self, verify: ssl.SSLContext, limits: httpx.Limits, proxy: httpx.Proxy | None = None
    ) -> None:
        if proxy is not None and proxy.url.scheme not in ("http", "https"):
            raise ConfigurationError(
                f'http_client: "aiohttp" does not support {proxy.url.scheme} proxies; omit http_client='
            )
        self._tls = verify
        self._limits = limits
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the response, with the body unread.

        Raises:
            httpx.TimeoutException: A timeout passed; the class shows which one.
            httpx.RemoteProtocolError: The server switched to another protocol.
            aiohttp.ClientError: The request failed for any other reason.
        """
        sending = _Sending(request, self._proxy)
        try:
            async with sending.scope:
                response = await self._request(request, sending)
        except TimeoutError:
            raise sending.timeout_error() from None
        finally:
            sending.end()
        if response.status == 101:
            response.close()
            raise httpx.RemoteProtocolError("the server switched to another protocol")
        body, reason = _Body(response, sending), (response.reason or "").encode("utf-8", "surrogateescape")
        return httpx.Response(
            response.status,
            headers=response.raw_headers,
            stream=body,
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": reason, "network_stream": body},
        )

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def __del__(self) -> None:
        # No call can close the session of an event loop that has ended, and aiohttp would log it as unclosed.
        session: aiohttp.ClientSession | None = getattr(self, "_session", None)
        connector = session.connector if session is not None else None
        if session is not None and connector is not None:
            session.detach()
            # `close` closes the connections before its first wait; on a closed loop, it does not wait.
            next(iter(connector.close().__await__()), None)

    async def _request(self, request: httpx.Request, sending: _Sending) -> aiohttp.ClientResponse:
        session = self._session = self._session or self._new_session()
        # The event loop needs a turn to notice that the server has closed a kept connection.
        for _ in range(2):
            await asyncio.sleep(0)
        proxy = self._proxy
        return await session.request(
            request.method,
            _url(str(request.url), encoded=True),
            headers=[(name.decode("ascii"), value.decode("ascii")) for name, value in request.headers.raw],
            data=sending.body(),
            allow_redirects=False,
            proxy=str(proxy.url) if proxy else None,
            proxy_headers=_proxy_headers(proxy) if proxy else None,
            trace_request_ctx=sending,
        )

    def _new_session(self) -> aiohttp.ClientSession:
        steps = aiohttp.TraceConfig()
        steps.on_connection_create_start.append(_note_connecting)
        steps.on_request_headers_sent.append(_note_headers)
        return aiohttp.ClientSession(
            connector=Connector(
                limit=self._limits.max_connections or 0,
                keepalive_timeout=self._limits.keepalive_expiry,
                ssl=self._tls,
            ),
            # As with httpx, the session ignores cookies, and `_Sending` applies the timeouts.
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            auto_decompress=False,
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
            trace_configs=[steps],
        )


def _proxy_headers(proxy: httpx.Proxy) -> dict[str, str]:
    headers = dict(proxy.headers)
    if proxy.auth is not None:
        # aiohttp sends it as Proxy-Authorization.
        headers["authorization"] = "Basic " + b64encode(":".join(proxy.auth).encode()).decode()
    return headers


class _Sending:
    """How far one request got, and the timeout of each step, from `pool` to `first_byte`."""

    def __init__(self, request: httpx.Request, proxy: httpx.Proxy | None) -> None:
        self._request = request
        self._peer = (proxy or request).url
        self._timeouts: dict[str, float | None] = request.extensions["timeout"]
        self._trace: Trace = request.extensions["trace"]
        self._loop = asyncio.get_running_loop()
        self._step = "pool"
        self._headers: Any = None
        self._is_over = False
        self._timer: asyncio.Handle | None = None
        self.scope = asyncio.timeout(None)
        self._begin("pool")

    def seconds(self, step: str) -> float | None:
        timeout = self._timeouts[step]
        if isinstance(timeout, DeadlineSeconds):
            timeout = timeout.deadline.seconds_left()
        return None if timeout == math.inf else timeout

    def end(self) -> None:
        self._is_over = True
        self._stop_timer()
        if self._headers is not None:
            # aiohttp keeps the request headers with the response, where the key must not stay.
            self._headers.pop("authorization", None)

    def _begin(self, step: str) -> None:
        self._step = step
        self._stop_timer()
        seconds = self.seconds(step)
        if self._is_over or self.scope.expired():
            return
        if self.scope.when() is not None:  # the step before ended just before its timeout took effect
            self.scope.reschedule(None)
        if seconds is not None:
            self._timer = self._loop.call_later(max(seconds, 0), self._expire)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        """Let the timeout pass in the next turn of the event loop.

        After a pause of the loop, the timeout and data that arrived in time are due in the same turn.
        """
        self.scope.reschedule(self._loop.time())

    def timeout_error(self) -> httpx.TimeoutException:
        return _TIMEOUTS[self._step]("")

    def connecting(self) -> None:
        self._begin("connect")
        port = self._peer.port or (443 if self._peer.scheme == "https" else 80)
        self._trace.note("aiohttp.connect_tcp.started", {"host": self._peer.host, "port": port})

    def headers_are_next(self, headers: Any) -> None:
        self._headers = headers
        self._trace.note("aiohttp.send_request_headers.started", {"request": self._request})
        self._begin("write")
        if len(self._request.content) <= _PART_BYTES:
            # aiohttp writes the request in the next turn of the event loop.
            self._loop.call_soon(self._written)

    def body(self) -> bytes | AsyncIterator[bytes] | None:
        content = self._request.content
        return (content or None) if len(content) <= _PART_BYTES else self._parts(content)

    async def _parts(self, content: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(content), _PART_BYTES):
            yield content[start : start + _PART_BYTES]
        self._written()

    def _written(self) -> None:
        if self._is_over:  # the response arrived while the request was still being written
            return
        self._trace.note("aiohttp.receive_response_headers.started", {})
        self._begin("read")


async def _note_connecting(session: object, context: SimpleNamespace, params: object) -> None:
    sending: _Sending = context.trace_request_ctx
    sending.connecting()


async def _note_headers(
    session: object, context: SimpleNamespace, params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    """Note that aiohttp is about to write the request headers."""
    sending: _Sending = context.trace_request_ctx
    sending.headers_are_next(params.headers)


def _retrieve(closed: asyncio.Future[None]) -> None:
    """Retrieve the exception with which a connection was closed."""
    if not closed.cancelled():
        closed.exception()


class _Body(httpx.AsyncByteStream):
    """The body of a response, which also serves as httpx's `network_stream` extension."""

    def __init__(self, response: aiohttp.ClientResponse, sending: _Sending) -> None:
        self._response = response
        self._sending = sending
        self._failure: BaseException | None = None
        connection = response.connection
        self._protocol = protocol = connection.protocol if connection is not None else None
        self._closed = protocol.closed if protocol is not None else None
        if self._closed is not None:
            self._closed.add_done_callback(self._end)
            # Once for each connection: without it, asyncio logs the exception of a reset as never retrieved.
            self._closed.remove_done_callback(_retrieve)
            self._closed.add_done_callback(_retrieve)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content, sending = self._response.content, self._sending
        while True:
            chunk = self._received()
            if not chunk:
                if self._failure is not None:
                    raise self._failure
                if content.at_eof():
                    return
                try:
                    async with asyncio.timeout(sending.seconds("read")):
                        chunk = await content.readany()
                except TimeoutError:
                    # After a pause of the event loop, data may have arrived in time anyway.
                    await asyncio.sleep(0)
                    chunk = self._received()
                    if not (chunk or self._failure or content.at_eof()):
                        raise httpx.ReadTimeout("") from None
            if chunk:
                yield chunk

    def _received(self) -> bytes:
        """Return the bytes that have arrived and were not read yet."""
        content = self._response.content
        if self._protocol is None or not self._protocol.connected:
            self._end(None)
        failure = content.exception()
        if failure is not None:
            self._failure = failure
            # While an exception is set, aiohttp does not return the data that arrived before it.
            content.set_exception(cast("BaseException", None))
        return content.read_nowait()

    def _end(self, closed: object) -> None:
        """End the body when its connection ends; aiohttp does not if a malformed chunk closed it."""
        content = self._response.content
        if not content.is_eof() and content.exception() is None and self._failure is None:
            content.set_exception(aiohttp.ClientPayloadError("the body is malformed"))

    async def aclose(self) -> None:
        if self._closed is not None:
            self._closed.remove_done_callback(self._end)
        # This does not wait, so a canceled task cannot leave its connection behind. aiohttp closes the
        # connection if the response is incomplete, or the request was not written completely.
        self._response.release()

    def get_extra_info(self, info: str) -> Any:
        connection = self._response.connection
        transport = connection.transport if connection is not None else None
        return transport.get_extra_info(info) if transport is not None else None
