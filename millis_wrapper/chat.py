"""Events -> chunks, text and the reply. No I/O: both kinds of stream are shells around `ReplyBuilder`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import attrs

from ._json import NOT_JSON, is_array, is_object, read_json
from ._text import join_surrogate_pairs, shorten
from ._tool_calls import ToolCalls
from .errors import MillisError, StreamFailedError, StreamInterruptedError, UnexpectedResponseError
from .response import body_start, reason_in, stated_reason
from .sse import EventTooLargeError, ServerSentEvent, SSEDecoder

Ended = Literal["done", "finish_reason", "eof"]


# Not frozen: that takes twice as long to make, and there is one for each event.
@attrs.define
class ChatChunk:
    """One event of the stream, as it came.

    `text` is what it adds to the reply ("" when nothing); `data` the payload: a dict for a JSON object,
    else the payload's text; `event` the event's name ("message" unless the service named it);
    `finish_reason` the service's word for why it stops, or None.
    """

    text: str
    data: Any
    event: str = "message"
    finish_reason: str | None = None


@attrs.define
class ChatReply:
    """A reply, whole or as far as it has come.

    `ended` tells which: "done" (the service sent `[DONE]`), "finish_reason" (it gave a reason and closed),
    "eof" (it closed the stream cleanly with neither), or None while the stream is open, and for ever when
    it broke or was left early.
    """

    text: str = ""
    finish_reason: str | None = None
    ended: Ended | None = None
    usage: dict[str, Any] | None = None
    tool_calls: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]])

    @property
    def message(self) -> dict[str, Any]:
        """The reply as an `assistant` message: append it to the history of the next turn."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self.tool_calls:
            message["tool_calls"] = self.tool_calls
        return message


def is_error(data: dict[str, Any]) -> bool:
    """Return whether a chunk reports an error."""
    # {"error": null} beside choices is the way of some services to say that there is none.
    return "error" in data and (bool(data["error"]) or "choices" not in data)


def choice_0(data: dict[str, Any]) -> dict[str, Any] | None:
    """Return the choice of which the reply is made; None when the chunk is about something else."""
    choices = data.get("choices")
    for choice in choices if is_array(choices) else ():
        if is_object(choice) and choice.get("index", 0) in (0, None):
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


class SurrogatePairJoiner:
    """Makes the pieces of one text whole: the first half of a character waits for the other."""

    def __init__(self) -> None:
        self.waiting = ""

    def add(self, piece: str) -> str:
        """Return what is whole of the text up to and with `piece`, and was not returned before."""
        if piece.isascii() and not self.waiting:
            return piece
        piece = self.waiting + piece
        self.waiting = ""
        if "\ud800" <= piece[-1] <= "\udbff":
            piece, self.waiting = piece[:-1], piece[-1]
        return join_surrogate_pairs(piece)


END_MARK = "[DONE]"

MAX_BYTES_BEFORE_FIRST_EVENT = 1024 * 1024

_HEAD = 8_000  # bytes of the body's start that are kept for an error


class ReplyBuilder:
    """The state of one reply: bytes go in, chunks come out, and `reply` grows.

    `hide` takes the key out of bytes that go into an error; `when_over` is called once with this core, when
    the reply has ended, broken, or been left.
    """

    def __init__(
        self,
        *,
        redact: Callable[[bytes], bytes] = bytes,
        when_over: Callable[[ReplyBuilder], None] | None = None,
    ) -> None:
        self.done = False  # [DONE] was seen: nothing after it counts
        self.over = False
        self._failure: BaseException | None = None
        self._ended: Ended | None = None
        self.redact = redact
        self._when_over = when_over
        self._decoder = SSEDecoder()
        self._head = b""
        self._bytes_before_first_event = 0
        self._event_seen = False
        self._object_seen = False
        self._texts: list[str] = []
        self._joined = (0, "")  # how many of them, and what they say
        self._joiner = SurrogatePairJoiner()
        self._finish_reason: str | None = None
        self._usage: dict[str, Any] | None = None
        self._tool_calls: ToolCalls | None = None  # most replies have none

    @property
    def reply(self) -> ChatReply:
        """What has come so far."""
        # Another thread may be adding text: what is joined once is kept beside the pieces, in one step.
        count, text = self._joined
        news = self._texts[count:]
        text += "".join(news)
        self._joined = count + len(news), text
        return ChatReply(
            text=text,
            finish_reason=self._finish_reason,
            ended=self._ended,
            usage=self._usage,
            tool_calls=self._tool_calls.whole() if self._tool_calls else [],
        )

    @property
    def failed(self) -> bool:
        """Whether the reply broke, rather than ended or was left by the caller."""
        return self._failure is not None

    def feed(self, data: bytes) -> Iterator[ChatChunk]:
        """Yield the chunks that `data` completes.

        Raises StreamFailedError for an error that the service reports, StreamInterruptedError and
        UnexpectedResponseError for a body that outgrows its limits; the chunks before it are yielded first.
        """
        if self.over:
            return
        if not self._texts and len(self._head) < _HEAD:
            self._head += data[: _HEAD - len(self._head)]
        try:
            events = self._decoder.feed(data)
        except EventTooLargeError as error:
            raise self._too_large(_event_beyond(error)) from error
        for event in events:
            if self.over:  # the caller left between two chunks
                return
            if event.data == END_MARK:
                self._finish("done")
                return
            yield self._chunk(event)
        if not self._event_seen:
            self._bytes_before_first_event += len(data)
            if self._bytes_before_first_event > MAX_BYTES_BEFORE_FIRST_EVENT:
                raise self._too_large(f"{MAX_BYTES_BEFORE_FIRST_EVENT} bytes came without one event")

    def end(self) -> Iterator[ChatChunk]:
        """Take the body's clean end; yield the chunk of a last event that lacks only its blank line.

        Raises StreamInterruptedError when the body stopped in the middle of an event,
        UnexpectedResponseError when it was no stream of events or said nothing at all.
        """
        if self.over:
            return
        try:
            unfinished = self._decoder.end()
        except EventTooLargeError as error:
            raise self._too_large(_event_beyond(error)) from error
        if unfinished is not None and (self._event_seen or unfinished.data):
            if unfinished.data == END_MARK:
                self._finish("done")
                return
            # JSON that is cut in half is none, so an object or a string that can be read came whole. Plain
            # text has no such sign, and half a number is a number.
            if not isinstance(read_json(unfinished.data), dict | str):
                shown = shorten(self._hidden(unfinished.data), 80)
                raise self.interrupted(
                    f"the stream ended in the middle of an event, of which {shown!r} had come"
                )
            yield self._chunk(unfinished)
        if not self._event_seen:
            raise self._unexpected("the answer is no stream of events")
        if not (self._texts or self._joiner.waiting or self._tool_calls or self._finish_reason):
            raise self._unexpected("the stream ended and had said nothing")
        self._finish("finish_reason" if self._finish_reason else "eof")

    def interrupted(self, why: str) -> StreamInterruptedError:
        """Return the error for a reply that broke off; the shell raises it from what broke it."""
        error = StreamInterruptedError(f"{why}; .reply holds what had come", reply=self.reply)
        self.fail(error)
        return error

    def fail(self, error: BaseException) -> None:
        """Take note that the reply broke with `error`."""
        if not self.over:
            self._failure = error
            self._close()

    def leave(self) -> None:
        """Take note that the caller closed the stream; nothing changes when it was over."""
        if not self.over:
            self._close()

    def final_reply(self) -> ChatReply:
        """Return the whole reply; raises the error that broke it, or StreamInterruptedError when the caller
        left it early.
        """
        if self._ended is None:
            if isinstance(self._failure, MillisError):
                raise self._failure
            raise StreamInterruptedError(
                "the stream was closed before its end, so the reply is not whole; .reply holds what had come",
                reply=self.reply,
            )
        return self.reply

    def _chunk(self, event: ServerSentEvent) -> ChatChunk:
        self._event_seen = True
        value = read_json(event.data)
        if is_object(value):
            if event.event == "error" or is_error(value):
                raise self._failed(event)
            self._object_seen = True
            return self._object_chunk(event, value)
        if event.event == "error":
            raise self._failed(event)
        text = ""
        if not self._object_seen:
            text = self._add_text(value if isinstance(value, str) else event.data)
        return ChatChunk(text, event.data, event.event)

    def _object_chunk(self, event: ServerSentEvent, data: dict[str, Any]) -> ChatChunk:
        if (usage := data.get("usage")) is not None and is_object(usage):
            self._usage = usage
        choice = choice_0(data)
        if choice is None:
            return ChatChunk("", data, event.event)
        finish_reason = choice.get("finish_reason")
        if isinstance(finish_reason, str) and finish_reason:
            self._finish_reason = finish_reason
        else:
            finish_reason = None
        text, delta = "", choice.get("delta")
        if is_object(delta):
            text = self._add_text(content_text(delta.get("content")))
            if calls := delta.get("tool_calls"):
                self._tool_calls = self._tool_calls or ToolCalls()
                self._tool_calls.add(calls)
        return ChatChunk(text, data, event.event, finish_reason)

    def _add_text(self, text: str) -> str:
        text = self._joiner.add(text)
        if text:
            self._texts.append(text)
        return text

    def _failed(self, event: ServerSentEvent) -> StreamFailedError:
        shown = self._hidden(event.data)
        payload = read_json(shown)
        reason = stated_reason(payload) or shorten(shown, 300)
        error = StreamFailedError(
            f"the service reported an error in the stream: {reason}; .reply holds what had come",
            reply=self.reply,
            error=shown if payload is NOT_JSON else payload,
        )
        self.fail(error)
        return error

    def _too_large(self, why: str) -> MillisError:
        return (
            self.interrupted(why)
            if self._event_seen
            else self._unexpected(f"the answer is no stream of events: {why}")
        )

    def _unexpected(self, what: str) -> UnexpectedResponseError:
        head = self.redact(self._head)
        error = UnexpectedResponseError(f"{what}: {reason_in(head)}", body=body_start(head))
        self.fail(error)
        return error

    def _hidden(self, text: str) -> str:
        return self.redact(text.encode("utf-8", "replace")).decode("utf-8", "replace")

    def _finish(self, ended: Ended) -> None:
        if self._joiner.waiting:  # its other half does not come any more
            self._texts.append("\ufffd")
        self.done = ended == "done"
        self._ended = ended
        self._close()

    def _close(self) -> None:
        self.over = True
        if self._when_over is not None:
            self._when_over(self)


def _event_beyond(error: EventTooLargeError) -> str:
    # The decoder's own words speak of its argument, which is not the caller's to set here.
    return f"one event holds more than {error.limit} bytes"
