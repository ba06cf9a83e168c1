"""Events -> chunks, text and the reply. No I/O: both kinds of stream are shells around `ReplyBuilder`.

The form of a chunk is OpenAI's, as seen on the wire; which of the optional parts the service sends is not
written down anywhere, so each may be missing, null, or of another type.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias

from ._json import NOT_JSON, is_array, is_object, read_json, read_json_row
from ._text import shorten, split_waiting_half
from ._tool_calls import ToolCalls
from .errors import MillisError, StreamFailedError, StreamInterruptedError, UnexpectedResponseError
from .response import body_start, reason_in, stated_reason
from .results import ChatChunk, ChatReply, Ended
from .sse import EventTooLargeError, IgnoredLine, ServerSentEvent, SSEDecoder

State: TypeAlias = Literal["open", "done", "finish_reason", "eof", "failed", "closed"]

END_MARK = "[DONE]"

MAX_BYTES_BEFORE_FIRST_EVENT = 1024 * 1024

_HEAD_BYTES = 8_000  # of the body's start, kept for an error
_PART_BYTES = 64 * 1024  # of which the decoder loses no ignored line; as much as httpcore reads at once
_MAX_LOOSE_BYTES = 64 * 1024
_KEEP_ALIVE = 200  # characters at most of a payload in words that is not taken for a part of the reply
# After these, the service may go on in the same stream with what the tool gave it.
_TOOL_REASONS = ("tool_calls", "function_call")
# What the standard calls a field: one that is unknown is ignored. Anything else was not meant as one.
_FIELD_LINE = re.compile(r"[A-Za-z][\w.-]*\s*(:.*)?", re.DOTALL)
# Words do not hold it: what does is a chunk that has lost its beginning.
_CHUNK_KEY = re.compile(r'"(choices|delta|content|finish_reason|error)"\s*:')


class ReplyBuilder:
    """Builds one reply: bytes go in, chunks come out, and `reply` grows.

    Nothing here raises because of what came: what is wrong is in `state` and raised by `final_reply`.

    Args:
        redact: takes the key out of bytes that go into an error.
    """

    def __init__(self, *, redact: Callable[[bytes], bytes] = bytes) -> None:
        self.state: State = "open"
        self.was_sent = False
        """Whether the request may have reached the service."""
        self.content_encoding: str | None = None
        """The body's content-encoding, if it has one; for an error."""
        self.finish_reason: str | None = None
        self._redact = redact
        self._failure: BaseException | None = None
        self._decoder = SSEDecoder()
        self._head = b""
        self._bytes_before_first_event = 0
        self._event_seen = False
        self._object_seen = False
        self._delta_seen = False
        self._unreadable: str | None = None  # the start of the first event that could not be read
        # Lines that are neither fields nor comments, at most 64 KiB; made when needed: most have none.
        self._loose_lines: list[str] | None = None
        self._loose_size = 0
        self._texts: list[str] = []
        self._joined = (0, "")  # how many of them, and their text
        self._half = ""  # the first half of a surrogate pair, which waits for the other
        self._usage: Any = None  # a dict once it is known
        self._tool_calls: ToolCalls | None = None  # most replies have none

    @property
    def is_over(self) -> bool:
        """Whether nothing more is added to the reply."""
        return self.state != "open"

    @property
    def failed(self) -> bool:
        """Whether the reply broke, rather than ended or was left by the caller."""
        return self.state == "failed"

    @property
    def has_end_mark(self) -> bool:
        """Whether the reply ended with `[DONE]` or a finish_reason."""
        return self.state in ("done", "finish_reason")

    @property
    def is_finishing(self) -> bool:
        """Whether only `[DONE]` or the end can be expected."""
        return (
            self.state == "open"
            and self.finish_reason is not None
            and self.finish_reason not in _TOOL_REASONS
        )

    @property
    def reply(self) -> ChatReply:
        """What has come so far."""
        # Another thread may be adding text: what is joined once is kept beside the pieces, in one step.
        count, text = self._joined
        new = self._texts[count:]
        text += "".join(new)
        self._joined = count + len(new), text
        state = self.state
        return ChatReply(
            text=text,
            finish_reason=self.finish_reason,
            ended=state if state == "done" or state == "finish_reason" or state == "eof" else None,
            usage=self._usage,
            tool_calls=self._tool_calls.whole() if self._tool_calls else [],
        )

    def feed(self, data: bytes) -> Iterator[ChatChunk]:
        """Yield the chunks that `data` completes, until the reply is over."""
        if len(data) > _PART_BYTES:
            for start in range(0, len(data), _PART_BYTES):
                yield from self.feed(data[start : start + _PART_BYTES])
            return
        if self.state != "open":
            return
        if not self._texts and len(self._head) < _HEAD_BYTES:
            self._head += data[: _HEAD_BYTES - len(self._head)]
        decoder = self._decoder
        try:
            events = decoder.feed(data)
        except EventTooLargeError as error:
            self._look_at_ignored(decoder.take_ignored())
            self._too_large(_event_beyond(error))
            return
        ignored = decoder.take_ignored() if decoder.has_ignored else None
        for number, event in enumerate(events):
            if ignored:
                ignored = self._look_at_ignored(ignored, number)
            if self.state != "open":  # it broke, or the caller left between two chunks
                return
            value = read_json(event.data)
            if value.__class__ is dict:
                if (chunk := self._object_chunk(event.event, value)) is not None:
                    yield chunk
            else:
                yield from self._other_chunks(event, value)
        if ignored:
            self._look_at_ignored(ignored)
        if not self._event_seen:
            self._bytes_before_first_event += len(data)
            if self._bytes_before_first_event > MAX_BYTES_BEFORE_FIRST_EVENT:
                self._too_large(f"{MAX_BYTES_BEFORE_FIRST_EVENT} bytes came without one event")

    def end(self, *, require_end: bool = False) -> Iterator[ChatChunk]:
        """Take the body's proper end; yield the chunk of a last event that lacks only its blank line.

        Args:
            require_end: whether an end without `[DONE]` or finish_reason means that the reply was cut.
        """
        if self.is_over:
            return
        try:
            unfinished = self._decoder.end()
        except EventTooLargeError as error:
            self._look_at_ignored(self._decoder.take_ignored())
            self._too_large(_event_beyond(error))
            return
        self._look_at_ignored(self._decoder.take_ignored())
        if self.is_over:
            return
        if unfinished is not None and (self._event_seen or unfinished.data):
            # JSON that is cut in half cannot be read, so an object or a string that can be came whole. Plain
            # text has no such sign, and half a number is a number.
            value = read_json(unfinished.data)
            if not (is_object(value) or isinstance(value, str) or unfinished.data.strip() == END_MARK):
                shown = shorten(self._redact_text(unfinished.data), 80)
                self.cut(f"the stream ended in the middle of an event, of which {shown!r} had come")
                return
            if is_object(value):
                if (chunk := self._object_chunk(unfinished.event, value)) is not None:
                    yield chunk
            else:
                yield from self._other_chunks(unfinished, value)
            if self.is_over:
                return
        yield from self._finish("finish_reason" if self.finish_reason else "eof", require_end=require_end)

    def wait_is_over(self) -> None:
        """Take note that nothing came in time after a finish_reason."""
        if not self.is_over:
            for _ in self._finish("finish_reason"):
                pass

    def cut(self, reason: str, cause: Exception | None = None) -> None:
        """Take note that the stream was cut; a `[DONE]` that lacks only its line end still counts.

        Args:
            reason: why, in words.
            cause: the error of the transport, without frames.
        """
        if self.is_over:
            return
        try:
            unfinished = self._decoder.end()
        except EventTooLargeError:
            unfinished = None
        if unfinished is not None and unfinished.data.strip() == END_MARK:
            for _ in self._finish("done"):
                pass
            return
        error = StreamInterruptedError(f"{reason}; .reply holds what had come", reply=self.reply)
        error.__cause__ = cause
        self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Take note that the reply broke with `error`."""
        if not self.is_over:
            self._failure = error
            self.state = "failed"

    def close(self) -> None:
        """Take note that the caller closed the stream; nothing changes when it was over."""
        if not self.is_over:
            self.state = "closed"

    def final_reply(self) -> ChatReply:
        """Return the whole reply.

        Raises:
            StreamInterruptedError: it was cut or garbled, or the caller left it early.
            StreamFailedError: the service reported an error.
            UnexpectedResponseError: the answer was not a stream of events.
        """
        if self.state in ("done", "finish_reason", "eof"):
            return self.reply
        if isinstance(self._failure, MillisError):
            raise self._failure
        raise StreamInterruptedError(
            "the stream was closed before its end, so the reply is not whole; .reply holds what had come"
            if self.was_sent
            else "the stream was closed before it was opened; nothing was sent",
            reply=self.reply,
            maybe_processed=self.was_sent,
        )

    def _object_chunk(self, event: str, data: dict[str, Any]) -> ChatChunk | None:
        """Return the chunk of one JSON object; None when it reports an error."""
        self._event_seen = True
        choice = choice_0(data)
        # `_is_error` is called only where it may find one: this runs for each event.
        may_fail = choice is None or "error" in data or "error" in choice or event == "error"
        if may_fail and (event == "error" or _is_error(data, choice)):
            self._service_failed(data)
            return None
        self._object_seen = True
        if "usage" in data and is_object(usage := data["usage"]):
            self._usage = usage
        if choice is None:
            return ChatChunk("", data, event)
        finish_reason = choice.get("finish_reason")
        if finish_reason is not None:
            if finish_reason == "error":
                self._service_failed(data)
                return None
            if isinstance(finish_reason, str) and finish_reason:
                self.finish_reason = finish_reason
            else:
                finish_reason = None
        delta: dict[str, Any] | None = None
        given = choice.get("delta")
        if given.__class__ is dict:
            delta = given
            self._delta_seen = True
        elif not self._delta_seen:
            # A service that answers whole sends `message` or `text` in place of deltas; one that streams may
            # send the whole once more at the end.
            message = choice.get("message", {"content": choice.get("text")})
            delta = message if is_object(message) else None
        text = ""
        if delta is not None:
            content: Any = delta.get("content")
            if content.__class__ is str and content.isascii() and not self._half:
                text = content
                if text:
                    self._texts.append(text)
            else:
                text = self._add_text(content if isinstance(content, str) else content_text(content))
            if calls := delta.get("tool_calls"):
                self._tool_calls = self._tool_calls or ToolCalls()
                self._tool_calls.add(calls)
        return ChatChunk(text, data, event, finish_reason)

    def _other_chunks(self, event: ServerSentEvent, value: Any) -> Iterator[ChatChunk]:
        """Yield the chunks of an event that is not one JSON object."""
        text = event.data.strip()
        if text == END_MARK:
            yield from self._finish("done")
            return
        self._event_seen = True
        if event.event == "error":
            self._service_failed(event.data)
        elif text.startswith(("{", "[")):
            yield from self._row_of_chunks(event, text)
        elif (self._object_seen and len(text) > _KEEP_ALIVE) or _CHUNK_KEY.search(text):
            self._note_unreadable(event.data)
            yield ChatChunk("", event.data, event.event)
        elif self._object_seen or event.event != "message":
            yield ChatChunk("", event.data, event.event)  # a keep-alive in words, or a time stamp
        else:
            words = value if isinstance(value, str) else event.data
            yield ChatChunk(self._add_text(words), event.data, event.event)

    def _row_of_chunks(self, event: ServerSentEvent, text: str) -> Iterator[ChatChunk]:
        """Yield the chunks of several JSON objects in one event, or of an array of them."""
        values, rest = read_json_row(text)
        if len(values) == 1 and is_array(values[0]):
            values = values[0]
        if not (values and all(is_object(value) for value in values) and rest in ("", END_MARK)):
            self._note_unreadable(event.data)
            yield ChatChunk("", event.data, event.event)
        for value in values:
            if self.state != "open":
                return
            if is_object(value) and (chunk := self._object_chunk(event.event, value)) is not None:
                yield chunk
        if rest == END_MARK and self.state == "open":
            yield from self._finish("done")

    def _add_text(self, text: str) -> str:
        text, self._half = split_waiting_half(self._half + text)
        if text:
            self._texts.append(text)
        return text

    def _look_at_ignored(self, lines: list[IgnoredLine], number: float = math.inf) -> list[IgnoredLine]:
        """Look for an error in the lines that came before event `number`; return those that came after it.

        The standard says to ignore them all, so they add nothing to the reply.
        """
        for at, (line, position) in enumerate(lines):
            if position > number:
                return lines[at:]
            if self.is_over:
                break
            name, colon, value = line.partition(":")
            if colon and name.strip() == "error":
                if value.strip() not in ("", "null"):
                    self._service_failed(value.strip())
            elif line.strip() and (_CHUNK_KEY.search(value) or not _FIELD_LINE.fullmatch(line)):
                self._keep_loose_line(line)
                if self._event_seen and line.lstrip().startswith("{"):
                    data = read_json(line)
                    if is_object(data) and _is_error(data, choice_0(data)):
                        self._service_failed(data)
        return []

    def _keep_loose_line(self, line: str) -> None:
        if self._loose_lines is None:
            self._loose_lines = []
        self._loose_size += len(line)
        if self._loose_size <= _MAX_LOOSE_BYTES:
            self._loose_lines.append(line)
        else:
            self._note_unreadable(self._loose_lines[0] if self._loose_lines else line)

    def _said_nothing(self) -> bool:
        return not (self._texts or self._half or self._tool_calls or self.finish_reason)

    def _finish(self, ended: Ended, *, require_end: bool = False) -> Iterator[ChatChunk]:
        """End the reply if all that came was understood.

        Yields:
            The chunks of an answer that is not a stream.
        """
        if self._loose_lines:
            values, rest = read_json_row("\n".join(self._loose_lines).strip())
            answer = values[0] if len(values) == 1 and not rest else None
            if not is_object(answer):
                self._note_unreadable(self._loose_lines[0])
            elif self._event_seen and _is_error(answer, choice_0(answer)):
                self._service_failed(answer)
                return
            elif self._said_nothing() and _is_completion(answer):
                if (chunk := self._object_chunk("message", answer)) is not None:
                    yield chunk
                if ended == "eof" and self.finish_reason:
                    ended = "finish_reason"
            else:
                self._note_unreadable(self._loose_lines[0])
        if not self._event_seen and (ended != "done" or self._loose_lines):
            self._unexpected("the answer is not a stream of events")
        elif self._unreadable is not None:
            shown = shorten(self._redact_text(self._unreadable), 80)
            self.cut(f"an event could not be read, so the reply may lack a part: {shown!r}")
        elif ended == "eof" and self._said_nothing():
            self._unexpected("the stream ended and had said nothing")
        elif ended == "eof" and require_end:
            self.cut("the stream ended without [DONE] or a finish_reason, so the reply may have been cut")
        else:
            if self._half:  # its other half does not come any more
                self._texts.append("\ufffd")
            self.state = ended

    def _note_unreadable(self, text: str) -> None:
        if self._unreadable is None:
            self._unreadable = text[:1000]

    def _service_failed(self, payload: str | dict[str, Any]) -> None:
        shown = self._redact_text(
            payload
            if isinstance(payload, str)
            else json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
        )
        error = read_json(shown)
        choice = choice_0(error) if is_object(error) else None
        reason = stated_reason(error) or stated_reason(choice) or shorten(shown, 300)
        self.fail(
            StreamFailedError(
                f"the service reported an error in the stream: {reason}; .reply holds what had come",
                reply=self.reply,
                error=shown if error is NOT_JSON else error,
            )
        )

    def _too_large(self, reason: str) -> None:
        if self._event_seen:
            self.cut(reason)
        else:
            self._unexpected(f"the answer is not a stream of events: {reason}")

    def _unexpected(self, what: str) -> None:
        head = self._redact(self._head)
        encoding = f" (content-encoding: {self.content_encoding})" if self.content_encoding else ""
        self.fail(UnexpectedResponseError(f"{what}{encoding}: {reason_in(head)}", body=body_start(head)))

    def _redact_text(self, text: str) -> str:
        return self._redact(text.encode("utf-8", "replace")).decode("utf-8", "replace")


def choice_0(data: dict[str, Any]) -> dict[str, Any] | None:
    """Return the choice of which the reply is made; None when the chunk is about something else."""
    choices: Any = data.get("choices")
    # Calls of `is_object` and `is_array` would be felt here: this runs for each event.
    if choices.__class__ is list:
        for choice in choices:
            if choice.__class__ is dict and not choice.get("index"):
                return choice
    return None


def content_text(content: Any) -> str:
    """Return the text of a delta's `content`: a string, or a list of text parts."""
    if isinstance(content, str):
        return content
    return "".join(_part_text(part) for part in content) if is_array(content) else ""


def _part_text(part: Any) -> str:
    text = part.get("text") if is_object(part) else part
    return text if isinstance(text, str) else ""


def _is_error(data: dict[str, Any], choice: dict[str, Any] | None) -> bool:
    """Return whether a chunk reports an error."""
    if choice is not None:
        if choice.get("error") or choice.get("finish_reason") == "error":
            return True
        if "error" not in data:
            return False
    # {"error": null} beside choices is the way of some services to say that there is none.
    if "error" in data:
        return bool(data["error"]) or "choices" not in data
    if "choices" in data:
        return False
    return bool(data.get("detail")) or "error" in (data.get("object"), data.get("type"))


def _is_completion(data: dict[str, Any]) -> bool:
    """Return whether `data` is a chat completion: a whole answer, in place of a stream."""
    choice = choice_0(data)
    return choice is not None and not _is_error(data, choice) and ("message" in choice or "text" in choice)


def _event_beyond(error: EventTooLargeError) -> str:
    # The decoder's own words speak of its argument, which is not the caller's to set here.
    return f"one event holds more than {error.limit} bytes"
