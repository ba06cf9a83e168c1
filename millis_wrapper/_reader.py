"""The bytes of one stream -> the meanings of its events, in order. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from ._events import CHUNK_KEY, END_MARK, read_event, reports_error
from ._json import is_object, read_json, read_json_row
from ._meanings import EndMark, Meaning, ReportedError, TooLarge, Unfinished
from .sse import EventTooLargeError, ServerSentEvent, SSEDecoder

_PART_BYTES = 64 * 1024  # the decoder loses no ignored line of so many
MAX_BYTES_BEFORE_FIRST_EVENT = 1024 * 1024
_HEAD_BYTES = 8_000
_MAX_STRAY_CHARACTERS = 64 * 1024
# The standard's form of a field. An unknown field is ignored; any other line was not meant as a field.
_FIELD_LINE = re.compile(r"[A-Za-z][\w.-]*\s*(:.*)?", re.DOTALL)


class MeaningReader:
    """Reads the meanings of the events of one stream, and of errors on lines between them."""

    def __init__(self) -> None:
        self.head = b""
        """The start of the body, for an error."""
        self.event_seen = False
        """Whether an event other than `[DONE]` came."""
        self._bytes_without_event = 0
        self.stray: StrayLines | None = None  # most streams have no such line
        self._decoder = SSEDecoder()

    def feed(self, data: bytes) -> Iterable[Meaning]:
        """Return the meanings of the events that `data` completes."""
        if len(data) > _PART_BYTES:
            parts = (data[start : start + _PART_BYTES] for start in range(0, len(data), _PART_BYTES))
            return chain.from_iterable(map(self.feed, parts))
        if len(self.head) < _HEAD_BYTES:
            self.head += data[: _HEAD_BYTES - len(self.head)]
        if not self.event_seen:
            self._bytes_without_event += len(data)
        try:
            events = self._decoder.feed(data)
        except EventTooLargeError as error:
            return [*self._with_stray([]), _too_large(error)]
        if self._decoder.has_ignored or not self.event_seen:
            return self._with_stray(events)
        return map(read_event, events)

    def end(self) -> list[Meaning]:
        """End the body; return the errors on its last lines, and the meaning of an event without its end."""
        try:
            event = self._decoder.end()
        except EventTooLargeError as error:
            return [*self._with_stray([]), _too_large(error)]
        meanings = list(self._with_stray([]))
        if event is not None and (self.event_seen or event.data):
            # A JSON object or string that was cut in half cannot be parsed, so one that parses is complete.
            # Plain text does not show whether it is complete, and half a number is a number.
            value = read_json(event.data)
            is_complete = is_object(value) or isinstance(value, str) or event.data.strip() == END_MARK
            meanings.append(read_event(event) if is_complete else Unfinished(event.data))
        return meanings

    def _with_stray(self, events: list[ServerSentEvent]) -> Iterator[Meaning]:
        """Yield the meanings of `events` and of the ignored lines between them; each is read lazily."""
        ignored = self._decoder.take_ignored()
        at = 0
        for number in range(len(events) + 1):
            while at < len(ignored) and ignored[at].position <= number:
                self.stray = self.stray or StrayLines()
                yield from self.stray.add(ignored[at].text, in_stream=self.event_seen)
                at += 1
            if number < len(events):
                meaning = read_event(events[number])
                self.event_seen = self.event_seen or not isinstance(meaning, EndMark)
                yield meaning
        if not self.event_seen and self._bytes_without_event > MAX_BYTES_BEFORE_FIRST_EVENT:
            yield TooLarge(f"no event in {MAX_BYTES_BEFORE_FIRST_EVENT} bytes")


def _too_large(error: EventTooLargeError) -> TooLarge:
    # The decoder's own message names its argument, which users of a stream cannot set.
    return TooLarge(f"an event is larger than {error.limit} bytes")


class StrayLines:
    """The stray lines of one stream, up to 65,536 characters.

    The standard ignores them, so they add nothing to the reply. But a service may have put an error, a chunk
    or a complete JSON response there.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._size = 0
        self.is_full = False
        """Whether lines were left out because there were too many."""

    def __bool__(self) -> bool:
        return bool(self._lines)

    @property
    def first(self) -> str:
        """The first line."""
        return self._lines[0] if self._lines else ""

    def add(self, line: str, *, in_stream: bool) -> Iterator[ReportedError]:
        """Add a line; yield the error in it, if any.

        Args:
            line: The line, without its line end.
            in_stream: Whether an event came before it. Only then can a JSON object be an error.
        """
        name, colon, value = line.partition(":")
        if colon and name.strip() == "error":
            if value.strip() not in ("", "null"):
                yield ReportedError(value.strip())
        elif line.strip() and (CHUNK_KEY.search(value) or not _FIELD_LINE.fullmatch(line)):
            self._keep(line)
            if in_stream and line.lstrip().startswith("{"):
                data = read_json(line)
                if is_object(data) and reports_error(data):
                    yield ReportedError(data)

    def read(self) -> dict[str, Any] | None:
        """Return the JSON object that all lines together are, or None."""
        values, rest = read_json_row("\n".join(self._lines).strip())
        value = values[0] if len(values) == 1 and not rest and not self.is_full else None
        return value if is_object(value) else None

    def _keep(self, line: str) -> None:
        self._size += len(line)
        if self._size <= _MAX_STRAY_CHARACTERS:
            self._lines.append(line)
        else:
            self.is_full = True
            self._lines = self._lines or [line[:_MAX_STRAY_CHARACTERS]]
