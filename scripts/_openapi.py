"""An OpenAPI document as `scripts/compare` reads it: its operations as objects with all their fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from millis_wrapper._json import is_array, is_object

from ._document import resolve, target
from ._openapi_schemas import Schema, listed, merge, name_of, types_of

# OpenAPI ignores the first two as parameters. The third is the key, which is compared with the endpoint.
IGNORED_HEADERS = ("accept", "content-type", "authorization")
MAX_SCHEMAS = 100_000  # limit for one document, because nested references can multiply


class CompareError(Exception):
    """A file cannot be compared; the message is one line."""


class Endpoint(NamedTuple):
    """Where and how a request to one operation is sent."""

    hosts: list[str] | None
    """The URLs of its servers; None if the document names none."""
    key: list[str] | None
    """The ways in which a request may carry the key; None if the document does not define it."""
    deprecated: bool


class Place(NamedTuple):
    """One place of a document: plain schemas, one of which a value must match."""

    schemas: list[Schema]
    is_required: bool

    def facts(self, in_request: bool) -> dict[str, Any]:
        """Return the facts that can be compared directly, by kind."""
        default = None
        for one in self.schemas:
            value = one.get("x-service-default", one.get("default"))
            if value is not None and [value] != listed(one):  # a constant is not a default of the service
                default = value
        closed = in_request and any(one.get("additionalProperties") is False for one in self.schemas)
        return {
            "type": " or ".join(sorted(self.types() - {"null"})) or "null",
            "null": bool(self.types() & {"null", "any"}),
            "required": self.is_required,
            "default": default,
            "unknown keys refused": closed,
            "deprecated": bool(self.schemas) and all(one.get("deprecated") is True for one in self.schemas),
        }

    def types(self) -> set[str]:
        """Return the names of the types that a value may have."""
        names = {name for one in self.schemas for name in types_of(one)}
        if "any" in names or not names:
            return {"any"}
        return names - {"integer"} if "number" in names else names

    def values(self) -> set[str]:
        """Return the listed values except null, each as JSON."""
        return {json.dumps(value) for one in self.schemas for value in listed(one) if value is not None}

    def is_closed(self, in_request: bool) -> bool:
        """Return whether only the listed values are valid."""
        marked = in_request and any(one.get("x-closed-in-requests") for one in self.schemas)
        only_listed = all(listed(one) or types_of(one) == {"null"} for one in self.schemas)
        return bool(self.values()) and (marked or only_listed)


class Document:
    """An OpenAPI document, version 3.0, 3.1 or 3.2.

    Args:
        data: the document as data.
    """

    def __init__(self, data: Any) -> None:
        if not is_object(data) or not str(data.get("openapi", "")).startswith("3."):
            raise CompareError("is not OpenAPI 3: `openapi` must be a version such as 3.1.0")
        self.data = data
        self.has_events = any("x-event-stream" in one or "itemSchema" in one for one in _objects(data))
        self.compares_events = False
        self._count = 0

    def endpoint(self, method: str, path: str) -> Endpoint | None:
        """Return where and how a request to one operation is sent, ignoring the names of path parameters."""
        found = self._find(method, path)
        if found is None:
            return None
        _, item, operation = found
        holders = (operation, item, self.data)
        servers = next((_list(one, "servers") for one in holders if "servers" in one), None)
        parameters = [*_list(item, "parameters"), *_list(operation, "parameters")]
        return Endpoint(
            hosts=servers and sorted(str(_as_object(one, "a server").get("url")) for one in servers),
            key=self._key(operation, [self._resolve(one) for one in parameters]),
            deprecated=operation.get("deprecated") is True,
        )

    def _find(self, method: str, path: str) -> tuple[str, Schema, Schema] | None:
        """Return the path, the path item and the operation of an endpoint, ignoring names of parameters."""
        for written, item in _object(self.data, "paths").items():
            if _without_names(written) == _without_names(path) and method in (item := self._resolve(item)):
                return written, item, _object(item, method)
        return None

    def _key(self, operation: Schema, parameters: list[Schema]) -> list[str] | None:
        """Return the ways in which a request carries the key, or None if the document does not define it."""
        for holder in (operation, self.data):
            if "security" in holder:
                found = {self._ways(_as_object(one, "a requirement")) for one in _list(holder, "security")}
                return sorted(found) or ["without a key"]
        headers = {str(one.get("name")).lower() for one in parameters if one.get("in") == "header"}
        return ["header authorization"] if "authorization" in headers else None

    def _ways(self, requirement: Schema) -> str:
        schemes = _object(_object(self.data, "components"), "securitySchemes")
        ways = [_way(name, self._resolve(schemes.get(name, {}))) for name in requirement]
        return " and ".join(ways) or "without a key"

    def operation(self, method: str, path: str) -> Place | None:
        """Return one operation as an object with all its fields, ignoring the names of path parameters."""
        found = self._find(method, path)
        return found and self._operation(*found)

    def _operation(self, path: str, item: Schema, operation: Schema) -> Place:
        request: dict[str, Schema] = {name: _object_of({}) for name in ("path", "query", "header", "cookie")}
        names = re.findall("{([^}]*)}", path)
        # The operation's own parameters come last, so they replace those of the path item.
        for one in map(self._resolve, [*_list(item, "parameters"), *_list(operation, "parameters")]):
            group, name = str(one.get("in")), str(one.get("name"))
            if group == "path" and name in names:
                name = str(names.index(name) + 1)  # each document names the path parameter as it likes
            if group in request and not (group == "header" and name.lower() in IGNORED_HEADERS):
                schema = one.get("schema")
                if one.get("deprecated") is True and is_object(schema):
                    schema = {**schema, "deprecated": True}
                request[group]["properties"][name] = schema
                request[group]["required"] += [name] if one.get("required") is True else []
        body = self._resolve(operation.get("requestBody", {}))
        bodies = self._bodies(body)
        parts = _object_of({**request, **bodies["properties"]})
        parts["required"] = [*request, *(bodies["properties"] if body.get("required") is True else ())]
        responses = {
            status: self._bodies(self._resolve(response))
            for status, response in _object(operation, "responses").items()
        }
        return Place([_object_of({"request": parts, "response": _object_of(responses)})], True)

    def _bodies(self, holder: Schema) -> Schema:
        properties: Schema = {}
        for name in (content := _object(holder, "content")):
            kind = name.partition(";")[0].strip().lower()
            step = "body" if kind == "application/json" else f"body({kind})"
            media = self._resolve(content[name])
            properties[step] = {"type": "string"} if self._events(media) else media.get("schema")
            if self.compares_events and (events := self._events(media)):
                properties[f"{step} events"] = {"anyOf": events}
        return _object_of(properties, "response")

    def _events(self, media: Schema) -> list[Any]:
        """Return the schemas of a stream's events, for which OpenAPI 3.1 needs an extension."""
        stream = _object(media, "x-event-stream")
        data = _object(_object(_object(media, "itemSchema"), "properties"), "data")
        forms = [data, *_list(data, "anyOf"), *_list(data, "oneOf")]
        found = [one["contentSchema"] for one in forms if is_object(one) and "contentSchema" in one]
        return [stream[kind] for kind in ("chunk", "error") if kind in stream] or found

    def children(self, place: Place) -> dict[str, Place]:
        """Return the direct children of `place`, by the step that each adds to the path."""
        found: dict[str, Place] = {}
        objects = [one for one in place.schemas if "properties" in one]
        for label, one in self._labels(objects).items():
            found[label] = Place([one], True)
        for key in dict.fromkeys(key for one in objects if not found for key in one["properties"]):
            schemas = [one["properties"][key] for one in objects if key in one["properties"]]
            is_required = all(key in one.get("required", ()) for one in objects)
            found[f".{name_of(key)}"] = self.place(schemas, is_required)
        for keyword, step in (("items", "[]"), ("additionalProperties", "{}")):
            schemas = [one[keyword] for one in place.schemas if is_object(one.get(keyword)) and one[keyword]]
            if schemas:
                found[step] = self.place(schemas, True)
        return found

    def _labels(self, objects: Sequence[Schema]) -> dict[str, Schema]:
        """Name each of several objects by the constant that distinguishes it, such as `(role=user)`."""
        for key in objects[0]["properties"] if len(objects) > 1 else ():
            constants = [self.place([one["properties"].get(key)], True).values() for one in objects]
            if all(len(one) == 1 for one in constants):
                labels = [f"({name_of(key)}={name_of(str(json.loads(*one)))})" for one in constants]
                if len(set(labels)) == len(labels):
                    return dict(zip(labels, objects, strict=True))
        return {}

    def place(self, schemas: Iterable[Any], is_required: bool) -> Place:
        """Return the place whose value must match one of `schemas`, with references and unions resolved."""
        return Place([plain for one in schemas for plain in self._expand(one, ())], is_required)

    def _expand(self, schema: Any, above: tuple[str, ...]) -> list[Schema]:
        if not is_object(schema):
            return [{}]  # a missing schema, true and false do not describe fields
        own = {key: value for key, value in schema.items() if key not in ("$ref", "anyOf", "oneOf", "allOf")}
        _object(own, "properties")
        _list(own, "enum")
        _list(own, "required")
        parts = [self._expand(one, above) for one in _list(schema, "allOf")]
        if "$ref" in schema:
            reference = str(schema["$ref"])
            if reference in above:
                return []  # a schema that lists itself as an alternative adds nothing
            try:
                parts.append(self._expand(target(self.data, reference), (*above, reference)))
            except LookupError:
                raise _invalid_reference(reference) from None
        for union in (_list(schema, "anyOf"), _list(schema, "oneOf")):
            parts += [[plain for one in union for plain in self._expand(one, above)]] if union else []
        merged = [own]
        for part in parts:
            merged = [both for one in merged for two in part if (both := merge(one, two)) is not None]
        self._count += 1 + len(merged)
        if self._count > MAX_SCHEMAS:
            raise CompareError(f"its references expand to more than {MAX_SCHEMAS:,} schemas")
        return merged

    def _resolve(self, value: Any) -> Schema:
        try:
            return _as_object(resolve(self.data, value), "a part of an operation")
        except LookupError as error:
            raise _invalid_reference(error.args[0]) from None


def _way(name: str, scheme: Schema) -> str:
    kind, header = str(scheme.get("type", name)), str(scheme.get("scheme")).lower()
    if kind == "apiKey":
        return f"{scheme.get('in')} {str(scheme.get('name')).lower()}"
    return f"header authorization ({header})" if kind == "http" else kind


def _objects(value: Any, depth: int = 0) -> Iterator[Schema]:
    if depth > 100:
        return
    if is_object(value):
        yield value
    children = value.values() if is_object(value) else value if is_array(value) else ()
    for child in children:
        yield from _objects(child, depth + 1)


def _invalid_reference(reference: str) -> CompareError:
    if not reference.startswith("#/"):
        return CompareError(f"the reference {reference} points outside the file; bundle its files first")
    return CompareError(f"the reference {reference} does not exist in the file or refers to itself")


def _as_object(value: Any, name: str) -> Schema:
    if not is_object(value):
        raise CompareError(f"is not valid OpenAPI: {name} must be an object")
    return value


def _object(holder: Schema, key: str) -> Schema:
    return _as_object(holder.get(key, {}), f"`{key}`")


def _list(holder: Schema, key: str) -> list[Any]:
    value = holder.get(key, [])
    if not is_array(value):
        raise CompareError(f"is not valid OpenAPI: `{key}` must be a list")
    return value


def _object_of(properties: Schema, kind: str = "object") -> Schema:
    return {"type": kind, "properties": properties, "required": [*properties]}


def _without_names(path: str) -> str:
    return re.sub("{[^}]*}", "{}", path)
