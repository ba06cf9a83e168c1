"""The meanings of events, as values. Each event has one of them, so that no event is skipped silently."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import attrs

from .results import ChatChunk


@attrs.frozen
class Choice:
    """One choice of a chunk."""

    index: str | None
    """Its index, as text, or None."""
    text: str
    """The text of its delta."""
    complete_text: str | None
    """The complete text of the reply, which some services send in place of deltas or after them."""
    tool_calls: list[dict[str, Any]]
    """Its tool-call deltas."""
    finish_reason: str | None
    """Why the reply ends here, in the words of the service, or None."""


class Chunk(NamedTuple):
    """An object of the chunk form; `choices` is empty in a chunk that only reports usage."""

    data: dict[str, Any]
    event: str
    choices: tuple[Choice, ...]
    usage: dict[str, Any] | None
    is_unspoken: bool
    """Whether it holds more than text and tool calls, such as reasoning or log probabilities."""


class Text(NamedTuple):
    """Plain text or a JSON string: text of the reply, unless the stream consists of chunks."""

    data: str
    event: str
    text: str


class Token(NamedTuple):
    """A number, `true`, `null`, "ping" or a time: text in a stream of plain text, otherwise a keep-alive."""

    data: str
    event: str
    text: str
    """What it adds to plain text."""
    counts_alone: bool
    """Whether it is also text in a stream that consists of tokens."""


class KeepAlive(NamedTuple):
    """An event that adds nothing to a reply."""

    data: Any
    event: str
    is_known: bool = True
    """Whether its name is known. Another one may hold numbers."""


class NotUnderstood(NamedTuple):
    """An event that may hold a part of the reply but cannot be understood."""

    data: Any
    event: str


class ReportedError(NamedTuple):
    """An error that the service reports."""

    payload: str | dict[str, Any]


class EndMark(NamedTuple):
    """`[DONE]`."""


class Unfinished(NamedTuple):
    """The start of an event that the end of the stream cut off."""


class TooLarge(NamedTuple):
    """An event of more than `limit` bytes, which ends the stream."""

    limit: int


class StrayLine(NamedTuple):
    """A line that the standard ignores, but that the service may have meant as data."""


class Several(NamedTuple):
    """Several meanings in one event, or none."""

    meanings: tuple[Meaning, ...]


# A `ChatChunk` is the common case: one choice with index 0, and a delta with only text.
Content: TypeAlias = ChatChunk | Chunk | Text | Token | KeepAlive | NotUnderstood
Meaning: TypeAlias = Content | ReportedError | EndMark | Unfinished | TooLarge | StrayLine | Several
