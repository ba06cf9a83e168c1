"""What to write in place of a value that has the wrong type."""

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

from ._rules import LIKE_SECONDS, shown

_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,15})?")
_WORDS_FOR_BOOLS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_LONGEST_FIX = 1000  # characters of a value that is shown whole


@cache
def config_fields() -> dict[str, Field]:
    return {field.path: field for field in fields("AgentConfigOverride")}


def form_of(steps: Path) -> str:
    path = ""
    for step in steps:
        path = join_path(path, step) if isinstance(step, str) else f"{path}[]"
    return path


def candidates(form: str, wanted: set[str], value: Any) -> Iterator[tuple[Any, int, str]]:
    """Yield what may have been meant: each with how many findings it may have, and words for its fix."""
    if isinstance(value, float) and "integer" in wanted:
        if 0 < value < LIKE_SECONDS and config_fields()[form].unit == "milliseconds":
            yield round(value * 1000), 1, ", in milliseconds"
        yield round(value) or 1, 1, ""
    elif isinstance(value, str):
        if "boolean" in wanted and value.lower() in _WORDS_FOR_BOOLS:
            yield _WORDS_FOR_BOOLS[value.lower()], 1, ", without quotes"
        if wanted & {"integer", "number"} and _JSON_NUMBER.fullmatch(value):
            yield json.loads(value), 1, ", without quotes"
        if "object" in wanted and (key := _obvious_key(form, value)):
            yield {key: value}, 1, ""
    elif isinstance(value, int | float) and not isinstance(value, bool) and "string" in wanted:
        yield json.dumps(value), 1, ", in quotes"
    if "array" in wanted and value is not None:
        if is_object(value) and is_object(value.get("properties")):
            yield _list_of_params(value), 1, ""
        yield [value], 0, ""


def _obvious_key(form: str, value: str) -> str | None:
    """Return the key of the object at `form` that `value` alone was meant for, if there is no doubt."""
    inside = {
        field.path.rpartition(".")[2]: field
        for field in config_fields().values()
        if field.path.rpartition(".")[0] == form
    }
    required = [key for key, field in inside.items() if field.required]
    for key, field in inside.items():
        if "string" in field.type and (value in field.known or required == [key] or len(inside) == 1):
            return key
    return None


def _list_of_params(schema: dict[str, Any]) -> list[Any]:
    """Return the parameters that a JSON Schema describes, as the service wants them."""
    required = schema.get("required")
    return [
        {
            "name": name,
            "required": is_array(required) and name in required,
            "type": "number" if one.get("type") == "integer" else _text(one.get("type")) or "string",
            "description": _text(one.get("description")),
        }
        for name, one in schema["properties"].items()
        if is_object(one)
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def advice_to_unset(field: Field) -> str | None:
    if field.required:
        return None
    if field.default is None:
        return "remove it"
    return f"remove it, or write {json.dumps(field.default)}, the service's default"


def written(value: Any, note: str, is_public: bool) -> str:
    """Return the fix that writes `value`; one that is long or holds a secret is described, not shown."""
    text = escape_control_characters(json.dumps(value, ensure_ascii=False))
    if is_public and len(text) <= _LONGEST_FIX:
        return f"write {text}{note}"
    if is_array(value):
        return "put it in a list"
    if is_object(value):
        return f"put it in an object, under {shown(next(iter(value)))}"
    return f"write the same value{note}"
