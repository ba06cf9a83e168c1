"""What an event of a stream can mean for a reply: values only.

An event means text, tool calls, a finish reason, usage, an error, the end of the stream, a known keep-alive,
or `NotUnderstood`. No event is skipped silently.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import attrs

from .results import ChatChunk


@attrs.frozen
class Choice:
    """One choice of a chunk."""

    index: str | None
    """Its index, as text; None if the chunk does not name one."""
    text: str
    """The text of its delta."""
    complete_text: str | None
    """The complete text of the reply, which some services send in place of deltas or after them."""
    tool_calls: list[dict[str, Any]]
    """Its tool-call deltas."""
    finish_reason: str | None
    """Why the reply ends here, as the service puts it."""


class Chunk(NamedTuple):
    """An object of the chunk form; `choices` is empty in a chunk that only reports usage."""

    data: dict[str, Any]
    event: str
    choices: tuple[Choice, ...]
    usage: dict[str, Any] | None
    is_unspoken: bool
    """Whether it holds more, such as reasoning or log probabilities, which the agent does not say."""


class Text(NamedTuple):
    """Plain text, or a JSON string: text of the reply in a stream that is made of such events."""

    data: str
    event: str
    text: str


class Token(NamedTuple):
    """A number, `true`, `null`, "ping" and the like: text in a stream of plain text, else a keep-alive."""

    data: str
    event: str
    text: str
    """What it adds to plain text."""
    counts_alone: bool
    """Whether it is text in a stream that holds nothing but tokens."""


class KeepAlive(NamedTuple):
    """An event that adds nothing to a reply."""

    data: Any
    event: str
    is_known: bool = True
    """Whether it is known to say nothing. An unknown one has numbers at most."""


class NotUnderstood(NamedTuple):
    """An event that may hold a part of the reply, and cannot be understood."""

    data: Any
    event: str


class ReportedError(NamedTuple):
    """An error that the service reports."""

    payload: str | dict[str, Any]


class EndMark(NamedTuple):
    """`[DONE]`."""


class Unfinished(NamedTuple):
    """The start of an event that the end of the stream cut off."""

    source: str


class TooLarge(NamedTuple):
    """An event that exceeds the limit; nothing after it is read."""

    limit: int
    """The limit, in bytes."""


class StrayLine(NamedTuple):
    """A line between the events, which the standard ignores and the service may have meant as data."""

    text: str


class Several(NamedTuple):
    """Several meanings in one event, or none."""

    meanings: tuple[Meaning, ...]


# A `ChatChunk` is the common case: a delta of text for the choice 0, and nothing else.
Content: TypeAlias = ChatChunk | Chunk | Text | Token | KeepAlive | NotUnderstood
"""A meaning that adds to the content of a reply, or not even that."""
Meaning: TypeAlias = Content | ReportedError | EndMark | Unfinished | TooLarge | StrayLine | Several
