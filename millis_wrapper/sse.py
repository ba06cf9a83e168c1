"""Decode server-sent events from bytes exactly as the HTML standard requires, without I/O.

The rules are in the sections "Parsing an event stream" and "Interpreting an event stream" of
https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from io import BytesIO
from itertools import repeat
from typing import NamedTuple

MAX_EVENT_BYTES = 16 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"
_CR = 13  # an int, because `b"\r" in data` takes several times as long
_FIELDS = (b"data", b"event", b"id", b"retry")
# int() accepts this many digits under every limit that an interpreter can be started with (sys.int_info).
_MAX_RETRY_DIGITS = 640
# Long lines are faster to read one by one than to split as a row.
_MAX_ROW_BYTES = 64 * 1024
# decode() reads a larger chunk in parts, so that it never holds all events of the chunk at once.
_PART_BYTES = 2 * 1024 * 1024


class ServerSentEvent(NamedTuple):
    """One event of a stream."""

    event: str = "message"
    """The event's type."""
    data: str = ""
    """The event's payload."""
    id: str = ""
    """The last event id that the stream has set; "" before the first one."""
    retry: int | None = None
    """The reconnection time in milliseconds, if the stream set a valid one since the last event, or None."""


# Calling the class takes twice as long, and every event is created here.
_new: Callable[[type[ServerSentEvent], tuple[str, str, str, int | None]], ServerSentEvent]
_new = tuple[str | int | None, ...].__new__


class EventTooLargeError(ValueError):
    """One event or one line of the stream has more than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"an event exceeds {self.limit} bytes; to accept it, raise max_event_bytes"


class SSEDecoder:
    """Decodes the bytes of one stream, split anywhere, into events.

    Args:
        max_event_bytes: Maximum size in bytes of each line, and of all field lines of one event together,
            without line endings.
        with_ignored_lines: Whether to return the lines with unknown fields, which the standard ignores. Each
            is returned in its place among the events, as an event whose name is "".
    """

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES, with_ignored_lines: bool = False) -> None:
        self._limit = max_event_bytes
        self._with_ignored_lines = with_ignored_lines
        self._row_limit = min(max_event_bytes, _MAX_ROW_BYTES)
        self._error: EventTooLargeError | None = None
        # The position of the next byte.
        self._at_stream_start = True  # a BOM may follow
        self._after_cr = False  # an LF would belong to the CR before it
        self._at_line_start = False  # both of the above are False, and _partial is empty
        self._partial = bytearray()  # the received part of an incomplete line
        # The buffers of the current event, as the standard names them.
        self._data = bytearray()
        self._type = ""
        self._id = ""
        self._retry: int | None = None
        self._size = 0  # bytes of the event's field lines; 0 means that the event has not begun

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Return the events that the next bytes of the stream complete.

        Raises:
            EventTooLargeError: An event or a line is too large. If events were complete before it, this call
                returns them, and the next call raises.
        """
        clear = not self._size and self._retry is None
        # Fast path: exactly one event with one "data: " line.
        if clear and self._at_line_start and _CR not in data:
            line, _, rest = data.partition(b"\n")
            if rest == b"\n" and line.startswith(b"data: ") and len(line) <= self._limit:
                text = line[6:].decode("utf-8", "replace")
                return [_new(ServerSentEvent, ("message", text, self._id, None))]
        lines = self._complete_lines(data)
        # Fast path: several such events. The separator between two events splits them, and the number of LFs
        # proves that the chunk contains no other lines.
        if (
            clear
            and lines.startswith(b"data: ")
            and lines.endswith(b"\n\n")
            and len(lines) <= self._row_limit
        ):
            texts = lines[6:-2].decode("utf-8", "replace").split("\n\ndata: ")
            if lines.count(b"\n") == 2 * len(texts):
                # Equal to [_new(...) for text in texts], in three quarters of the time.
                fields = zip(repeat("message"), texts, repeat(self._id), repeat(None), strict=False)
                return list(map(_new, repeat(ServerSentEvent), fields))
        return self._read(lines)

    def end(self) -> ServerSentEvent | None:
        """End the stream and return the event that the end cut off, or None.

        The standard drops that event. This method returns the event that a line ending and a blank line would
        have completed: its data includes the last line, and is "" without a data line.

        With `with_ignored_lines`, the next call returns a last line with an unknown field.

        Raises:
            EventTooLargeError: The event that was cut off is too large.
        """
        line = bytes(self._partial)
        is_field = _may_be_field(line)
        if not is_field and not self._size:
            self._partial.clear()
            ignored = self._read(line + b"\n" if line else b"")
            return ignored[0] if ignored else None
        if is_field:
            self._partial.clear()
        self._read(line + b"\n" if is_field else b"")
        self._size = 0
        return self._take()

    def _complete_lines(self, data: bytes) -> bytes:
        """Return the lines that `data` completes, with LF as line ending, and keep the incomplete rest."""
        if self._at_line_start and data.endswith(b"\n") and _CR not in data:
            return data
        if self._error is not None:
            raise self._error
        if self._at_stream_start:
            data = bytes(self._partial) + data
            self._partial.clear()
            if _BOM.startswith(data):
                self._partial += data
                return b""
            self._at_stream_start = False
            data = data.removeprefix(_BOM)
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if _CR in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = data.rfind(b"\n") + 1
        lines = data[:end]
        if lines and self._partial:
            self._partial += lines
            lines = bytes(self._partial)
            self._partial.clear()
        self._partial += data[end:]
        self._at_line_start = not (self._partial or self._after_cr)
        if len(self._partial) > self._limit:
            self._fail()
        return lines

    def _read(self, lines: bytes) -> list[ServerSentEvent]:
        """Return the events of complete lines that end with LF, by the standard's rules."""
        events: list[ServerSentEvent] = []
        data = self._data
        size = self._size
        for line in BytesIO(lines):
            if line == b"\n":
                size = 0
                if data:
                    events.append(self._take())
                else:
                    self._type = ""
                continue
            name, colon, value = line.partition(b":")
            if not colon:
                name, value = line[:-1], b"\n"
            value = value.removeprefix(b" ")
            if name == b"data":
                data += value  # the LF of the line is the LF that the standard appends
            elif name == b"event":
                self._type = value[:-1].decode("utf-8", "replace")
            elif name == b"id":
                if 0 not in value:
                    self._id = value[:-1].decode("utf-8", "replace")
            elif name == b"retry":
                self._set_retry(value[:-1])
            elif len(line) - 1 <= self._limit:
                if name and self._with_ignored_lines:  # a line without a name is a comment
                    text = line[:-1].decode("utf-8", "replace")
                    events.append(_new(ServerSentEvent, ("", text, self._id, None)))
                continue
            size += len(line) - 1
            if size > self._limit:
                self._fail()
                break
        self._size = size
        if self._error is not None and not events:
            raise self._error
        return events

    def _take(self) -> ServerSentEvent:
        """Return the event in the buffers, and clear all buffers but the last event id."""
        del self._data[-1:]
        text = self._data.decode("utf-8", "replace")
        event = _new(ServerSentEvent, (self._type or "message", text, self._id, self._retry))
        self._data.clear()
        self._type = ""
        self._retry = None
        return event

    def _set_retry(self, value: bytes) -> None:
        digits = value.lstrip(b"0")
        if value.isdigit() and len(digits) <= _MAX_RETRY_DIGITS:
            self._retry = int(digits or b"0")

    def _fail(self) -> None:
        """Record that the limit was exceeded, and free the buffers."""
        self._error = EventTooLargeError(self._limit)
        self._at_line_start = False  # so that no fast path skips the error
        self._partial.clear()
        self._data.clear()


def decode(chunks: Iterable[bytes], *, max_event_bytes: int = MAX_EVENT_BYTES) -> Iterator[ServerSentEvent]:
    r"""Yield the events of a stream.

    Args:
        chunks: The bytes of the stream, split anywhere.
        max_event_bytes: Maximum size in bytes of one event or one line.

    Yields:
        Each event as soon as its blank line has arrived. An event that the end cuts off is dropped.

    Raises:
        EventTooLargeError: An event or a line is too large.

    Examples:
        >>> [event.data for event in decode([b"data: Hel", b"lo\n\n"])]
        ['Hello']
    """
    decoder = SSEDecoder(max_event_bytes=max_event_bytes)
    for chunk in chunks:
        yield from decoder.feed(chunk) if len(chunk) <= _PART_BYTES else _in_parts(decoder, chunk)
    decoder.end()


async def adecode(
    chunks: AsyncIterable[bytes], *, max_event_bytes: int = MAX_EVENT_BYTES
) -> AsyncIterator[ServerSentEvent]:
    """Yield the events of an asynchronous stream; see `decode` for the arguments and errors."""
    decoder = SSEDecoder(max_event_bytes=max_event_bytes)
    async for chunk in chunks:
        for event in decoder.feed(chunk) if len(chunk) <= _PART_BYTES else _in_parts(decoder, chunk):
            yield event
    decoder.end()


def _in_parts(decoder: SSEDecoder, chunk: bytes) -> Iterator[ServerSentEvent]:
    for start in range(0, len(chunk), _PART_BYTES):
        yield from decoder.feed(chunk[start : start + _PART_BYTES])


def _may_be_field(line: bytes) -> bool:
    """Return whether a line that was cut off is a known field or the beginning of one."""
    name, colon, _ = line.partition(b":")
    return name in _FIELDS if colon else line != b"" and any(field.startswith(line) for field in _FIELDS)
