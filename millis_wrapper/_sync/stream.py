# Generated from millis_wrapper/_async/stream.py by scripts/regenerate: edit that file, not this one.

"""The stream of one reply, around a `ReplyBuilder`."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from millis_wrapper import _http, _http_errors
from millis_wrapper._text import shorten
from millis_wrapper.chat import ReplyBuilder
from millis_wrapper.errors import ConfigurationError
from millis_wrapper.results import ChatChunk, ChatReply

if TYPE_CHECKING:
    from millis_wrapper.options import Timeout
    from millis_wrapper.request import PreparedRequest

    from .response import OpenResponse
    from .transport import Transport


_NO_CHUNKS: Iterator[ChatChunk] = iter(())
_IS_READ = "stream: another thread or task is reading it; read it in one place"


class ChatStream:
    """A reply as it arrives, returned by `millis.chat.stream(...)`.

    `with`, `open()` or reading the stream sends the request. Opening raises APIStatusError or
    APIConnectionError. Reading raises StreamInterruptedError, StreamFailedError or UnexpectedResponseError.
    Leaving the `with` block, or breaking out of a loop over the stream, closes it: `reply` then holds
    the received part. One thread or task may read the stream; any other may close it.

    Examples:
        >>> with millis.chat.stream("Hello", agent_id="-OabCdEfGhIjKlMnOpQr") as stream:
        ...     texts = [text for text in stream.text_stream]
        >>> texts, stream.reply.ended
        (['Hello'], 'done')
    """

    def __init__(
        self, transport: Transport, prepared: PreparedRequest, timeout: Timeout, builder: ReplyBuilder
    ) -> None:
        self._transport = transport
        self._prepared = prepared
        self._timeout = timeout
        self._builder = builder
        # No code waits for these locks, so a lock that is held during a fork cannot block the child process.
        self._opening = threading.Lock()  # acquired once: a stream sends one request
        self._reading = threading.Lock()
        self._response: OpenResponse | None = None
        self._rest = _NO_CHUNKS

    def __del__(self) -> None:
        response: OpenResponse | None = getattr(self, "_response", None)
        if (builder := getattr(self, "_builder", None)) is not None:
            builder.close()
        if response is None or response.is_closed or response.is_inherited:
            return
        warnings.warn(
            "a chat stream was not closed; use it in a `with` block, read it to its end, or close it",
            ResourceWarning,
            stacklevel=2,
            source=self,
        )
        response.close_soon()

    @property
    def reply(self) -> ChatReply:
        """The reply received so far; `ended` is None until it is complete."""
        return self._builder.reply

    @property
    def text_stream(self) -> Generator[str]:
        """The parts of the text, each as soon as it arrives."""
        return self._read(texts=True)

    def open(self) -> Self:
        """Send the request and return the stream once the response headers have arrived.

        A web server can open the stream before it sends its own status. `with` and reading open it,
        too. Opening an open stream does nothing.

        Raises:
            APIStatusError: The service returned an error status.
            APIConnectionError: No response arrived.
            ConfigurationError: Another thread, task or process is opening the stream.
            StreamInterruptedError: The stream was closed before.
        """
        if self._response is None:
            if self._builder.state != "open":
                self._builder.final_reply()  # raises: it was closed, or the request failed
            if not self._opening.acquire(False):
                raise ConfigurationError("stream: another thread or task is opening it; read it in one place")
            try:
                response = self._transport.open(self._prepared, self._timeout, self._builder)
            except BaseException as error:  # Ctrl-C or a canceled task ends the turn, too
                self._builder.fail(error)
                raise
            self._builder.sent_at = response.deadline.sent_at
            self._response = response
            self._builder.content_encoding = response.content_encoding
            if self._builder.state != "open":
                response.close()
                self._builder.final_reply()  # raises: it was closed in the meantime
        return self

    def until_done(self) -> None:
        """Read the stream to its end.

        Raises:
            StreamError: The reply is incomplete; `.reply` holds the received part.
            UnexpectedResponseError: The response is not an event stream.
            ConfigurationError: Another thread or task is reading the stream.
        """
        self.get_final_reply()

    def get_final_reply(self) -> ChatReply:
        """Read the stream to its end and return the complete reply.

        Raises:
            StreamError: The reply is incomplete or was left early; `.reply` holds the received part.
            UnexpectedResponseError: The response is not an event stream.
            ConfigurationError: Another thread or task is reading the stream.
        """
        self.open()
        self._begin_reading()
        try:
            chunks: Iterator[ChatChunk] | None = self._rest
            while chunks is not None:
                for chunk in chunks:
                    del chunk  # otherwise the last chunk stays in memory during the next wait
                chunks = self._next_chunks()
        finally:
            self._reading.release()
            self.close()
        return self._builder.final_reply()  # raises unless the reply is complete

    def close(self) -> None:
        """Close the stream and its connection; an incomplete reply stays incomplete.

        It can be called at any time, from any thread or task, and more than once.
        """
        self._builder.close()
        response = self._response
        if response is None:
            return
        if self._reading.locked() and not response.is_inherited:
            response.wake_reader()
        response.close()

    def __repr__(self) -> str:
        builder = self._builder
        state = "not opened" if self._response is None and builder.state == "open" else builder.state
        return f"<{type(self).__name__} {state}, text={shorten(repr(builder.reply.text), 60)}>"

    def __iter__(self) -> Iterator[ChatChunk]:
        return self._read(texts=False)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @overload
    def _read(self, *, texts: Literal[True]) -> Generator[str]: ...
    @overload
    def _read(self, *, texts: Literal[False]) -> Generator[ChatChunk]: ...
    def _read(self, *, texts: bool) -> Generator[Any]:
        """Yield the chunks or their texts. A second generator would make each chunk slower."""
        if self._response is None:
            self.open()
        self._begin_reading()
        reading = self._reading
        while True:
            try:
                # The remaining chunks are kept, so that the next reader continues here.
                while (chunk := next(self._rest, None)) is None:
                    chunks = self._next_chunks()
                    if chunks is None:
                        break
                    self._rest = chunks
            except BaseException:  # any error, Ctrl-C or cancel ends the stream
                reading.release()
                self.close()
                raise
            reading.release()
            if chunk is None:
                self.close()
                self._builder.final_reply()  # raises unless the reply is complete
                return
            if not texts or chunk.text:
                try:
                    yield chunk.text if texts else chunk
                except BaseException:  # the caller left the loop
                    self.close()
                    raise
            if not reading.acquire(False):
                raise ConfigurationError(_IS_READ)

    def _begin_reading(self) -> None:
        if self._response is not None and self._response.is_inherited:
            raise ConfigurationError(
                "stream: was opened in another process; create a new stream in this process"
            )
        if not self._reading.acquire(False):
            raise ConfigurationError(_IS_READ)

    def _next_chunks(self) -> Iterator[ChatChunk] | None:
        """Wait for the next body chunk, and return its reply chunks, parsed lazily; None after the end."""
        response, builder = self._response, self._builder
        if response is None:
            return None
        try:
            if builder.state == "open":
                if builder.is_finishing:
                    response.deadline.end_within("finish", _http.FINISH_SECONDS)
                chunk = response.next_chunk()
                if chunk is not None:
                    return builder.feed(chunk)
                return iter(builder.end(require_end=self._transport.end_marks.are_required))
        except Exception as error:  # httpx does not translate all of them
            if not _http_errors.is_transport_error(error):
                builder.fail(error)
                raise
            rest = _http_errors.stream_failed(error, builder, self._transport.options, response.deadline)
            if rest:
                return iter(rest)
        except BaseException as error:  # Ctrl-C or a canceled task ends the turn, too
            builder.fail(error)
            response.note_interruption()
            raise
        self._transport.end_marks.note(builder)
        if builder.state == "done":
            response.drain()
        return None
