"""Tool-call deltas, put together: the OpenAI form, where a call comes in pieces that share an `index`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from ._json import is_array, is_object, read_json, write_json
from ._text import join_surrogate_pairs

if TYPE_CHECKING:
    from millis_api.dicts import ToolCallDict, ToolCallFunctionDict


@attrs.define
class _Call:
    id: str = ""
    type: str = "function"
    name: str = ""
    # As pieces: arguments may be long, and come letter by letter.
    arguments: list[str] = attrs.field(factory=list[str])

    def is_followed_by(self, call_id: str) -> bool:
        """Return whether a piece with a name and this id begins another call.

        Some services give every call the index 0, each whole; others a new id to every piece, or no id at
        all. So another call has another id, or comes when the arguments so far are complete.
        """
        if call_id and self.id:
            return call_id != self.id
        complete = self.arguments and self.arguments[-1].rstrip().endswith("}")
        return bool(complete) and is_object(read_json("".join(self.arguments)))

    def as_sent(self) -> ToolCallDict:
        function: ToolCallFunctionDict = {
            "name": join_surrogate_pairs(self.name),
            "arguments": join_surrogate_pairs("".join(self.arguments)),
        }
        return {
            "id": join_surrogate_pairs(self.id),
            "type": join_surrogate_pairs(self.type),
            "function": function,
        }


class ToolCalls:
    """The tool calls of one reply, as far as their pieces have come."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_key: dict[int | str, _Call] = {}

    def add(self, deltas: Any) -> None:
        """Add the `tool_calls` of one delta; what is not of the known form is left to the chunk's data."""
        for delta in deltas if is_array(deltas) else ():
            if is_object(delta):
                self._add_one(delta)

    def whole(self) -> list[ToolCallDict]:
        """Return the calls so far as `assistant` messages carry them.

        Each is {id, type, function: {name, arguments}}, with the arguments as JSON text.
        """
        return [call.as_sent() for call in self._calls]

    def __bool__(self) -> bool:
        return bool(self._calls)

    def _add_one(self, delta: dict[str, Any]) -> None:
        function = delta.get("function")
        pieces: dict[str, Any] = function if is_object(function) else {}
        name = _text(pieces.get("name"))
        call = self._call_of(delta.get("index"), _text(delta.get("id")), name)
        call.id = _text(delta.get("id")) or call.id
        call.type = _text(delta.get("type")) or call.type
        if name != call.name:  # some services repeat the whole name in every piece
            call.name += name
        arguments = pieces.get("arguments")
        if is_object(arguments) or is_array(arguments):
            call.arguments.append(write_json(arguments))
        elif isinstance(arguments, str) and arguments:
            call.arguments.append(arguments)

    def _call_of(self, index: Any, call_id: str, name: str) -> _Call:
        if isinstance(index, float) and index.is_integer():
            index = int(index)
        key = index if isinstance(index, int) else call_id
        call = self._by_key.get(key) if key != "" else self._last()
        if call is None or (name and call.is_followed_by(call_id)):
            call = _Call()
            self._calls.append(call)
        self._by_key[key] = call
        return call

    def _last(self) -> _Call | None:
        return self._calls[-1] if self._calls else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
