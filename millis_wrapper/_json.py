"""Read JSON from the network tolerantly, within the interpreter's limits, and turn objects into JSON data."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, TypeGuard

NOT_JSON: Final = object()
"""What `read_json` returns for text that is not JSON."""

# The contract describes fewer levels. At more levels, pickle and deepcopy could exceed the recursion limit.
MAX_DEPTH = 100
_FEW_LEVELS = 10  # enough for every field of a config

_BLANKS = " \t\r\n"

_decode = json.JSONDecoder().raw_decode


def read_json(data: bytes | str, *, deep_as_text: bool = False) -> Any:
    """Return the value of a JSON text, or NOT_JSON.

    Bytes that are not valid UTF-8 become U+FFFD, and an integer that is too long for the interpreter becomes
    a float, so that the rest of a response can still be read.

    Args:
        data: The text.
        deep_as_text: Whether to keep an object or array that is nested deeper than MAX_DEPTH as its JSON
            text. Without it, a text with such nesting is NOT_JSON.
    """
    text = data if isinstance(data, str) else data.decode("utf-8-sig", "replace")
    # json.loads takes more than twice as long, because it finds whitespace with regular expressions.
    text = text.strip(_BLANKS)
    try:
        try:
            value, end = _decode(text)
        except json.JSONDecodeError:
            return NOT_JSON
        except ValueError:  # int() rejects more than about 4,300 digits
            value, end = _lenient().raw_decode(text)
    except (ValueError, RecursionError):
        value, end = None, -1
    # Most texts are too short for such deep nesting.
    if end == len(text) and (len(text) <= 2 * MAX_DEPTH or not _is_deeper(text, value)):
        return value
    if not deep_as_text:
        return NOT_JSON
    value = read_json(_deep_as_text(text, MAX_DEPTH))
    # Near the recursion limit of the caller, Python cannot parse so many levels.
    return read_json(_deep_as_text(text, _FEW_LEVELS)) if value is NOT_JSON else value


def read_json_row(text: str) -> tuple[list[Any], str]:
    """Return the JSON values that follow each other in `text`, and keep raw control characters in them.

    Returns:
        The values, and the rest of the text from the first place that cannot be parsed, or "".
    """
    values: list[Any] = []
    decode = _lenient().raw_decode
    text = text.strip(_BLANKS)
    position = 0
    while position < len(text):
        try:
            value, end = decode(text, position)
        except (ValueError, RecursionError):
            break
        if _is_deeper(text[position:end], value):
            break
        values.append(value)
        position = end
        while position < len(text) and text[position] in _BLANKS:
            position += 1
    return values, text[position:]


def repeats_key(text: str, keys: Iterable[str]) -> bool:
    """Return whether an object in a JSON text has one of `keys` more than once."""
    found: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        found.extend(key for key in keys if names.count(key) > 1)
        return dict(pairs)

    json.JSONDecoder(object_pairs_hook=note, parse_int=_int_or_float, strict=False).decode(text)
    return bool(found)


def write_json(value: Any) -> str:
    """Return `value` as JSON for a message; `value` comes from `read_json`."""
    return json.dumps(value, ensure_ascii=False)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a parsed value is a JSON object."""
    return isinstance(value, dict)


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether `value` is a number; a bool, which Python counts among the integers, is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Return whether a parsed value is a JSON array."""
    return isinstance(value, list)


@cache
def _lenient() -> json.JSONDecoder:
    return json.JSONDecoder(parse_int=_int_or_float, strict=False)


def _int_or_float(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def _is_deeper(text: str, value: Any) -> bool:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return any(isinstance(child, dict | list) for child in level)


# The quote at the end is optional, so that text without one is scanned only once.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


def _deep_as_text(text: str, max_depth: int) -> str:
    """Return `text` with a JSON string for each object and array that is nested deeper than `max_depth`."""
    parts: list[str] = []
    depth = start = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        if match[0] in "[{":
            depth += 1
            if depth == max_depth + 1:
                parts.append(text[start : match.start()])
                start = match.start()
        elif match[0] in "]}":
            if depth == max_depth + 1:
                parts.append(json.dumps(text[start : match.end()]))
                start = match.end()
            depth -= 1
    return "".join(parts) + text[start:]


def _children(value: Any) -> list[Any]:
    if is_object(value):
        return list(value.values())
    return value if is_array(value) else []


def is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Return whether `value` can be written as a JSON object."""
    return isinstance(value, Mapping)


def as_mapping(value: object) -> Mapping[str, Any] | None:
    """Return the data of a mapping, generated model, object with `model_dump()` or dataclass, or None."""
    if is_mapping(value):
        return value
    cls = type(value)
    plain: object = None
    # Only models: replies and copies also have a to_dict, but a reply is not a message and a copy not a
    # config.
    if cls.__module__.partition(".")[0] == "millis_api":
        to_dict = getattr(value, "to_dict", None)
        plain = to_dict() if callable(to_dict) else None
    elif callable(model_dump := getattr(cls, "model_dump", None)):
        plain = model_dump(value, **_accepted(model_dump, value, mode="json", by_alias=True))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = dataclasses.asdict(value)
    return plain if is_mapping(plain) else None


def _accepted(function: Callable[..., Any], *arguments: object, **options: object) -> dict[str, object]:
    """Return `options` if `function` accepts them, so that a plain `model_dump(self)` can be called, too."""
    try:
        inspect.signature(function).bind(*arguments, **options)
    except TypeError:
        return {}
    return options


def is_sequence(value: object) -> TypeGuard[Sequence[Any]]:
    """Return whether `value` can be written as a JSON array."""
    return isinstance(value, list | tuple)
