"""The lines between the events of a stream that the standard ignores. No I/O."""

from __future__ import annotations

from ._events import read_object, reports_error
from ._json import is_object, read_json, read_json_row
from ._meanings import Chunk, ReportedError

_MAX_CHARACTERS = 64 * 1024


class StrayLines:
    """The stray lines of one stream, up to 65,536 characters.

    They add nothing to the reply. But a service may have put an error, a chunk or a complete JSON response
    there.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._size = 0

    @property
    def first(self) -> str:
        """The first line."""
        return self._lines[0]

    def add(self, line: str, *, in_stream: bool) -> ReportedError | None:
        """Add a line; return the error in it, if any.

        Args:
            line: The line, without its line end.
            in_stream: Whether an event came before it. Only then can a JSON object be an error.
        """
        self._size += len(line)
        if not self._lines or self._size <= _MAX_CHARACTERS:
            self._lines.append(line)
        if in_stream and line.lstrip().startswith("{"):
            data = read_json(line)
            if is_object(data) and reports_error(data):
                return ReportedError(data)
        return None

    def read(self) -> Chunk | ReportedError | None:
        """Return the complete response or the error that all lines form together, or None."""
        values, rest = read_json_row("\n".join(self._lines))
        if len(values) != 1 or rest or not is_object(values[0]) or self._size > _MAX_CHARACTERS:
            return None
        meaning = read_object(values[0], "message")
        if isinstance(meaning, Chunk) and any(choice.complete_text is not None for choice in meaning.choices):
            return meaning
        return meaning if isinstance(meaning, ReportedError) else None
