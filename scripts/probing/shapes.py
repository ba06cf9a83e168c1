"""Answers as shapes: which keys of the contract are there, of which types. Nothing here returns a value."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import attrs

from millis_wrapper._json import NOT_JSON, is_array, is_object, read_json
from millis_wrapper.contract import fields
from millis_wrapper.sse import SSEDecoder

_LINE_END = re.compile(rb"\r\n|\r|\n")
_FIELDS = (b"data", b"event", b"id", b"retry")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")


def type_name(value: Any) -> str:
    """Return the JSON type of `value`."""
    if value is None:
        return "null"
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]


def named(word: str) -> str:
    """Return a key or the name of a header as code, if it looks like one: it could be anybody's text."""
    return f"`{word}`" if _NAME.fullmatch(word) else "(an odd name)"


def found(value: Any, path: str) -> list[Any]:
    """Return all that `value` holds at a path of the contract: `tools[].params[].name`."""
    places: list[Any] = [value]
    for step in path.split(".") if path else ():
        key, *lists = step.split("[]")
        places = [each[key] for each in places if is_object(each) and key in each]
        for _ in lists:
            places = [item for each in places if is_array(each) for item in each]
    return places


def seen(values: Iterable[Any], component: str) -> dict[str, str]:
    """Return the keys of `component` that `values` have, by path, with the types of what they hold."""
    values = list(values)
    types = {
        field.path: sorted({type_name(each) for value in values for each in found(value, field.path)})
        for field in fields(component)
    }
    return {path: " or ".join(names) for path, names in types.items() if names}


def unset(value: Any, component: str) -> dict[str, set[str]]:
    """Return the keys of `component` that `value` leaves unset, by path: `absent`, `null` or both.

    Keys of objects that are not there are left out, as are those that the contract requires.
    """
    ways: dict[str, set[str]] = {}
    for field in fields(component):
        holder, _, key = field.path.rpartition(".")
        for each in found(value, holder):
            if is_object(each) and each.get(key) is None and not field.required:
                ways.setdefault(field.path, set()).add("null" if key in each else "absent")
    return ways


@attrs.frozen
class Stream:
    """A stream of events.

    `chunks`: the JSON values that came. `closed`: whether the end mark came. `lines`: the kinds of lines,
    comments left out. `failed`: whether an event of the type error came. `oddities`: what no whole stream
    has, in words.
    """

    chunks: tuple[Any, ...]
    closed: bool
    lines: frozenset[str]
    failed: bool
    oddities: tuple[str, ...]

    @classmethod
    def read(cls, body: bytes, end_mark: str) -> Stream:
        """Read a whole stream."""
        decoder = SSEDecoder()
        events = decoder.feed(body)
        oddities = ["it ends in the middle of an event"] if decoder.end() else []
        chunks: list[Any] = []
        closed = False
        for event in events:
            if event.data == end_mark:
                closed = True
                continue
            if closed:
                oddities.append(f"events come after {end_mark}")
            value = read_json(event.data)
            if value is NOT_JSON:
                oddities.append("it has data that is no JSON")
            else:
                chunks.append(value)
        kinds = frozenset(_kind(line) for line in _LINE_END.split(body) if line and line[:1] != b":")
        failed = any(event.event == "error" for event in events)
        return cls(tuple(chunks), closed, kinds, failed, tuple(dict.fromkeys(oddities)))


def _kind(line: bytes) -> str:
    name = line.partition(b":")[0]
    return name.decode() if name in _FIELDS else "an unknown field"
