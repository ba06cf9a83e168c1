"""Plain schemas, which contain no references or unions: their types, their values, and how to merge two."""

from __future__ import annotations

import json
import re
from typing import Any, TypeAlias

from millis_wrapper._json import is_array

Schema: TypeAlias = dict[str, Any]


def merge(one: Schema, two: Schema) -> Schema | None:
    """Return the plain schema of the values that match both; None if no value does."""
    merged = {**two, **one, "required": [*one.get("required", ()), *two.get("required", ())]}
    if "properties" in one and "properties" in two:
        ours, theirs = one["properties"], two["properties"]
        shared = {key: {"allOf": [ours[key], theirs[key]]} for key in ours if key in theirs}
        merged["properties"] = {**theirs, **ours, **shared}
    if "type" in one and "type" in two:
        merged["type"] = sorted(_names(one) & _names(two))
        if not merged["type"]:
            return None
    if "enum" in one and "enum" in two:
        merged["enum"] = [value for value in one["enum"] if value in two["enum"]]
    # OpenAPI 3.0 allows `nullable` only beside `type`, but documents also use it beside `allOf`.
    merged["nullable"] = one.get("nullable") is True or two.get("nullable") is True
    return merged


def types_of(schema: Schema) -> set[str]:
    """Return the names of the types that a plain schema accepts."""
    names = _names(schema) or {_type_of(value) for value in listed(schema)}
    if not names:
        names = {"object"} if "properties" in schema else {"array"} if "items" in schema else {"any"}
    return names | {"null"} if schema.get("nullable") is True else names


def _names(schema: Schema) -> set[str]:
    types = schema.get("type", [])
    names = {name_of(str(one)) for one in (types if is_array(types) else [types])}
    return names | {"integer"} if "number" in names else names  # every integer is a number


def _type_of(value: object) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "null")


def listed(schema: Schema) -> list[Any]:
    """Return the values that a plain schema lists."""
    return [schema["const"]] if "const" in schema else schema.get("enum", [])


def name_of(text: str) -> str:
    """Return `text` for the report, quoted if it is not a plain name."""
    return text if re.fullmatch(r"[\w()/+-]+", text) else json.dumps(text)
