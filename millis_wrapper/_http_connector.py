"""aiohttp's connector, with each response head parsed before the bytes that arrived with it."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import TCPConnector
from aiohttp.connector import Connection

_BLANK_LINE = b"\r\n\r\n"


class Connector(TCPConnector):
    """Opens and keeps connections."""

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        """Return a connection for one request."""
        connection = await super().connect(*args, **kwargs)
        transport, protocol = connection.transport, connection.protocol
        if transport is not None and protocol is not None:
            transport.set_protocol(_HeadFirst(protocol))
        return connection


class _HeadFirst(asyncio.Protocol):
    """Passes received bytes to aiohttp's protocol, in a call of their own up to each blank line.

    aiohttp's parser drops a response head, and with it the id of a copy, if a malformed body chunk follows in
    the same call. A blank line in the body is harmless, because the parser continues with the next call.
    """

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol

    def data_received(self, data: bytes) -> None:
        while data:
            first, blank_line, data = data.partition(_BLANK_LINE)
            self._protocol.data_received(first + blank_line)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()
