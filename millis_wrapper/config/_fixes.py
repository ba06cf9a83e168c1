"""Suggest a value in place of one that has the wrong type."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from millis_wrapper._json import is_array, is_object
from millis_wrapper._paths import join_path
from millis_wrapper._text import escape_control_characters
from millis_wrapper.contract import Field, fields
from millis_wrapper.contract._validation import Path

from ._rules import LIKE_SECONDS, quoted

_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,15})?")
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_LONGEST_FIX = 1000  # characters; longer values are described instead


@cache
def config_fields() -> dict[str, Field]:
    """Return the fields of a config by path."""
    return {field.path: field for field in fields("AgentConfigOverride")}


def field_path(steps: Path) -> str:
    """Return the path of the field at `steps`, with `[]` in place of list indexes."""
    path = ""
    for step in steps:
        path = join_path(path, step) if isinstance(step, str) else f"{path}[]"
    return path


def candidates(field: str, wanted: set[str], value: Any) -> Iterator[tuple[Any, int, str]]:
    """Yield the values that may have been meant instead of `value`.

    Args:
        field: The path of the field.
        wanted: The JSON types that the field accepts.
        value: The value of the wrong type.

    Yields:
        A candidate, the number of findings that it may have, and a note for the text of the fix.
    """
    if isinstance(value, float) and "integer" in wanted:
        if 0 < value < LIKE_SECONDS and config_fields()[field].unit == "milliseconds":
            yield round(value * 1000), 1, ", in milliseconds"
        yield round(value) or 1, 1, ""
    elif isinstance(value, str):
        if "boolean" in wanted and value.lower() in _BOOLEANS:
            yield _BOOLEANS[value.lower()], 1, ", without quotes"
        if wanted & {"integer", "number"} and _JSON_NUMBER.fullmatch(value):
            yield json.loads(value), 1, ", without quotes"
        if "object" in wanted and (key := _obvious_key(field, value)):
            yield {key: value}, 1, ""
    elif isinstance(value, int | float) and not isinstance(value, bool) and "string" in wanted:
        yield json.dumps(value), 1, ", in quotes"
    if "array" in wanted and value is not None:
        if is_object(value) and is_object(value.get("properties")):
            yield _list_of_params(value), 1, ""
        yield [value], 0, ""


def _obvious_key(path: str, value: str) -> str | None:
    """Return the key of the object at `path` to which `value` clearly belongs, or None."""
    keys = {
        field.path.rpartition(".")[2]: field
        for field in config_fields().values()
        if field.path.rpartition(".")[0] == path
    }
    required = [key for key, field in keys.items() if field.required]
    for key, field in keys.items():
        if "string" in field.type and (value in field.known or required == [key] or len(keys) == 1):
            return key
    return None


def _list_of_params(parameters: dict[str, Any]) -> list[Any]:
    """Convert a JSON Schema of parameters to the list that the service accepts."""
    required = parameters.get("required")
    return [
        {
            "name": name,
            "required": is_array(required) and name in required,
            "type": "number"
            if schema.get("type") == "integer"
            else _as_string(schema.get("type")) or "string",
            "description": _as_string(schema.get("description")),
        }
        for name, schema in parameters["properties"].items()
        if is_object(schema)
    ]


def _as_string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def describe_removal(field: Field) -> str | None:
    """Return the fix for a null in place of a value; None if the field is required."""
    if field.required:
        return None
    if field.default is None:
        return "remove it"
    return f"remove it or write {json.dumps(field.default)}, the default of the service"


def describe_fix(value: Any, note: str, is_public: bool) -> str:
    """Return the fix that replaces the value by `value`, without its text if that is long or secret."""
    text = escape_control_characters(json.dumps(value, ensure_ascii=False))
    if is_public and len(text) <= _LONGEST_FIX:
        return f"write {text}{note}"
    if is_array(value):
        return "put it in a list"
    if is_object(value):
        return f"put it in an object under the key {quoted(next(iter(value)))}"
    return f"write the same value{note}"
