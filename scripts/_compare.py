"""What `scripts/compare` does: an OpenAPI file of the service, held against openapi/millis.yaml.

The file is OpenAPI 3.0 or 3.1, in JSON or YAML. Only the endpoints of the contract are read in it. They are
found by method and path, and fields by the path to them, so the names of components and of path parameters do
not matter. Compared are which fields there are, and type, null, required, default and value set of each. Not
compared are words, examples, formats and ranges, the headers of responses, and how the key is sent.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import unquote

from millis_wrapper._json import is_array, is_object
from millis_wrapper._text import escape_control_characters, shorten
from millis_wrapper.config._json_text import ParseError, read_json
from millis_wrapper.config._yaml_text import read_yaml

from ._document import METHODS

OPENAPI = Path(__file__).resolve().parent.parent / "openapi"
# As parameters OpenAPI ignores the first two, and the key is what the contract's security scheme says.
IGNORED_HEADERS = ("accept", "content-type", "authorization")
MAX_SCHEMAS = 100_000  # that a document may unfold to: references can multiply without end

Schema: TypeAlias = dict[str, Any]


class CompareError(Exception):
    """Why a file cannot be compared, in one line."""


class Difference(NamedTuple):
    """One thing about one place on which the contract and the file do not agree.

    A value set holds what only that side lists; None stands for any value, no default, or no such place.
    """

    endpoint: str
    path: str
    kind: str
    contract: Any
    file: Any

    def __str__(self) -> str:
        ours, theirs = (_shown(self.kind, said) for said in (self.contract, self.file))
        return f"{self.path}: {self.kind}: {ours} -> {theirs}"


class Place(NamedTuple):
    """What a document says about one place: plain schemas, one of which a value has to fit."""

    schemas: list[Schema]
    is_required: bool

    def facts(self, in_request: bool) -> dict[str, Any]:
        """Return what can be compared as it is, by kind."""
        default = None
        for one in self.schemas:
            said = one.get("x-service-default", one.get("default"))
            if said is not None and [said] != _listed(one):  # a constant is no choice of the service
                default = said
        closed = in_request and any(one.get("additionalProperties") is False for one in self.schemas)
        return {
            "type": " or ".join(sorted(self.types() - {"null"})) or "null",
            "null": bool(self.types() & {"null", "any"}),
            "required": self.is_required,
            "default": default,
            "unknown keys refused": closed,
        }

    def types(self) -> set[str]:
        """Return the names of the types that a value may have."""
        names = {name for one in self.schemas for name in _types(one)}
        if "any" in names or not names:
            return {"any"}
        return names - {"integer"} if "number" in names else names

    def values(self) -> set[str]:
        """Return the values that are listed, null apart, each as JSON."""
        return {json.dumps(value) for one in self.schemas for value in _listed(one) if value is not None}

    def is_closed(self, in_request: bool) -> bool:
        """Return whether values are listed, and only they are valid."""
        said = in_request and any(one.get("x-closed-in-requests") for one in self.schemas)
        listed = all(_listed(one) or _types(one) == {"null"} for one in self.schemas)
        return bool(self.values()) and (said or listed)


class Document:
    """An OpenAPI document."""

    def __init__(self, data: Any) -> None:
        if not is_object(data) or not str(data.get("openapi", "")).startswith("3."):
            raise CompareError("not OpenAPI 3: it has no line `openapi: 3...`")
        self.data = data
        self._count = 0

    def operation(self, method: str, path: str) -> Place | None:
        """Return one operation as an object with all its fields below it; names in braces do not matter."""
        for written, item in _object(self.data, "paths").items():
            if _bare(written) == _bare(path) and method in (item := self._resolve(item)):
                return self._operation(written, item, _object(item, method))
        return None

    def _operation(self, path: str, item: Schema, operation: Schema) -> Place:
        request: dict[str, Schema] = {name: _object_of({}) for name in ("path", "query", "header", "cookie")}
        names = re.findall("{([^}]*)}", path)
        # The operation's own parameters come last, and replace those of the path item.
        for one in map(self._resolve, [*_list(item, "parameters"), *_list(operation, "parameters")]):
            group, name = str(one.get("in")), str(one.get("name"))
            if group == "path" and name in names:
                name = str(names.index(name) + 1)  # what it is called is the document's own choice
            if group in request and not (group == "header" and name.lower() in IGNORED_HEADERS):
                request[group]["properties"][name] = one.get("schema")
                request[group]["required"] += [name] if one.get("required") is True else []
        body = self._resolve(operation.get("requestBody", {}))
        bodies = self._bodies(body)
        whole = _object_of({**request, **bodies["properties"]})
        whole["required"] = [*request, *(bodies["properties"] if body.get("required") is True else ())]
        answers = {
            status: self._bodies(self._resolve(answer))
            for status, answer in _object(operation, "responses").items()
        }
        return Place([_object_of({"request": whole, "response": _object_of(answers)})], True)

    def _bodies(self, holder: Schema) -> Schema:
        properties: Schema = {}
        for name in (content := _object(holder, "content")):
            kind = name.partition(";")[0].strip().lower()
            step = "body" if kind == "application/json" else f"body({kind})"
            properties[step] = _object(content, name).get("schema")
        return _object_of(properties, "response")

    def children(self, place: Place) -> dict[str, Place]:
        """Return the places just below `place`, by what they add to its path."""
        found: dict[str, Place] = {}
        objects = [one for one in place.schemas if "properties" in one]
        for label, one in self._labels(objects).items():
            found[label] = Place([one], True)
        for key in dict.fromkeys(key for one in objects if not found for key in one["properties"]):
            schemas = [one["properties"][key] for one in objects if key in one["properties"]]
            is_required = all(key in one.get("required", ()) for one in objects)
            found[f".{_name(key)}"] = self.place(schemas, is_required)
        for keyword, step in (("items", "[]"), ("additionalProperties", "{}")):
            schemas = [one[keyword] for one in place.schemas if is_object(one.get(keyword)) and one[keyword]]
            if schemas:
                found[step] = self.place(schemas, True)
        return found

    def _labels(self, objects: Sequence[Schema]) -> dict[str, Schema]:
        """Name each of several objects by the constant that tells it from the others: `(role=user)`."""
        for key in objects[0]["properties"] if len(objects) > 1 else ():
            constants = [self.place([one["properties"].get(key)], True).values() for one in objects]
            if all(len(one) == 1 for one in constants):
                labels = [f"({_name(key)}={_name(str(json.loads(*one)))})" for one in constants]
                if len(set(labels)) == len(labels):
                    return dict(zip(labels, objects, strict=True))
        return {}

    def place(self, schemas: Iterable[Any], is_required: bool) -> Place:
        """Return the place whose value has to fit one of `schemas`, which may hold references and unions."""
        return Place([plain for one in schemas for plain in self._unfold(one, ())], is_required)

    def _unfold(self, schema: Any, above: tuple[str, ...]) -> list[Schema]:
        if not is_object(schema):
            return [{}]  # none, true and false tell nothing about fields
        own = {key: value for key, value in schema.items() if key not in ("$ref", "anyOf", "oneOf", "allOf")}
        _object(own, "properties")
        _list(own, "enum")
        _list(own, "required")
        parts = [self._unfold(one, above) for one in _list(schema, "allOf")]
        if "$ref" in schema:
            reference = str(schema["$ref"])
            if reference in above:
                return []  # a schema that is one of its own alternatives adds none
            parts.append(self._unfold(self._target(reference), (*above, reference)))
        for union in (_list(schema, "anyOf"), _list(schema, "oneOf")):
            parts += [[plain for one in union for plain in self._unfold(one, above)]] if union else []
        merged = [own]
        for part in parts:
            merged = [both for one in merged for two in part if (both := _both(one, two)) is not None]
        self._count += 1 + len(merged)
        if self._count > MAX_SCHEMAS:
            raise CompareError(f"its references unfold to more than {MAX_SCHEMAS:,} schemas")
        return merged

    def _resolve(self, value: Any) -> Schema:
        seen: set[str] = set()
        while is_object(value) and "$ref" in value:
            reference = str(value["$ref"])
            if reference in seen:
                raise CompareError(f"the reference {reference} leads to itself")
            seen.add(reference)
            value = self._target(reference)
        return _object({"part": value}, "part")

    def _target(self, reference: str) -> Any:
        if not reference.startswith("#/"):
            raise CompareError(f"the reference {reference} leads out of the file; bundle it first")
        value: Any = self.data
        for step in reference[2:].split("/"):
            key = unquote(step).replace("~1", "/").replace("~0", "~")
            if is_array(value):
                value = dict(zip(map(str, range(len(value))), value, strict=True))
            if not is_object(value) or key not in value:
                raise CompareError(f"the reference {reference} leads nowhere")
            value = value[key]
        return value


def _object(holder: Schema, key: str) -> Schema:
    value = holder.get(key, {})
    if not is_object(value):
        raise CompareError(f"not OpenAPI: `{key}` is not an object")
    return value


def _list(holder: Schema, key: str) -> list[Any]:
    value = holder.get(key, [])
    if not is_array(value):
        raise CompareError(f"not OpenAPI: `{key}` is not a list")
    return value


def _object_of(properties: Schema, kind: str = "object") -> Schema:
    return {"type": kind, "properties": properties, "required": [*properties]}


def _both(one: Schema, two: Schema) -> Schema | None:
    """Return the plain schema of what fits both; None if nothing does."""
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
    # Strictly, the `nullable` of 3.0 counts beside `type` alone; beside `allOf` it is meant all the same.
    merged["nullable"] = one.get("nullable") is True or two.get("nullable") is True
    return merged


def _types(schema: Schema) -> set[str]:
    names = _names(schema) or {_type_of(value) for value in _listed(schema)}
    if not names:
        names = {"object"} if "properties" in schema else {"array"} if "items" in schema else {"any"}
    return names | {"null"} if schema.get("nullable") is True else names


def _names(schema: Schema) -> set[str]:
    said = schema.get("type", [])
    names = {_name(str(one)) for one in (said if is_array(said) else [said])}
    return names | {"integer"} if "number" in names else names  # which is a number too


def _type_of(value: object) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "null")


def _listed(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else schema.get("enum", [])


def _bare(path: str) -> str:
    return re.sub("{[^}]*}", "{}", path)


def _name(text: str) -> str:
    return text if re.fullmatch(r"[\w()/+-]+", text) else json.dumps(text)


def _shown(kind: str, said: Any) -> str:
    if said is None:
        return {"default": "none", "value set": "any value"}.get(kind, "nothing")
    if kind == "value set":
        return f"has {', '.join(map(json.dumps, said)) or 'no more'}"
    if kind == "default":
        return json.dumps(said)
    return said if isinstance(said, str) else "yes" if said else "no"


def _words(place: Place | None) -> str | None:
    return place and " or ".join([*sorted(place.types() - {"null"}), *(place.types() & {"null"})])


def differences(contract: Document, other: Document) -> Iterator[Difference]:
    """Yield each difference, in the contract's order.

    Raises:
        CompareError: the other document has no endpoint of the contract, or is not valid OpenAPI.
    """
    endpoints = {
        f"{method.upper()} {path}": (ours, other.operation(method, path))
        for path in contract.data["paths"]
        for method in METHODS
        if (ours := contract.operation(method, path))
    }
    if not any(theirs for _, theirs in endpoints.values()):
        raise CompareError(f"has none of the endpoints {', '.join(endpoints)}")
    for endpoint, (ours, theirs) in endpoints.items():
        if theirs is None:
            yield Difference(endpoint, "endpoint", "removed", "endpoint", None)
            continue
        for found in _differences((contract, other), "", (ours, theirs), ()):
            yield Difference(endpoint, *found)


def _differences(
    documents: tuple[Document, Document], path: str, places: tuple[Place, Place], above: tuple[str, ...]
) -> Iterator[tuple[str, str, Any, Any]]:
    yield from ((path, *change) for change in _changes(*places, path.startswith("request")))
    here = json.dumps([place.schemas for place in places])
    if here in above:  # an object that can hold itself: the same two were compared further up
        return
    ours, theirs = (document.children(place) for document, place in zip(documents, places, strict=True))
    for step in {**ours, **theirs}:
        below, one, two = f"{path}{step}".lstrip("."), ours.get(step), theirs.get(step)
        if one and two:
            yield from _differences(documents, below, (one, two), (*above, here))
        else:  # one line for all that is below it
            yield below, "removed" if one else "added", _words(one), _words(two)


def _changes(ours: Place, theirs: Place, in_request: bool) -> Iterator[tuple[str, Any, Any]]:
    facts = theirs.facts(in_request)
    for kind, fact in ours.facts(in_request).items():
        if (fact, isinstance(fact, bool)) != (facts[kind], isinstance(facts[kind], bool)):
            yield kind, fact, facts[kind]
    one, two = ours.values(), theirs.values()
    closed = ours.is_closed(in_request), theirs.is_closed(in_request)
    # That the contract lists values which the file does not is no difference as long as others are valid too,
    # nor is it that a file closes a set of an answer: reading is open everywhere.
    if two and one != two:
        only, more = ([json.loads(value) for value in sorted(rest)] for rest in (one - two, two - one))
        yield "value set", only if one else None, more
    elif closed[0] != closed[1] and (in_request or closed[0]):
        every = [json.loads(value) for value in sorted(one)]
        yield "value set", every if closed[0] else None, every if closed[1] else None


def read(file: Path) -> Any:
    """Return the data of a JSON or YAML file.

    Raises:
        CompareError: it cannot be read.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
        # PyYAML reads JSON too, but takes a minute for ten megabytes.
        return (read_json if text.lstrip().startswith(("{", "[")) else read_yaml)(text)
    except OSError as error:
        raise CompareError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CompareError("cannot be read: it is not UTF-8 text") from None
    except ParseError as error:
        raise CompareError(f"line {error.line}: {error}" if error.line else str(error)) from None


def _reasons(entries: Any) -> dict[str, str]:
    """Return the lines of openapi/differences.yaml with the reason of each."""
    reasons: dict[str, str] = {}
    for one in entries if is_array(entries) else [entries]:
        if not is_object(one) or [type(one.get(key)) for key in ("reason", "lines")] != [str, str]:
            raise CompareError("it is a list of objects with the texts `reason` and `lines`")
        reasons |= dict.fromkeys(one["lines"].splitlines(), one["reason"])
    return reasons


def report(found: Iterable[Difference], reasons: dict[str, str]) -> Iterator[str]:
    """Yield the lines to show: differences by endpoint, known ones by reason, stale reasons, the count."""
    lines = {str(one) for one in found}
    new = [one for one in found if str(one) not in reasons]
    known = [line for line in reasons if line in lines]
    stale = [line for line in reasons if line not in lines]
    rows = [(f"{one.endpoint}  (contract -> file)", str(one)) for one in new]
    rows += [(f"known: {reasons[line]}", line) for line in known]
    rows += [("stale, to be removed from openapi/differences.yaml:", line) for line in stale]
    for number, (heading, line) in enumerate(rows):
        if not number or heading != rows[number - 1][0]:
            yield heading
        yield f"  {line}"
    yield f"differences: {len(new)}; known: {len(known)}; stale: {len(stale)}"


def main(arguments: Sequence[str] | None = None, openapi: Path = OPENAPI) -> int:
    """Compare; return 0 when both say the same, 1 when they differ, 2 when the file cannot be compared."""
    parser = argparse.ArgumentParser(
        prog="scripts/compare",
        description="Hold an OpenAPI file of the service against the contract, field by field.",
        epilog="What openapi/differences.yaml lists is kept on purpose: it is shown with its reason and not"
        " counted. Exit status: 0 no difference; 1 differences; 2 the file cannot be compared.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="OpenAPI 3.0 or 3.1, JSON or YAML")
    parser.add_argument("--json", action="store_true", help="print the differences as JSON")
    given = parser.parse_args(arguments)
    where = openapi / "differences.yaml"
    try:
        reasons = _reasons(read(where))
        contract = Document(read(where := openapi / "millis.yaml"))
        list(differences(contract, contract))  # an error of its own is not the file's
        found = list(differences(contract, Document(read(where := given.file))))
    except (CompareError, RecursionError, ValueError) as error:
        # ValueError: the aliases of YAML form a circle.
        why = error if isinstance(error, CompareError) else "holds itself, or is nested too deeply"
        print(f"scripts/compare: {shorten(f'{where}: {why}', 500)}", file=sys.stderr)
        return 2
    if given.json:
        rows = [{**one._asdict(), "known": reasons.get(str(one))} for one in found]
        stale = sorted(reasons.keys() - {str(one) for one in found})
        print(json.dumps({"differences": rows, "stale": stale}, indent=1))
    else:
        print("\n".join(map(escape_control_characters, report(found, reasons))))
    return int(any(str(one) not in reasons for one in found))


if __name__ == "__main__":
    sys.exit(main())
