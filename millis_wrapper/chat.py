"""`ReplyBuilder` turns the bytes of one stream into chunks and a reply. No I/O."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

from . import _stream_errors
from ._content import Content
from ._events import read_event, read_last_event
from ._meanings import Chunk, EndMark, Meaning, ReportedError, Several, StrayLine, TooLarge, Unfinished
from ._stray import StrayLines
from .errors import MillisError
from .results import ChatChunk, ChatReply, Ended
from .sse import EventTooLargeError, SSEDecoder

State: TypeAlias = Literal["open", "done", "finish_reason", "eof", "failed", "closed"]

MAX_BYTES_BEFORE_FIRST_EVENT = 1024 * 1024
_HEAD_BYTES = 8_000
# After these, the service may continue the same stream with the tool's result.
_TOOL_REASONS = ("tool_calls", "function_call")

_NOT_A_STREAM = "the response is not an event stream"
_NO_EVENT = f"{_NOT_A_STREAM}: no event in {MAX_BYTES_BEFORE_FIRST_EVENT} bytes"


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
        """How the reply ended; "open" while it may still grow."""
        self.is_finishing = False
        """Whether only `[DONE]` or the end of the stream is expected."""
        self.sent_at: float | None = None
        """When the request was sent, in seconds of the clock; None until then."""
        self.content_encoding: str | None = None
        """The content-encoding of the body, for an error, or None."""
        self._redact = redact
        self._clock = clock
        self._decoder = SSEDecoder(with_ignored_lines=True)
        self._content = Content()
        self._failure: BaseException | None = None
        self._head = b""  # the start of the body, for an error
        self._event_seen = False  # whether an event other than `[DONE]` arrived
        self._bytes_without_event = 0
        self._stray: StrayLines | None = None  # most streams have no such line
        self._text_at: float | None = None
        self._finished_at: float | None = None

    @property
    def reply(self) -> ChatReply:
        """The received part of the reply."""
        state, content, sent_at = self.state, self._content, self.sent_at
        ended = state if state == "done" or state == "finish_reason" or state == "eof" else None
        reply = ChatReply(content.text(), content.finish_reason, ended, content.usage)
        if content.calls:
            reply.tool_calls = content.calls.so_far()
        if sent_at is not None and self._text_at is not None:
            reply.time_to_first_text = self._text_at - sent_at
        if sent_at is not None and self._finished_at is not None and ended:
            reply.duration = self._finished_at - sent_at
        return reply

    def feed(self, data: bytes) -> Iterator[ChatChunk]:
        """Yield the chunks that `data` completes, until the reply is over."""
        if self.state != "open":
            return
        if len(self._head) < _HEAD_BYTES:
            self._head += data[: _HEAD_BYTES - len(self._head)]
        try:
            events = self._decoder.feed(data)
        except EventTooLargeError as error:
            yield from self._take(TooLarge(error.limit), "")
            return
        content = self._content
        for event in events:
            meaning = read_event(event)
            if self.state != "open":  # an event ended the reply, or the caller closed the stream
                return
            if content.is_common and isinstance(meaning, ChatChunk):
                content.texts.append(meaning.text)
                yield meaning
            else:
                yield from self._take(meaning, event.data)
        if not self._event_seen:
            self._bytes_without_event += len(data)
            if self._bytes_without_event > MAX_BYTES_BEFORE_FIRST_EVENT:
                self._fail_unexpected(_NO_EVENT)

    def end(self, *, require_end: bool = False) -> list[ChatChunk]:
        """End the reply at the end of the body, or when no `[DONE]` follows; return the last chunks.

        Args:
            require_end: Whether a reply that ends without `[DONE]` or a finish reason counts as cut off.
        """
        chunks = self._take_last()
        if self.state == "open":
            ended: Ended = "finish_reason" if self._content.finish_reason else "eof"
            chunks += self._finish(ended, require_end=require_end)
        return chunks

    def cut(self, reason: str, cause: Exception | None = None) -> list[ChatChunk]:
        """End the reply because the connection was lost; return the last chunks.

        A last event that lacks only its blank line counts, so a reply whose `[DONE]` arrived is complete.

        Args:
            reason: The start of the error's message.
            cause: The error of the transport, without frames.
        """
        return self._take_last(is_cut=True) + self._interrupt(reason, cause=cause)

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
        raise _stream_errors.closed(self.reply, was_sent=self.sent_at is not None)

    def _take_last(self, *, is_cut: bool = False) -> list[ChatChunk]:
        """Apply the event and the line that the end of the body cut off; return their chunks.

        If the connection was lost, that is the reason why an event is unfinished.
        """
        chunks: list[ChatChunk] = []
        try:
            while (event := self._decoder.end()) is not None:
                meaning = read_last_event(event)
                if not (isinstance(meaning, Unfinished) and (is_cut or not (event.data or self._event_seen))):
                    chunks += self._take(meaning, event.data)
        except EventTooLargeError as error:
            if not is_cut:
                chunks += self._take(TooLarge(error.limit), "")
        return chunks

    def _take(self, meaning: Meaning, source: str) -> list[ChatChunk]:
        """Apply the meaning of one event, whose data is `source`; return its chunks."""
        if self.state != "open":
            return []
        chunks: list[ChatChunk] = []
        match meaning:
            case EndMark():
                chunks = self._finish("done")
            case Several(meanings):
                for each in meanings:
                    chunks += self._take(each, source)
            case StrayLine():
                self._stray = self._stray or StrayLines()
                if error := self._stray.add(source, in_stream=self._event_seen):
                    chunks = self._take(error, source)
            case ReportedError(payload):
                chunks = self._release()
                self.fail(_stream_errors.failed(payload, self.reply, self._redact))
            case Unfinished():
                chunks = self._interrupt("the stream ended in the middle of an event, after {}", source)
            case TooLarge(limit) if self._event_seen:
                chunks = self._interrupt(f"an event is larger than {limit} bytes")
            case TooLarge():
                self._fail_unexpected(_NO_EVENT)
            case _:
                self._event_seen = True
                chunks = self._content.add(meaning, source)
                self._note_text()
                if reason := self._content.finish_reason:
                    self.is_finishing = reason not in _TOOL_REASONS
                    if chunks[-1].finish_reason:
                        self._finished_at = self._clock()
        return chunks

    def _finish(self, ended: Ended, *, require_end: bool = False) -> list[ChatChunk]:
        """End the reply, which is complete if every event was understood; return the last chunks."""
        content = self._content
        chunks = self._release()
        if self._stray:
            meaning = self._stray.read()
            if isinstance(meaning, ReportedError) and self._event_seen:
                return chunks + self._take(meaning, "")
            if isinstance(meaning, Chunk):
                chunks += self._take(meaning, self._stray.first)
                ended = "finish_reason" if ended == "eof" and content.finish_reason else ended
            else:
                content.note_not_understood(self._stray.first)
        if not self._event_seen and (ended != "done" or self._stray):
            self._fail_unexpected(_NOT_A_STREAM)
        elif problem := content.complete():
            chunks += self._interrupt(*problem)
        elif ended == "eof" and content.is_empty:
            self._fail_unexpected("the stream ended without any text")
        elif ended == "eof" and require_end:
            chunks += self._interrupt(
                "the stream ended without [DONE] or a finish reason, so the reply may be cut off"
            )
        else:
            chunks += content.end_text()
            # The duration of a reply does not include the wait for a missing `[DONE]`.
            if ended != "finish_reason":
                self._finished_at = self._clock()
            self.state = ended
        return chunks

    def _interrupt(
        self, reason: str, part: str | None = None, cause: Exception | None = None
    ) -> list[ChatChunk]:
        """End the reply as incomplete (see `interrupted`); return the chunks of held tokens."""
        chunks = self._release()
        self.fail(_stream_errors.interrupted(reason, part, cause, self.reply, self._redact))
        return chunks

    def _release(self) -> list[ChatChunk]:
        """Return the chunks of held tokens at the end of the reply."""
        chunks = self._content.release()
        self._note_text()
        return chunks

    def _note_text(self) -> None:
        """Note the time of the first text."""
        if self._text_at is None and self._content.texts:
            self._text_at = self._clock()

    def _fail_unexpected(self, what: str) -> None:
        self.fail(_stream_errors.unexpected(what, self._head, self.content_encoding, self._redact))
