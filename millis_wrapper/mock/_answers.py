"""An answer on its way out: it may begin late, be cut, stall, and ends when its reader goes away."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

import anyio
import attrs
from starlette.responses import Response

from ._streams import CutError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.types import Receive, Scope, Send

Sleep = Callable[[float], Awaitable[None]]


@attrs.define
class UnderWay:
    """The answers under way, so that a mock that stops can end them."""

    _scopes: set[anyio.CancelScope] = attrs.field(factory=set[anyio.CancelScope])

    @contextmanager
    def taking(self, scope: anyio.CancelScope) -> Generator[None]:
        """Have `scope` cancelled by `end_all` while this lasts."""
        self._scopes.add(scope)
        try:
            yield
        finally:
            self._scopes.discard(scope)

    def end_all(self) -> None:
        """End them now, unfinished; to be called in the event loop that they run in."""
        for scope in list(self._scopes):
            scope.cancel()


class Answer(Response):
    """An answer in pieces, `delay` seconds late."""

    def __init__(
        self,
        pieces: AsyncGenerator[bytes],
        *,
        media_type: str,
        under_way: UnderWay,
        sleep: Sleep,
        delay: float = 0,
    ) -> None:
        self.status_code = 200
        self.media_type = media_type
        self.init_headers({"cache-control": "no-store"})
        self._pieces = pieces
        self._under_way = under_way
        self._sleep = sleep
        self._delay = delay

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        finished = left = False

        async def end_when_left() -> None:
            nonlocal left
            while (await receive())["type"] != "http.disconnect":
                pass
            left = True
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            with self._under_way.taking(group.cancel_scope):
                group.start_soon(end_when_left)
                finished = await self._write(send)
                group.cancel_scope.cancel()
        if not (finished or left):
            # The one way in which ASGI lets an application close a connection in the middle.
            raise CutError

    async def _write(self, send: Send) -> bool:
        async with aclosing(self._pieces) as pieces:
            if self._delay:
                await self._sleep(self._delay)
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            try:
                async for piece in pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            except CutError:
                return False
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        return True


def not_a_cut(record: logging.LogRecord) -> bool:
    """Keep a log record unless it reports a CutError: that is no failure of the mock."""
    return not (record.exc_info and isinstance(record.exc_info[1], CutError))
