"""Tool-call deltas, put together: the OpenAI form, where a call comes in pieces that share an `index`."""

from __future__ import annotations

from typing import Any


class ToolCalls:
    """The tool calls of one reply, as far as their pieces have come."""

    def __init__(self) -> None:
        self._calls: dict[object, dict[str, Any]] = {}

    def add(self, deltas: Any) -> None:
        """Add the `tool_calls` of one delta; what is not of the known form is left to the chunk's data."""
        for delta in deltas if isinstance(deltas, list) else ():
            if isinstance(delta, dict):
                self._add_one(delta)

    def whole(self) -> list[dict[str, Any]]:
        """Return the calls so far, as `assistant` messages carry them: {id, type, function: {name,
        arguments}}.
        """
        return [{**call, "function": dict(call["function"])} for call in self._calls.values()]

    def __bool__(self) -> bool:
        return bool(self._calls)

    def _add_one(self, delta: dict[str, Any]) -> None:
        call = self._calls.setdefault(
            self._key(delta), {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        )
        for field in ("id", "type"):
            if isinstance(delta.get(field), str) and delta[field]:
                call[field] = delta[field]
        pieces, function = delta.get("function"), call["function"]
        if not isinstance(pieces, dict):
            return
        name, arguments = pieces.get("name"), pieces.get("arguments")
        # Some services repeat the whole name in every piece.
        if isinstance(name, str) and name != function["name"]:
            function["name"] += name
        if isinstance(arguments, str):
            function["arguments"] += arguments

    def _key(self, delta: dict[str, Any]) -> object:
        index, call_id = delta.get("index"), delta.get("id")
        if isinstance(index, int):
            return index
        if isinstance(call_id, str) and call_id:
            return call_id
        # Neither: it goes on with the call that came last.
        return next(reversed(self._calls), 0)
