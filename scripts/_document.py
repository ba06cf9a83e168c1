"""Read the contract as an OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pprint import pformat
from typing import Any
from urllib.parse import unquote

from openapi_python_client.strings import PythonIdentifier

from millis_wrapper._json import is_mapping, is_object, is_sequence
from millis_wrapper.contract import Contract, Field


class RegenerateError(Exception):
    """The code cannot be generated from the contract. The command prints the message."""


METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def target(document: Any, reference: str) -> Any:
    """Return the value that a reference inside the document refers to.

    Raises:
        LookupError: The value does not exist. The argument of the exception is the reference.
    """
    value = document
    try:
        for step in reference.removeprefix("#/").split("/"):
            key = unquote(step).replace("~1", "/").replace("~0", "~")
            value = value[int(key) if is_sequence(value) else key]
    except (LookupError, TypeError, ValueError):
        raise LookupError(reference) from None
    return value


def resolve(document: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the target of a reference, or `node` itself if it is not one.

    Raises:
        LookupError: The target does not exist or refers to itself.
    """
    seen: set[str] = set()
    while is_mapping(node) and isinstance(reference := node.get("$ref"), str):
        if reference in seen:
            raise LookupError(reference)
        seen.add(reference)
        node = target(document, reference)
    return node


def operations(
    document: Mapping[str, Any],
) -> Iterator[tuple[str, str, Mapping[str, Any], list[Mapping[str, Any]]]]:
    """Yield the method, path, operation and parameters (with those of the path item) of each operation."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                operation = item[method]
                named = {
                    (parameter["name"], parameter["in"]): parameter
                    for holder in (item, operation)
                    for parameter in (resolve(document, one) for one in holder.get("parameters", ()))
                }
                yield method, path, operation, list(named.values())


def examples(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield the path, the name and the value of each example of a request, a response or a stream."""
    for path, node in nodes(document, ""):
        if path.endswith(".examples") and ".content." in path:
            for name, example in node.items():
                if "value" in example:
                    yield path, name, example["value"]


def for_the_generator(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contract in the form that the generator reads.

    It differs from the contract in two ways:

    - `additionalProperties: false` is removed, because a client must be able to send a key that only a newer
      service accepts.
    - The description of a parameter is copied to its schema, where the generator reads it.
    """
    copy: dict[str, Any] = json.loads(json.dumps(document))
    schemas = copy["components"]["schemas"]
    for schema in schemas.values():
        if schema.get("additionalProperties") is False:
            del schema["additionalProperties"]
    for _, _, _, parameters in operations(copy):
        for parameter in parameters:
            schema = parameter.get("schema")
            if is_object(schema) and "$ref" not in schema and "description" in parameter:
                schema.setdefault("description", parameter["description"])
    return copy


def facts(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that the templates need and the generator does not pass to them, as plain data."""
    schemas = document["components"]["schemas"]

    def fields_with(keyword: str) -> dict[str, list[str]]:
        found = {
            name: [key for key, field in properties_of(schema).items() if field.get(keyword) is True]
            for name, schema in schemas.items()
        }
        return {name: keys for name, keys in found.items() if keys}

    return {
        "object_components": [name for name, schema in schemas.items() if schema.get("type") == "object"],
        "first_server": document["servers"][0]["url"],
        "secret_components": [name for name, schema in schemas.items() if schema.get("x-secret") is True],
        "secret_fields": fields_with("x-secret"),
        "deprecated_fields": fields_with("deprecated"),
        "descriptions": {
            name: {
                key: field["description"]
                for key, field in properties_of(schema).items()
                if "description" in field
            }
            for name, schema in schemas.items()
        },
        "deprecated_operations": [
            python_name(operation["operationId"])
            for _, _, operation, _ in operations(document)
            if operation.get("deprecated") is True
        ],
        "examples": {
            python_name(operation["operationId"]): _example_call(document, operation, parameters)
            for _, _, operation, parameters in operations(document)
        },
    }


def python_name(name: str) -> str:
    """Return the name that the generator gives to an operation or a property."""
    return str(PythonIdentifier(name, "field_"))


def properties_of(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the properties of a schema, by key."""
    properties: Mapping[str, Any] = schema.get("properties", {})
    return properties


def inner_schemas(schema: Mapping[str, Any]) -> list[Any]:
    """Return the forms of a union, and the schema of the items of a list."""
    items = [schema["items"]] if "items" in schema else []
    return [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *items]


def _example_call(
    document: Mapping[str, Any], operation: Mapping[str, Any], parameters: list[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the arguments of the example call in an operation's docstring, as Python source."""
    content = resolve(document, operation.get("requestBody", {})).get("content", {})
    body, model = "", ""
    for media in content.values():
        model = media["schema"].get("$ref", "").rpartition("/")[2]
        for example in list(media.get("examples", {}).values())[:1]:
            body = pformat(resolve(document, example)["value"], width=80, sort_dicts=False)
    required = [one for one in parameters if one.get("required") is True and one["in"] == "path"]
    return {
        "parameters": [json.dumps(one.get("example", "...")) for one in required],
        "body": body,
        "model": model,
    }


def table(document: Mapping[str, Any]) -> str:
    """Return a table of all fields of all components, so that a diff shows what a change adds or removes."""
    contract = Contract(document)
    lines = [_HEAD]
    for name in document["components"]["schemas"]:
        schema = contract.component(name)
        lines += ["\t".join([name, *_row(field)]) for field in contract.fields(name) if "." not in field.path]
        if "enum" in schema:
            values, origins = (" ".join(map(str, schema.get(key, ()))) for key in ("enum", "x-origin"))
            lines.append(f"{name}\t\t{schema['type']}\t\t\t\t{values}\t{origins}")
    return "\n".join(lines) + "\n"


_HEAD = """\
# Generated by scripts/regenerate. A removed line is a field that the contract loses.
# component\tfield\ttype\trequired\tdefault\tunit\tvalues\torigin"""


def _row(field: Field) -> Iterator[str]:
    yield field.path
    yield field.type + (" or null" if field.nullable else "")
    yield "required" if field.required else ""
    yield json.dumps(field.default) if field.has_known_default else ""
    yield field.unit or ""
    closed = ", closed in requests" if field.closed_in_requests else ""
    yield f"known values{closed}" if field.known else ""
    yield " ".join([*field.origin, *(f"{aspect}={source}" for aspect, source in field.origin_of.items())])


def nodes(value: object, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each object of the document with its path, except objects inside examples and other values."""
    if is_object(value):
        yield path or "the document", value
        for key, child in list(value.items()):
            is_example = key in ("value", "default", "const", "enum", "example") or (
                key == "examples" and is_sequence(child)
            )
            if not is_example or is_map_of_names(path):
                yield from nodes(child, f"{path}.{key}" if path else key)
    elif is_sequence(value):
        for number, child in enumerate(value):
            yield from nodes(child, f"{path}[{number}]")


def is_map_of_names(path: str) -> bool:
    """Return whether the keys at `path` are names that the author chose, not OpenAPI keywords."""
    above, _, last = path.rpartition(".")
    names = {"properties", "responses", "schemas", "headers", "examples", "x-extensions"}
    return last in names and not above.endswith(".properties")


_SCHEMA = re.compile(
    r"(?:^components\.schemas\.\w+|\.schema|\.properties\.[^.]+|\.items|\.additionalProperties|\.(?:anyOf|oneOf)\[\d+\])$"
)


def schemas_of(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, node in nodes(document, ""):
        if _SCHEMA.search(path):
            yield path, node
