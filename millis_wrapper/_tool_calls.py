"""Tool-call deltas of the OpenAI form -> tool calls, which are checked when the reply ends. No I/O."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from ._json import is_array, is_object, read_json, read_json_row, write_json
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
        complete = self.arguments and self.arguments[-1].rstrip().endswith("}")
        return bool(complete) and is_object(read_json("".join(self.arguments)))

    def arguments_text(self) -> str:
        return join_surrogate_pairs("".join(self.arguments))

    def complete_arguments(self) -> str | None:
        """Return the arguments as the text of one JSON object, or None if they are not one object.

        No arguments are an empty object. Some services send `{}` before the arguments, or send them twice, or
        as JSON inside of a JSON string.
        """
        text = self.arguments_text()
        values, rest = read_json_row(text)
        if len(values) == 1 and isinstance(values[0], str):
            text = values[0]
            values, rest = read_json_row(text)
        if not rest and (not values or values == [None]):
            return "{}"
        if len(values) > 1:
            while values[0] == {} and len(values) > 1:
                del values[0]
            if all(write_json(value) == write_json(values[0]) for value in values):
                del values[1:]
            text = write_json(values[0])
        if rest or len(values) != 1 or not is_object(values[0]):
            return None
        try:
            json.loads(text, parse_constant=_refuse_constant)
            return text
        except ValueError:  # raw control characters can be escaped, other texts are not JSON for everybody
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

    def add(self, deltas: Any) -> None:
        """Add the `tool_calls` of one delta; skip items of an unknown form, which the chunk's data keeps."""
        for delta in deltas if is_array(deltas) else ():
            if is_object(delta):
                self._add_one(delta)

    def so_far(self) -> list[ToolCallDict]:
        """Return the received calls in the form of an `assistant` message.

        Each is {id, type, function: {name, arguments}}, with the arguments as JSON text.
        """
        return [call.as_sent() for call in self._calls]

    def complete(self) -> tuple[str, str] | None:
        """Complete the calls when the reply ends: each has an id, and arguments that are one JSON object.

        Returns:
            The problem, with `{}` for the part of the reply that shows it, and that part; None if every call
            is complete.
        """
        ids = [call.id for call in self._calls if call.id]
        if len(set(ids)) < len(ids):
            return "two tool calls have the same id, so the reply may be incomplete: {}", ids[-1]
        completed: list[tuple[str, str]] = []
        for number, call in enumerate(self._calls):
            if not call.name.strip():
                return "a tool call has no name, so the reply may be incomplete: {}", write_json(
                    call.as_sent()
                )
            arguments = call.complete_arguments()
            if arguments is None:
                reason = (
                    "the arguments of a tool call are not one JSON object, so the reply may be incomplete: {}"
                )
                return reason, call.arguments_text()
            call_id = call.id
            while not call_id:
                call_id = f"call_{number}"
                if call_id in ids:
                    call_id, number = "", number + len(self._calls)
            completed.append((call_id, arguments))
        for call, (call.id, arguments) in zip(self._calls, completed, strict=True):
            call.arguments = [arguments]
        return None

    def __bool__(self) -> bool:
        return bool(self._calls)

    def _add_one(self, delta: dict[str, Any]) -> None:
        function = delta.get("function")
        part: dict[str, Any] = function if is_object(function) else {}
        name = _string(part.get("name"))
        call = self._call_of(delta.get("index"), _string(delta.get("id")), name)
        call.id = _string(delta.get("id")) or call.id
        call.type = _string(delta.get("type")) or call.type
        if name.startswith(call.name):  # some services repeat the beginning of the name
            call.name = name
        else:
            call.name += name
        arguments = part.get("arguments")
        if is_object(arguments) or is_array(arguments):
            call.arguments.append(write_json(arguments))
        elif isinstance(arguments, str) and arguments:
            call.arguments.append(arguments)

    def _call_of(self, index: Any, call_id: str, name: str) -> _Call:
        if isinstance(index, float) and index.is_integer():
            index = int(index)
        key = index if isinstance(index, int) else call_id
        call = self._by_key.get(key) if key != "" else self._last()
        if call_id and call_id in self._by_key:  # a repeated id is surer than the index
            call = self._by_key[call_id]
        if call is None or (name and call.is_followed_by(call_id, name)):
            call = _Call()
            self._calls.append(call)
        self._by_key[key] = call
        if call_id:
            self._by_key[call_id] = call
        return call

    def _last(self) -> _Call | None:
        return self._calls[-1] if self._calls else None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _string(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""
