"""The async stream: a thin shell round `ReplyBuilder`."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio
import httpx

from millis_wrapper._http import DRAIN_BYTES, DRAIN_SECONDS, Deadline, is_plain, own_network
from millis_wrapper._http_errors import READING_ERRORS, stream_failure
from millis_wrapper.chat import ChatChunk, ChatReply, ReplyBuilder
from millis_wrapper.errors import ConfigurationError

if TYPE_CHECKING:
    from millis_wrapper.options import Timeout
    from millis_wrapper.request import PreparedRequest

    from .transport import AsyncTransport


class AsyncChatStream:
    """A reply as it arrives; made by `millis.chat.stream(...)`.

    Entering the `async with` block sends the request, and raises what the answer's status tells
    (APIStatusError, APIConnectionError). Reading raises StreamInterruptedError, StreamFailedError and
    UnexpectedResponseError. Leaving the block closes the stream at once, and breaking out of a loop over it
    as soon as the event loop turns: `reply` then holds what had come, and is not whole.
    """

    def __init__(
        self,
        transport: AsyncTransport,
        make_call: Callable[[], PreparedRequest],
        limits: Timeout,
        core: ReplyBuilder,
    ) -> None:
        self._transport = transport
        self._make_call = make_call
        self._limits = limits
        self._core = core
        self._opening = threading.Lock()  # taken once: a stream is sent once
        self._response: httpx.Response | None = None
        self._deadline: Deadline | None = None
        self._chunks: AsyncGenerator[ChatChunk] | None = None

    @property
    def reply(self) -> ChatReply:
        """What has come so far; `ended` is None until it is whole."""
        return self._core.reply

    @property
    async def text_stream(self) -> AsyncGenerator[str]:
        """The pieces of text, each as soon as it has arrived."""
        async with aclosing(self._read()) as chunks:
            async for chunk in chunks:
                if chunk.text:
                    yield chunk.text

    async def until_done(self) -> None:
        """Read the stream to its end; raises what breaks it."""
        async with self:
            async for _ in self._rest():
                pass
        self._core.final_reply()  # raises unless it ended well

    async def get_final_reply(self) -> ChatReply:
        """Read the stream to its end and return the whole reply; raises what broke it, or
        StreamInterruptedError when it was left early.
        """
        await self.until_done()
        return self._core.final_reply()

    async def close(self) -> None:
        """Close the connection; a reply that is not whole stays so. May be called at any time and more than
        once.
        """
        self._core.leave()
        if self._response is not None and not self._response.is_closed:
            # A cancelled task has to give its connection back all the same.
            with anyio.CancelScope(shield=True):
                await self._response.aclose()

    aclose = close

    def __aiter__(self) -> AsyncIterator[ChatChunk]:
        return self._read()

    async def __aenter__(self) -> Self:
        if self._response is None:
            if self._core.over:
                self._core.final_reply()  # raises: the stream was closed, or could not be sent
            if not self._opening.acquire(blocking=False):
                raise ConfigurationError("stream: another task is opening it; enter it first, then read it")
            try:
                self._response = await self._transport.open(self._make_call(), self._limits, self._core)
            except BaseException as error:  # a Ctrl-C or a cancelled task ends the turn, too
                self._core.fail(error)
                raise
            if self._core.over:
                await self._response.aclose()
                self._core.final_reply()  # raises: another task closed the stream meanwhile
            self._deadline = self._transport.deadline(self._limits)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _read(self) -> AsyncGenerator[ChatChunk]:
        async with self:
            async for chunk in self._rest():
                yield chunk
        self._core.final_reply()  # raises unless it ended well

    def _rest(self) -> AsyncIterator[ChatChunk]:
        # One generator for all readers, so that a second one goes on where the first is.
        self._chunks = self._chunks or self._chunks_as_they_come()
        return self._chunks

    async def _chunks_as_they_come(self) -> AsyncGenerator[ChatChunk]:
        response, deadline = self._response, self._deadline
        if response is None or deadline is None or self._core.over:
            return
        pieces = response.aiter_raw() if is_plain(response) else response.aiter_bytes()
        failure: Exception | None = None
        try:
            async for piece in pieces:
                for chunk in self._core.feed(piece):
                    yield chunk
                if self._core.over:
                    break
                deadline.check()
            else:
                for chunk in self._core.end():
                    yield chunk
        except READING_ERRORS as error:
            failure = stream_failure(error, self._core, deadline)
        except GeneratorExit:
            raise
        except BaseException as error:  # a Ctrl-C or a cancelled task ends the turn, too
            self._core.fail(error)
            raise
        if failure is not None:
            raise failure
        if self._core.done:
            await _drain(response, pieces)


async def _drain(response: httpx.Response, pieces: AsyncIterator[bytes]) -> None:
    """Read on to the body's end, so that the connection can be used again; within limits, and whatever
    happens, since the reply is whole.
    """
    if own_network(response) is None:
        return
    read = 0
    with anyio.move_on_after(DRAIN_SECONDS), suppress(httpx.RequestError):
        async for piece in pieces:
            read += len(piece)
            if read > DRAIN_BYTES:
                break
