"""The state of one reply: bytes in, chunks and the reply out. No I/O: both streams are shells around it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

from ._content import Content
from ._events import END_MARK, is_completion, read_event, read_object, reports_error
from ._json import is_object, read_json
from ._meanings import EndMark, Meaning, ReportedError, Several
from ._reader import PART_BYTES, MeaningReader
from ._stream_errors import StreamErrors
from .errors import MillisError, StreamInterruptedError
from .results import ChatChunk, ChatReply, Ended
from .sse import EventTooLargeError

State: TypeAlias = Literal["open", "done", "finish_reason", "eof", "failed", "closed"]

MAX_BYTES_BEFORE_FIRST_EVENT = 1024 * 1024

# After these, the service may continue the same stream with the tool's result.
_TOOL_REASONS = ("tool_calls", "function_call")


class ReplyBuilder:
    """Builds one reply from the bytes of its stream.

    No method raises because of the bytes: `state` shows what is wrong, and `final_reply` raises it.

    Args:
        redact: removes the key from bytes that go into an error.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        *,
        redact: Callable[[bytes], bytes] = bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state: State = "open"
        self.sent_at: float | None = None
        """When the request was sent, in seconds of the clock; None until then."""
        self.content_encoding: str | None = None
        """The content-encoding of the body, for an error; None if it has none."""
        self._errors = StreamErrors(redact)
        self._clock = clock
        self._content = Content()
        self._failure: BaseException | None = None
        self._reader = MeaningReader()
        self._text_at: float | None = None
        self._finished_at: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be added to the reply."""
        return self.state != "open"

    @property
    def failed(self) -> bool:
        """Whether an error ended the reply."""
        return self.state == "failed"

    @property
    def has_end_mark(self) -> bool:
        """Whether the reply ended with `[DONE]` or a finish reason."""
        return self.state in ("done", "finish_reason")

    @property
    def is_finishing(self) -> bool:
        """Whether nothing but `[DONE]` or the end of the stream is expected."""
        reason = self._content.finish_reason
        return reason is not None and self.state == "open" and reason not in _TOOL_REASONS

    @property
    def reply(self) -> ChatReply:
        """The reply so far."""
        state, content = self.state, self._content
        ended = state if state == "done" or state == "finish_reason" or state == "eof" else None
        return ChatReply(
            text=content.text.join(),
            finish_reason=content.finish_reason,
            ended=ended,
            usage=content.usage,
            tool_calls=content.tool_calls,
            time_to_first_text=self._seconds_until(self._text_at),
            duration=self._seconds_until(self._finished_at) if ended else None,
        )

    def feed(self, data: bytes) -> Iterator[ChatChunk]:
        """Yield the chunks that `data` completes, until the reply is over."""
        if len(data) > PART_BYTES:
            for start in range(0, len(data), PART_BYTES):
                yield from self.feed(data[start : start + PART_BYTES])
            return
        if self.state != "open":
            return
        content, reader = self._content, self._reader
        texts = content.text.chunks
        try:
            meanings = reader.feed(data)
        except EventTooLargeError as error:
            self._too_large(error)
            return
        for meaning in meanings:
            if self.state != "open":  # an error ended it, or the caller left between two chunks
                return
            if content.is_common and isinstance(meaning, ChatChunk):
                texts.append(meaning.text)
                yield meaning
            else:
                yield from self._take(meaning)
        if not reader.event_seen and reader.bytes_without_event > MAX_BYTES_BEFORE_FIRST_EVENT:
            self._not_a_stream(f": no event in {MAX_BYTES_BEFORE_FIRST_EVENT} bytes")

    def end(self, *, require_end: bool = False) -> Iterator[ChatChunk]:
        """End the body properly; yield the chunk of a last event that lacks only its blank line.

        Args:
            require_end: whether a reply that ends without `[DONE]` or a finish reason counts as cut off.
        """
        if self.is_over:
            return
        try:
            meanings, unfinished = self._reader.end()
        except EventTooLargeError as error:
            self._too_large(error)
            return
        for meaning in meanings:
            yield from self._take(meaning)
        if self.is_over:
            return
        if unfinished is not None and (self._reader.event_seen or unfinished.data):
            # A JSON object or string that was cut in half cannot be parsed, so one that parses is complete.
            # Plain text has no such sign, and half a number is a number.
            value = read_json(unfinished.data)
            if not (is_object(value) or isinstance(value, str) or unfinished.data.strip() == END_MARK):
                yield from self._content.decide(None)
                self.cut(
                    f"the stream ended in the middle of an event, after {self._errors.quote(unfinished.data)}"
                )
                return
            yield from self._take(read_event(unfinished))
            if self.is_over:
                return
        ended: Ended = "finish_reason" if self._content.finish_reason else "eof"
        yield from self._finish(ended, require_end=require_end)

    def end_wait(self) -> None:
        """End the reply because nothing came in time after its finish reason."""
        if not self.is_over:
            for _ in self._finish("finish_reason"):
                pass

    def cut(self, reason: str, cause: Exception | None = None) -> None:
        """End the reply because the stream was cut off; a `[DONE]` that lacks only its line end still counts.

        Args:
            reason: the start of the error's message.
            cause: the error of the transport, without frames.
        """
        if self.is_over:
            return
        try:
            _, unfinished = self._reader.end()
        except EventTooLargeError:
            unfinished = None
        if unfinished is not None and unfinished.data.strip() == END_MARK:
            for _ in self._finish("done"):
                pass
            return
        self._content.decide(None)
        error = StreamInterruptedError(f"{reason}; the received part is in .reply", reply=self.reply)
        error.__cause__ = cause
        self.fail(error)

    def fail(self, error: BaseException) -> None:
        """End the reply with `error`."""
        if not self.is_over:
            self._failure = error
            self.state = "failed"

    def close(self) -> None:
        """End the reply because the caller closed the stream; a reply that is over does not change."""
        if not self.is_over:
            self.state = "closed"

    def final_reply(self) -> ChatReply:
        """Return the complete reply.

        Raises:
            StreamInterruptedError: The reply is incomplete, or the caller closed the stream early.
            StreamFailedError: The service reported an error.
            UnexpectedResponseError: The response is not an event stream.
        """
        if self.state in ("done", "finish_reason", "eof"):
            return self.reply
        if isinstance(self._failure, MillisError):
            raise self._failure
        raise StreamInterruptedError(
            "the stream was closed before it was opened; nothing was sent"
            if self.sent_at is None
            else "the stream was closed before its end; the received part is in .reply",
            reply=self.reply,
            maybe_processed=self.sent_at is not None,
        )

    def _take(self, meaning: Meaning) -> Iterator[ChatChunk]:
        """Apply what one event means; yield its chunks."""
        if isinstance(meaning, EndMark):
            yield from self._finish("done")
        elif isinstance(meaning, Several):
            for each in meaning.meanings:
                if self.state == "open":
                    yield from self._take(each)
        elif isinstance(meaning, ReportedError):
            yield from self._content.decide(None)
            self.fail(self._errors.failed(meaning, self.reply))
        else:
            self._reader.event_seen = True
            chunks = self._content.add(meaning)
            if self._text_at is None and self._content.text:
                self._text_at = self._clock()
            if self._finished_at is None and self._content.finish_reason:
                self._finished_at = self._clock()
            yield from chunks

    def _finish(self, ended: Ended, *, require_end: bool = False) -> Iterator[ChatChunk]:
        """End the reply; it is complete if everything was understood.

        Yields:
            The chunks of tokens that waited for the form of the stream, or of a complete JSON response.
        """
        content, reader = self._content, self._reader
        yield from content.decide(None)
        if reader.stray:
            data = reader.stray.read()
            if data is not None and reader.event_seen and reports_error(data):
                yield from self._take(ReportedError(data))
                return
            if data is not None and content.is_empty and is_completion(data):
                yield from self._take(read_object(data, "message"))
                if ended == "eof" and content.finish_reason:
                    ended = "finish_reason"
            else:
                content.note_not_understood(reader.stray.first)
        if not reader.event_seen and (ended != "done" or reader.stray):
            self._not_a_stream()
        elif content.not_understood is not None:
            event = self._errors.quote(content.not_understood)
            self.cut(f"could not understand the event {event}, so the reply may be incomplete")
        elif ended == "eof" and content.is_empty:
            self._unexpected("the stream ended without any text")
        elif ended == "eof" and require_end:
            self.cut("the stream ended without [DONE] or a finish reason, so the reply may be cut off")
        elif problem := content.complete_tool_calls():
            what, part = problem
            self.cut(f"{what}, so the reply may be incomplete: {self._errors.quote(part)}")
        else:
            content.text.end()
            if ended != "finish_reason" or self._finished_at is None:
                self._finished_at = self._clock()
            self.state = ended

    def _too_large(self, error: EventTooLargeError) -> None:
        # The decoder's own message names its argument, which users of a stream cannot set.
        reason = f"an event is larger than {error.limit} bytes"
        if self._reader.event_seen:
            self.cut(reason)
        else:
            self._not_a_stream(f": {reason}")

    def _not_a_stream(self, why: str = "") -> None:
        self._unexpected(f"the response is not an event stream{why}")

    def _unexpected(self, what: str) -> None:
        self.fail(self._errors.unexpected(what, self._reader.head, self.content_encoding))

    def _seconds_until(self, moment: float | None) -> float | None:
        return None if moment is None or self.sent_at is None else max(0.0, moment - self.sent_at)
