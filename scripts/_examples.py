"""Check that each example in the contract is valid data of its schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator, ValidationError, validate

from millis_wrapper._json import is_mapping
from millis_wrapper._text import shorten
from millis_wrapper.sse import decode

from ._document import is_map_of_names, nodes, resolve, schemas_of


def invalid_examples(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the place and the most relevant error of each example that does not match its schema."""
    for place, value, schema in _examples(document):
        try:
            validate(value, {**schema, "components": document["components"]}, Draft202012Validator)
        except ValidationError as error:
            path = place + error.json_path.removeprefix("$")
            yield f"{path}: not a valid example: {shorten(error.message, 120)}"


def _examples(document: Mapping[str, Any]) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Yield the path, the value and the schema of each example; of a stream, those of each event's data."""
    for path, schema in schemas_of(document):
        for number, value in enumerate(schema.get("examples", ())):
            yield f"{path}.examples[{number}]", value, schema
    for path, node in nodes(document, ""):
        if is_map_of_names(path) or "schema" not in node:
            continue
        if "example" in node:
            yield f"{path}.example", node["example"], node["schema"]
        for name, example in node.get("examples", {}).items():
            is_shared = "$ref" in example
            place = example["$ref"][2:].replace("/", ".") if is_shared else f"{path}.examples.{name}"
            value = resolve(document, example)["value"]
            if is_mapping(stream := node.get("x-event-stream")):
                schema = {"anyOf": [stream[kind] for kind in ("chunk", "error", "end")]}
                for event in decode([value.encode()]):
                    yield f"{place}.value", _data(event.data), schema
            else:
                yield f"{place}.value", value, node["schema"]


def _data(text: str) -> Any:
    """Return the data of an event: a JSON value, or text such as [DONE]."""
    try:
        return json.loads(text)
    except ValueError:
        return text
