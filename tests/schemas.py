"""Helpers for tests of the contract: its text, a validator per component, and paths of JSON values."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import yaml
from jsonschema import Draft202012Validator
from paths import CORPUS as CORPUS
from paths import EXAMPLES as EXAMPLES
from paths import ROOT as ROOT

Step = str | int


@cache
def document() -> Any:
    """Return the contract from openapi/millis.yaml, not from the copy generated from it."""
    return yaml.safe_load((ROOT / "openapi" / "millis.yaml").read_text("utf-8"))


def components() -> dict[str, Any]:
    """Return the schemas of the contract's components, by name."""
    schemas: dict[str, Any] = document()["components"]["schemas"]
    return schemas


def changed_contract(path: str, value: Any) -> Any:
    """Return a copy of the contract with another value at `path`; see `put`."""
    contract = copy.deepcopy(document())
    put(contract, path, value)
    return contract


class Validator(Protocol):
    """The methods of a jsonschema validator that the tests call; its own types are incomplete."""

    def validate(self, instance: Any) -> None: ...

    def is_valid(self, instance: Any) -> bool: ...


@cache
def validator(component: str) -> Validator:
    return validator_of({"$ref": f"#/components/schemas/{component}"})


def validator_of(schema: Mapping[str, Any], within: Mapping[str, Any] | None = None) -> Validator:
    return Draft202012Validator({**schema, "components": (within or document())["components"]})


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def children(value: Any) -> list[tuple[Step, Any]]:
    """Return the direct children of `value`, each with its key or index."""
    if is_object(value):
        return list(value.items())
    return list(enumerate(value)) if is_list(value) else []


def paths(value: Any, above: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """Yield the path of every value inside `value`, at any depth."""
    for step, child in children(value):
        yield (*above, step)
        yield from paths(child, (*above, step))


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object inside `value`, at any depth."""
    if is_object(value):
        yield value
    for _, child in children(value):
        yield from objects(child)


def at(value: Any, path: tuple[Step, ...]) -> Any:
    """Return the value at `path` inside `value`."""
    for step in path:
        value = value[step]
    return value


def put(holder: Any, path: str, value: Any) -> None:
    """Set the value at `path`, whose steps are separated by spaces, inside `holder`."""
    *above, last = path.split()
    at(holder, tuple(above))[last] = value


def keys(value: Any) -> set[str]:
    """Return the paths of all keys inside `value` in the contract's form: `tools[].params[].name`."""
    named = {path for path in paths(value) if isinstance(path[-1], str)}
    return {"".join("[]" if isinstance(step, int) else f".{step}" for step in path)[1:] for path in named}
