"""Tool-call deltas of the OpenAI form -> tool calls, which are checked when the reply ends. No I/O."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

import attrs

from ._json import is_object, read_json, read_json_row, write_json
from ._text import join_surrogate_pairs

if TYPE_CHECKING:
    from millis_api.dicts import ToolCallDict, ToolCallFunctionDict


@attrs.define
class _Call:
    id: str = ""
    type: str = "function"
    name: str = ""
    # A list, because arguments may be long and arrive letter by letter.
    arguments: list[str] = attrs.field(factory=list[str])

    def is_followed_by(self, call_id: str, name: str) -> bool:
        """Return whether a delta with this id and this name begins another call.

        Some services send every call complete and with the index 0; others send a new id with every delta, or
        never send an id. So another call has another id, or follows complete arguments.
        """
        if call_id and self.id and call_id != self.id:
            return True
        if call_id and self.name in ("", name):
            return False
        return is_object(read_json("".join(self.arguments)))

    def arguments_text(self) -> str:
        return join_surrogate_pairs("".join(self.arguments))

    def complete_arguments(self) -> str | None:
        """Return the arguments as the text of one JSON object, or None if they are not one object.

        Missing arguments count as an empty object. Some services send `{}` before the arguments, or send them
        twice, or as JSON inside of a JSON string.
        """
        text = self.arguments_text()
        values, rest = read_json_row(text)
        if len(values) == 1 and isinstance(values[0], str):
            text = values[0]
            values, rest = read_json_row(text)
        if not rest and values in ([], [None]):
            return "{}"
        while len(values) > 1 and write_json(values[0]) in ("{}", write_json(values[1])):
            del values[0]
        if rest or len(values) != 1 or not is_object(values[0]):
            return None
        try:
            json.loads(text, parse_constant=_refuse_constant)
            return text
        except ValueError:  # several objects, raw control characters, or numbers that are not JSON
            value: Any = values[0]
        try:
            return json.dumps(value, ensure_ascii=False, allow_nan=False)
        except ValueError:  # NaN, Infinity, or an integer with thousands of digits
            return None

    def as_sent(self) -> ToolCallDict:
        function: ToolCallFunctionDict = {
            "name": join_surrogate_pairs(self.name),
            "arguments": self.arguments_text(),
        }
        return {
            "id": join_surrogate_pairs(self.id),
            "type": join_surrogate_pairs(self.type),
            "function": function,
        }


class ToolCalls:
    """The tool calls of one reply, added up from their deltas."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_key: dict[int | str, _Call] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, deltas: list[dict[str, Any]]) -> None:
        """Add the `tool_calls` of one delta, whose form `read_event` has checked."""
        for delta in deltas:
            function: dict[str, Any] = delta.get("function") or {}
            call_id = "" if delta.get("id") is None else str(delta["id"])
            name: str = function.get("name") or ""
            call = self._call_of(delta.get("index"), call_id, name)
            call.id = call_id or call.id
            call.type = delta.get("type") or call.type
            # Some services repeat the beginning of the name.
            call.name = name if name.startswith(call.name) else call.name + name
            arguments: Any = function.get("arguments")
            if is_object(arguments):
                arguments = write_json(arguments)
            if arguments:
                call.arguments.append(arguments)

    def so_far(self) -> list[ToolCallDict]:
        """Return the received calls in the form of an `assistant` message.

        Each is {id, type, function: {name, arguments}}, with the arguments as JSON text.
        """
        return [call.as_sent() for call in self._calls]

    def complete(self) -> tuple[str, str] | None:
        """Complete the calls when the reply ends: each has an id, and arguments that are one JSON object.

        Returns:
            None if every call is complete. Otherwise the problem, with `{}` for the text that shows it, and
            that text.
        """
        ids = [call.id for call in self._calls if call.id]
        if len(set(ids)) < len(ids):
            return "two tool calls have the same id: {}", ids[-1]
        completed: list[tuple[str, str]] = []
        for number, call in enumerate(self._calls):
            if not call.name.strip():
                return "a tool call is missing its name: {}", write_json(call.as_sent())
            arguments = call.complete_arguments()
            if arguments is None:
                return "the arguments of a tool call are not one JSON object: {}", call.arguments_text()
            new_ids = (f"call_{at}" for at in count(number, len(self._calls)))
            completed.append((call.id or next(each for each in new_ids if each not in ids), arguments))
        for call, (call.id, arguments) in zip(self._calls, completed, strict=True):
            call.arguments = [arguments]
        return None

    def _call_of(self, index: Any, call_id: str, name: str) -> _Call:
        if isinstance(index, float) and index.is_integer():
            index = int(index)
        key = index if isinstance(index, int) else call_id
        call = self._by_key.get(key)
        if key == "" and self._calls:
            call = self._calls[-1]
        if call_id:  # a repeated id is more reliable than the index
            call = self._by_key.get(call_id, call)
        if call is None or (name and call.is_followed_by(call_id, name)):
            call = _Call()
            self._calls.append(call)
        self._by_key[key] = self._by_key[call_id] = call
        return call


def _refuse_constant(name: str) -> None:
    raise ValueError(name)
