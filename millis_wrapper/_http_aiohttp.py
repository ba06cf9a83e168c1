"""httpx on aiohttp's engine, for many streams at once: `http_client="aiohttp"` of the async client.

httpx-aiohttp's own transport is not used: it reports a connection that broke after the request had been
sent as one that was never made, ignores the write limit, and leaves the key in the answer.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
from yarl import URL

from ._deadline import DeadlineSeconds
from ._http import Trace
from .errors import ConfigurationError

_HEADER_BYTES = 100 * 1024  # of an answer's status line, and of each header
_PIECE_BYTES = 64 * 1024  # of a request; aiohttp hands up to so many over without waiting

_TURNS = 10  # of the event loop, which an event that has happened may need until its task knows

_url = lru_cache(maxsize=64)(URL)


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends the requests of this library through an aiohttp session, which is made at the first one.

    Args:
        verify: The TLS context.
        limits: How many connections it may have.
        proxy: The proxy for all requests.
    """

    def __init__(
        self, verify: ssl.SSLContext, limits: httpx.Limits, proxy: httpx.Proxy | None = None
    ) -> None:
        if proxy is not None and proxy.url.scheme not in ("http", "https"):
            raise ConfigurationError(
                f'http_client="aiohttp" cannot use a {proxy.url.scheme} proxy; without it, the client can'
            )
        self._tls = verify
        self._limits = limits
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return its answer with the body unread.

        Raises:
            httpx.TimeoutException: a limit passed; its class says which.
            aiohttp.ClientError: anything else.
        """
        sending = _Sending(request, self._proxy)
        try:
            async with sending.limit:
                response = await self._request(request, sending)
        except TimeoutError:
            raise sending.limit_passed() from None
        finally:
            sending.end()
        reason = (response.reason or "").encode("utf-8", "surrogateescape")
        body = _Body(response, sending)
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
        # Nobody can close the session of an event loop that has ended, and aiohttp would log it as unclosed.
        session: aiohttp.ClientSession | None = getattr(self, "_session", None)
        connector = session.connector if session is not None else None
        if session is not None and connector is not None:
            session.detach()
            # Closes the connections before its first wait; on a closed loop, it waits for nothing.
            next(iter(connector.close().__await__()), None)

    async def _request(self, request: httpx.Request, sending: _Sending) -> aiohttp.ClientResponse:
        session = self._session = self._session or self._new_session()
        # A kept connection that the server has closed shows it only after the event loop has looked at it.
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
        steps.on_connection_create_start.append(_connecting)
        steps.on_request_headers_sent.append(_headers_are_next)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._limits.max_connections or 0,
                keepalive_timeout=self._limits.keepalive_expiry,
                ssl=self._tls,
            ),
            # As on httpx's engine there are no cookies, and each limit is ours.
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
        # aiohttp makes it the Proxy-Authorization of the request that the proxy reads.
        headers["authorization"] = "Basic " + b64encode(":".join(proxy.auth).encode()).decode()
    return headers


class _Sending:
    """How far one request got, and the limit of each step, from `pool` to `first_byte`."""

    def __init__(self, request: httpx.Request, proxy: httpx.Proxy | None) -> None:
        self._request = request
        self._peer = (proxy or request).url
        self._limits: dict[str, float | None] = request.extensions["timeout"]
        self._trace: Trace = request.extensions["trace"]
        self._step = "pool"
        self._headers: Any = None
        self._is_over = False
        self._timer: asyncio.Handle | None = None
        self.is_written = False
        self.limit = asyncio.timeout(None)
        self._begin("pool")

    def seconds(self, step: str) -> float | None:
        limit = self._limits[step]
        if isinstance(limit, DeadlineSeconds):
            limit = limit.deadline.seconds_left()
        return None if limit == math.inf else limit

    def end(self) -> None:
        self._is_over = True
        self._stop_timer()
        if self._headers is not None:
            # aiohttp keeps them with the answer; the key does not belong there.
            self._headers.pop("authorization", None)

    def _begin(self, step: str) -> None:
        self._step = step
        self._stop_timer()
        # An early response is there while the request is being written.
        if not (self._is_over or self.limit.expired()):
            seconds = self.seconds(step)
            if seconds is not None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(max(seconds, 0), self._expire, _TURNS)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self, turns: int) -> None:
        """Let the timeout pass, after some turns of the event loop.

        After a pause of the loop, data that arrived in time and the timeout come together.
        """
        loop = asyncio.get_running_loop()
        if turns > 0:
            self._timer = loop.call_soon(self._expire, turns - 1)
        else:
            self._timer = None
            self.limit.reschedule(loop.time())

    def limit_passed(self) -> httpx.TimeoutException:
        kinds: dict[str, type[httpx.TimeoutException]] = {
            "pool": httpx.PoolTimeout,
            "connect": httpx.ConnectTimeout,
            "write": httpx.WriteTimeout,
            "read": httpx.ReadTimeout,
        }
        return kinds[self._step]("")

    def connecting(self) -> None:
        self._begin("connect")
        port = self._peer.port or (443 if self._peer.scheme == "https" else 80)
        self._trace.note("aiohttp.connect_tcp.started", {"host": self._peer.host, "port": port})

    def headers_are_next(self, headers: Any) -> None:
        self._headers = headers
        self._trace.note("aiohttp.send_request_headers.started", {"request": self._request})
        if len(self._request.content) <= _PIECE_BYTES:
            self._written()
        else:
            self._begin("write")

    def body(self) -> bytes | AsyncIterator[bytes] | None:
        content = self._request.content
        return (content or None) if len(content) <= _PIECE_BYTES else self._pieces(content)

    async def _pieces(self, content: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(content), _PIECE_BYTES):
            yield content[start : start + _PIECE_BYTES]
            self._begin("write")
        self._written()

    def _written(self) -> None:
        self.is_written = True
        self._trace.note("aiohttp.receive_response_headers.started", {})
        self._begin("read")


async def _connecting(session: object, context: SimpleNamespace, params: object) -> None:
    sending: _Sending = context.trace_request_ctx
    sending.connecting()


async def _headers_are_next(
    session: object, context: SimpleNamespace, params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    """Take note that the head is about to be written: aiohttp calls this before it does."""
    sending: _Sending = context.trace_request_ctx
    sending.headers_are_next(params.headers)


def _retrieve(closed: asyncio.Future[None]) -> None:
    """Retrieve the exception with which a connection was closed."""
    if not closed.cancelled():
        closed.exception()


class _Body(httpx.AsyncByteStream):
    """The body of a response, and what httpx's `network_stream` extension is asked for."""

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
            chunk = self._received()  # needs no timeout
            if not chunk:
                if self._failure is not None:
                    raise self._failure
                if content.at_eof():
                    return
                try:
                    async with asyncio.timeout(sending.seconds("read")):
                        chunk = await content.readany()
                except TimeoutError:
                    # After a pause of the event loop, data that arrived in time and the timeout coincide.
                    await asyncio.sleep(0)
                    chunk = self._received()
                    if not (chunk or self._failure or content.at_eof()):
                        raise httpx.ReadTimeout("") from None
            if chunk:
                yield chunk

    def _received(self) -> bytes:
        """Return what has arrived and was not read yet."""
        content = self._response.content
        if self._protocol is None or not self._protocol.connected:
            self._end(None)
        failure = content.exception()
        if failure is not None:
            self._failure = failure
            # With an exception, aiohttp no longer returns the data that arrived before it.
            nothing: Any = None
            content.set_exception(nothing)
        return content.read_nowait()

    def _end(self, closed: object) -> None:
        """End the body with its connection: aiohttp does not, after a malformed chunk that comes alone."""
        content = self._response.content
        if not content.is_eof() and content.exception() is None and self._failure is None:
            content.set_exception(aiohttp.ClientPayloadError("the body is malformed"))

    async def aclose(self) -> None:
        if self._closed is not None:
            self._closed.remove_done_callback(self._end)
        # Neither waits for anything, so no canceled task leaves its connection behind.
        if self._response.content.at_eof() and self._failure is None and self._sending.is_written:
            self._response.release()
        else:
            self._response.close()

    def get_extra_info(self, info: str) -> Any:
        connection = self._response.connection
        transport = connection.transport if connection is not None else None
        return transport.get_extra_info(info) if transport is not None else None
