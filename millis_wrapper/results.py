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


# Not frozen: that takes twice as long to make, and there is one for each event.
@attrs.define
class ChatChunk:
    """One event of the stream, as it came."""

    text: str
    """What it adds to the reply; "" when nothing."""
    data: Any
    """The payload: a dict for a JSON object, else the payload's text."""
    event: str = "message"
    """The event's name; "message" unless the service named it."""
    finish_reason: str | None = None
    """The service's word for why the reply ends here, or None."""

    def to_dict(self) -> dict[str, Any]:
        """Return the chunk as data for `json.dumps`."""
        return attrs.asdict(self, recurse=False)


@attrs.define
class ChatReply:
    """A reply, whole or as far as it has come."""

    text: str = ""
    """The agent's words."""
    finish_reason: str | None = None
    """The service's word for why the reply ended, or None."""
    ended: Ended | None = None
    """How it ended: "done" (the service sent `[DONE]`), "finish_reason" (it gave a reason and sent no more),
    "eof" (it closed the stream properly with neither); None while the stream is open, and for ever when it
    broke or was left early. A gateway can end a cut reply properly: "eof" is whole only if the service
    never marks its ends (see `require_end`)."""
    usage: UsageDict | None = None
    """What the service counted, if it said so."""
    tool_calls: list[ToolCallDict] = attrs.field(factory=list["ToolCallDict"])
    """The tools that the agent calls: {id, type, function: {name, arguments}}, arguments as JSON text."""
    # Two replies with the same content are equal, however long each took.
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
    """The copy that `duplicate` made.

    Each field but `id` and `raw` is None where the answer held nothing readable.
    """

    id: str
    """The copy's id."""
    name: str | None
    """The copy's name."""
    created_at: datetime | None
    """When it was made: an aware datetime in UTC."""
    config: AgentConfig | None
    """Its whole config; `config.to_dict()` is exactly what came."""
    raw: dict[str, Any] = attrs.field(repr=False)  # it holds the config once more
    """The answer's JSON as it came."""

    def to_dict(self) -> dict[str, Any]:
        """Return the copy as data for `json.dumps`.

        It holds the fields, the time as ISO 8601 text, and whatever else came beside them.
        """
        return {
            **copy.deepcopy(self.raw),
            "id": self.id,
            "name": self.name,
            "created_at": self.created_at.isoformat() if self.created_at else None,
            "config": self.config.to_dict() if self.config is not None else None,
        }
