"""The state of one reply: bytes in, chunks and the reply out. No I/O: both streams are shells around it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TypeAlias

from ._content import Content
from ._events import is_completion, read_object, reports_error
from ._meanings import EndMark, Meaning, ReportedError, Several, TooLarge, Unfinished
from ._reader import MeaningReader
from ._stream_errors import StreamErrors
from .errors import MillisError, StreamInterruptedError
from .results import ChatChunk, ChatReply, Ended

State: TypeAlias = Literal["open", "done", "finish_reason", "eof", "failed", "closed"]

# After these, the service may continue the same stream with the tool's result.
_TOOL_REASONS = ("tool_calls", "function_call")

_NOT_A_STREAM = "the response is not an event stream"


class ReplyBuilder:
    """Builds one reply from the bytes of its stream.

    No method raises because of the bytes: `state` shows whether the reply failed, and `final_reply` raises
    the error.

    Args:
        redact: Removes the key from bytes that go into an error.
        clock: Returns monotonic seconds.
    """

    def __init__(
        self, *, redact: Callable[[bytes], bytes] = bytes, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.state: State = "open"
        self.is_finishing = False
        """Whether nothing but `[DONE]` or the end of the stream is expected."""
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
        if self.state != "open":
            return
        content = self._content
        texts = content.text.chunks
        for meaning in self._reader.feed(data):
            if self.state != "open":  # an error ended it, or the caller left between two chunks
                return
            if content.is_common and isinstance(meaning, ChatChunk):
                texts.append(meaning.text)
                yield meaning
            else:
                yield from self._take(meaning)

    def end(self, *, require_end: bool = False) -> Iterator[ChatChunk]:
        """End the body properly; yield the chunk of a last event that lacks only its blank line.

        Args:
            require_end: Whether a reply that ends without `[DONE]` or a finish reason counts as cut off.
        """
        if self.state == "open":
            yield from self._take_all(self._reader.end())
        if self.state == "open":
            ended: Ended = "finish_reason" if self._content.finish_reason else "eof"
            yield from self._finish(ended, require_end=require_end)

    def end_wait(self) -> list[ChatChunk]:
        """End the reply because nothing arrived in time after its finish reason; return the last chunks."""
        return list(self._finish("finish_reason")) if self.state == "open" else []

    def cut(self, reason: str, cause: Exception | None = None) -> list[ChatChunk]:
        """End the reply because the connection was lost; return the last chunks.

        A last event that lacks only its blank line counts, so a reply whose `[DONE]` arrived is complete.

        Args:
            reason: The start of the error's message.
            cause: The error of the transport, without frames.
        """
        if self.state != "open":
            return []
        rest = [each for each in self._reader.end() if not isinstance(each, Unfinished | TooLarge)]
        chunks = [*self._take_all(rest), *self._content.decide(None)]
        self._interrupt(reason, cause)
        return chunks

    def fail(self, error: BaseException) -> None:
        """End the reply with `error`."""
        if self.state == "open":
            self._failure = error
            self.state = "failed"

    def close(self) -> None:
        """End the reply because the caller closed the stream; a reply that is over does not change."""
        if self.state == "open":
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

    def _take_all(self, meanings: Iterable[Meaning]) -> Iterator[ChatChunk]:
        """Apply meanings until the reply is over; yield their chunks."""
        for meaning in meanings:
            if self.state == "open":
                yield from self._take(meaning)

    def _take(self, meaning: Meaning) -> Iterator[ChatChunk]:
        """Apply the meaning of one event; yield its chunks."""
        match meaning:
            case EndMark():
                yield from self._finish("done")
            case Several(meanings):
                yield from self._take_all(meanings)
            case ReportedError():
                yield from self._content.decide(None)
                self.fail(self._errors.failed(meaning, self.reply))
            case Unfinished(source):
                yield from self._content.decide(None)
                after = self._errors.quote(source)
                self._interrupt(f"the stream ended in the middle of an event, after {after}")
            case TooLarge(reason):
                if self._reader.event_seen:
                    yield from self._content.decide(None)
                    self._interrupt(reason)
                else:
                    self._unexpected(f"{_NOT_A_STREAM}: {reason}")
            case _:
                self._reader.event_seen = True
                chunks = self._content.add(meaning)
                self._note_times()
                yield from chunks

    def _finish(self, ended: Ended, *, require_end: bool = False) -> Iterator[ChatChunk]:
        """End the reply; it is complete if everything was understood.

        Yields:
            The chunks of held tokens, or of a complete JSON response.
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
            self._unexpected(_NOT_A_STREAM)
        elif content.not_understood is not None:
            event = self._errors.quote(content.not_understood)
            self._interrupt(f"could not understand the event {event}, so the reply may be incomplete")
        elif ended == "eof" and content.is_empty:
            self.fail(
                self._errors.unexpected(
                    "the stream ended without any text", reader.head, self.content_encoding
                )
            )
        elif ended == "eof" and require_end:
            self._interrupt("the stream ended without [DONE] or a finish reason, so the reply may be cut off")
        elif problem := content.complete_tool_calls():
            what, part = problem
            self._interrupt(f"{what}, so the reply may be incomplete: {self._errors.quote(part)}")
        else:
            if rest := content.text.end():
                yield ChatChunk(rest, "")
            self._note_times(ended)
            self.state = ended

    def _note_times(self, ended: Ended | None = None) -> None:
        """Note when the first text was there, and when the reply was complete."""
        content = self._content
        if self._text_at is None and content.text:
            self._text_at = self._clock()
        # Time that was spent waiting for a `[DONE]` that did not come is not part of the reply's.
        if ended not in (None, "finish_reason") or (self._finished_at is None and content.finish_reason):
            self._finished_at = self._clock()
        reason = content.finish_reason
        self.is_finishing = reason is not None and reason not in _TOOL_REASONS

    def _interrupt(self, reason: str, cause: Exception | None = None) -> None:
        error = StreamInterruptedError(f"{reason}; the received part is in .reply", reply=self.reply)
        error.__cause__ = cause
        self.fail(error)

    def _unexpected(self, what: str) -> None:
        self.fail(self._errors.unexpected(what, self._reader.head, self.content_encoding))

    def _seconds_until(self, moment: float | None) -> float | None:
        return None if moment is None or self.sent_at is None else max(0.0, moment - self.sent_at)
