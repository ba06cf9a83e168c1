"""The values that calls return."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import attrs

if TYPE_CHECKING:
    from millis_api.dicts import ToolCallDict, UsageDict
    from millis_api.models import AgentConfig

Ended: TypeAlias = Literal["done", "finish_reason", "eof"]


# Not frozen, because a frozen class takes twice as long to create, and each event creates one.
@attrs.define
class ChatChunk:
    """One event of the stream."""

    text: str
    """The text that it adds to the reply, possibly ""."""
    data: Any
    """The data of the event: a dict for a JSON object, otherwise text."""
    event: str = "message"
    """The name of the event; "message" unless the service set one."""
    finish_reason: str | None = None
    """Why the reply ends here, as the service puts it, or None."""

    def to_dict(self) -> dict[str, Any]:
        """Return the chunk as data for `json.dumps`."""
        return attrs.asdict(self, recurse=False)


@attrs.define
class ChatReply:
    """A reply; while the stream is open, its received beginning."""

    text: str = ""
    """The text of the agent."""
    finish_reason: str | None = None
    """Why the reply ended, as the service puts it, or None."""
    ended: Ended | None = None
    """How the reply ended: "done" (the service sent `[DONE]`), "finish_reason" (the service sent a finish
    reason and closed the stream) or "eof" (the service closed the stream without either). None while the
    stream is open, and for a reply that is incomplete. A gateway can end a reply that was cut off as "eof"
    (see `require_end`)."""
    usage: UsageDict | None = None
    """The token counts, if the service sent them."""
    tool_calls: list[ToolCallDict] = attrs.field(factory=list["ToolCallDict"])
    """The tool calls: {id, type, function: {name, arguments}}, with the arguments as the JSON text of one
    object. Missing arguments become "{}", and a missing id becomes "call_0", "call_1" and so on. Two calls
    that arrive without an id, an index and arguments cannot be told apart."""
    # Times do not count in comparisons: replies with the same content are equal.
    time_to_first_text: float | None = attrs.field(default=None, eq=False)
    """Seconds from the moment the request was sent to the first text of the reply; None without any."""
    duration: float | None = attrs.field(default=None, eq=False)
    """Seconds from the moment the request was sent to the end of the reply; None while it is open."""

    @property
    def message(self) -> dict[str, Any]:
        """The reply as an `assistant` message: append it to the history of the next turn."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self.tool_calls:
            message["tool_calls"] = self.tool_calls
        return message

    def to_dict(self) -> dict[str, Any]:
        """Return the reply as data for `json.dumps`."""
        return attrs.asdict(self, recurse=False)


@attrs.frozen
class DuplicatedAgent:
    """The copy that `duplicate` created.

    Fields other than `id` and `raw` are None if the response lacks a valid value for them.
    """

    id: str
    """The id of the copy."""
    name: str | None
    """The name of the copy."""
    created_at: datetime | None
    """When the copy was created: an aware datetime in UTC."""
    config: AgentConfig | None
    """The config of the copy; `config.to_dict()` returns exactly the data in `raw`."""
    raw: dict[str, Any] = attrs.field(repr=False)  # it contains the config, too
    """The received JSON object, unchanged. A value that is nested deeper than 100 levels is its JSON text."""

    def to_dict(self) -> dict[str, Any]:
        """Return the copy as data for `json.dumps`.

        It contains the fields, with the time as ISO 8601 text, and every other field of the response.
        """
        return {
            **copy.deepcopy(self.raw),
            "id": self.id,
            "name": self.name,
            "created_at": self.created_at.isoformat() if self.created_at else None,
            "config": self.config.to_dict() if self.config is not None else None,
        }
