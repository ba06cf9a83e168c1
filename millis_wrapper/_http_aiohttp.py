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

from ._http import OwnAsyncClient, ReadLimit
from .errors import ConfigurationError

_HEADER_BYTES = 100 * 1024  # of an answer's status line, and of each header
_PIECE_BYTES = 64 * 1024  # of a request; aiohttp hands up to so many over without waiting
_LIMITS = httpx.Limits()

_url = lru_cache(maxsize=64)(URL)


class AiohttpClient(OwnAsyncClient):
    """An httpx client whose transports are aiohttp's, the proxies of the environment included."""

    def _init_transport(
        self,
        verify: ssl.SSLContext | str | bool = True,
        cert: Any = None,
        trust_env: bool = True,
        http1: bool = True,
        http2: bool = False,
        limits: httpx.Limits = _LIMITS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> httpx.AsyncBaseTransport:
        return transport or AiohttpTransport(verify, limits)

    def _init_proxy_transport(
        self,
        proxy: httpx.Proxy,
        verify: ssl.SSLContext | str | bool = True,
        cert: Any = None,
        trust_env: bool = True,
        http1: bool = True,
        http2: bool = False,
        limits: httpx.Limits = _LIMITS,
    ) -> httpx.AsyncBaseTransport:
        if proxy.url.scheme not in ("http", "https"):
            raise ConfigurationError(
                f'http_client="aiohttp" cannot use a {proxy.url.scheme} proxy; without it, the client can'
            )
        return AiohttpTransport(verify, limits, proxy)


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends the requests of this library through an aiohttp session, which is made at the first one.

    Args:
        verify: the TLS context, or whether to trust the certificates that httpx trusts.
        limits: how many connections it may have.
        proxy: what to send requests through.
    """

    def __init__(self, verify: Any, limits: httpx.Limits, proxy: httpx.Proxy | None = None) -> None:
        self._tls = httpx.create_ssl_context(verify) if isinstance(verify, bool) else verify
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
            async with asyncio.timeout(None) as limit:
                sending.begin(limit)
                response = await self._request(request, sending)
        except TimeoutError:
            raise sending.limit_passed() from None
        finally:
            sending.end()
        reason = (response.reason or "").encode("utf-8", "surrogateescape")
        return httpx.Response(
            response.status,
            headers=response.raw_headers,
            stream=_Body(response, sending),
            extensions={
                "http_version": b"HTTP/1.1",
                "reason_phrase": reason,
                "network_stream": _Network(response),
            },
        )

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

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
        self._limits: dict[str, float | None] = request.extensions.get("timeout", {})
        self._trace: Any = request.extensions.get("trace")
        self._scope: asyncio.Timeout | None = None
        self._step = "pool"
        self.headers: Any = None
        self.is_written = False

    def begin(self, scope: asyncio.Timeout) -> None:
        self._scope = scope
        self._limit("pool")

    def end(self) -> None:
        self._scope = None
        if self.headers is not None:
            # aiohttp keeps them with the answer; the key does not belong there.
            self.headers.pop("authorization", None)

    def _limit(self, step: str) -> None:
        self._step = step
        scope = self._scope
        if scope is None or scope.expired():  # an early answer is there while the request is being written
            return
        seconds = _seconds(self._limits.get(step))
        scope.reschedule(None if seconds is None else asyncio.get_running_loop().time() + seconds)

    def limit_passed(self) -> httpx.TimeoutException:
        kinds: dict[str, type[httpx.TimeoutException]] = {
            "pool": httpx.PoolTimeout,
            "connect": httpx.ConnectTimeout,
            "write": httpx.WriteTimeout,
            "read": httpx.ReadTimeout,
        }
        return kinds[self._step]("")

    async def connecting(self) -> None:
        self._limit("connect")
        port = self._peer.port or (443 if self._peer.scheme == "https" else 80)
        await self._note("connect_tcp.started", {"host": self._peer.host, "port": port})

    async def headers_are_next(self, headers: Any) -> None:
        self.headers = headers
        await self._note("send_request_headers.started", {"request": self._request})
        if len(self._request.content) <= _PIECE_BYTES:
            await self._written()
        else:
            self._limit("write")

    def body(self) -> bytes | AsyncIterator[bytes] | None:
        content = self._request.content
        return (content or None) if len(content) <= _PIECE_BYTES else self._pieces(content)

    async def _pieces(self, content: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(content), _PIECE_BYTES):
            yield content[start : start + _PIECE_BYTES]
            self._limit("write")
        await self._written()

    async def _written(self) -> None:
        self.is_written = True
        await self._note("receive_response_headers.started", {})
        self._limit("read")

    async def _note(self, event: str, info: dict[str, Any]) -> None:
        if self._trace is not None:
            await self._trace(f"aiohttp.{event}", info)

    def read_seconds(self) -> float | None:
        return _seconds(self._limits.get("read"))


def _seconds(limit: float | None) -> float | None:
    if isinstance(limit, ReadLimit):
        limit = limit.deadline.seconds_left()
    return None if limit is None or limit == math.inf else limit


async def _connecting(session: object, context: SimpleNamespace, params: object) -> None:
    sending: _Sending = context.trace_request_ctx
    await sending.connecting()


async def _headers_are_next(
    session: object, context: SimpleNamespace, params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    """Take note that the head is about to be written: aiohttp calls this before it does."""
    sending: _Sending = context.trace_request_ctx
    await sending.headers_are_next(params.headers)


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse, sending: _Sending) -> None:
        self._response = response
        self._sending = sending

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content, sending = self._response.content, self._sending
        while True:
            # What is there already needs no time limit.
            piece = content.read_nowait()
            if not piece:
                try:
                    async with asyncio.timeout(sending.read_seconds()):
                        piece = await content.readany()
                except TimeoutError:
                    raise httpx.ReadTimeout("") from None
                if not piece:
                    return
            yield piece

    async def aclose(self) -> None:
        # Neither waits for anything, so no cancelled task leaves its connection behind.
        if self._response.content.at_eof() and self._sending.is_written:
            self._response.release()
        else:
            self._response.close()


class _Network:
    """What httpx's `network_stream` extension is asked for."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    def get_extra_info(self, info: str) -> Any:
        connection = self._response.connection
        transport = connection.transport if connection is not None else None
        return transport.get_extra_info(info) if transport is not None else None
