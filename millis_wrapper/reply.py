"""What a reply is made of, from one chunk to the whole."""

from __future__ import annotations

from typing import Any, Literal

import attrs

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
