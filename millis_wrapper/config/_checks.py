"""A config held against the contract and against the rules for single values; what was found, in order."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from typing import Any, Literal, TypeAlias

import attrs

from millis_wrapper._json import is_array, is_object
from millis_wrapper._text import shorten
from millis_wrapper.contract import UnknownKey, fields, unknown_keys
from millis_wrapper.contract._paths import join_path
from millis_wrapper.contract._validation import Violation, violations

from ._data import is_answer, kind_of, plain
from ._rules import LIKE_SECONDS, Level, rules_by_path, unfilled

Kind: TypeAlias = Literal["agent", "override"]

_COMPONENTS = {"agent": "AgentConfig", "override": "AgentConfigOverride"}
_LEVELS: tuple[Level, ...] = ("error", "warning", "hint")
_JSON_VALUE = re.compile(r"true|false|-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_ARTICLES = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


@attrs.frozen
class Finding:
    """One thing that there is to say of a config.

    `path` is where (`tools[0].timeout`; empty for the config as a whole). `level` is `error` for what the
    service refuses, `warning` for what is most likely a mistake, `hint` for what may be one. `message` says
    what is wrong, `fix` what to do, where that can be told.
    """

    path: str
    level: Level
    message: str
    fix: str | None = None

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        return f"{self.level}: {place}{self.message}" + (f"; {self.fix}" if self.fix else "")


def findings(config: object, kind: Kind, names: Collection[object] | None) -> list[Finding]:
    """Return all that there is to say of `config`: errors first, then warnings, then hints, each by path.

    `names` are the metadata's keys, or None when the metadata is not known.
    """
    data, odd = plain(config)
    found = [Finding(path, "error", words) for path, words in odd]
    if not is_object(data):
        return found or [Finding("", "error", f"a config is an object, not {kind_of(data)}")]
    if is_answer(data):
        return [
            Finding("", "error", "this is the answer of duplicate, which holds a config", "pass its `config`")
        ]
    found += [*_against_contract(data, _COMPONENTS[kind]), *_against_rules(data, names)]
    return sorted(_without_echoes(found), key=_order)


def _against_contract(data: dict[str, Any], component: str) -> Iterator[Finding]:
    unknown = {key.path: key for key in unknown_keys(data, component)}
    for violation in violations(data, component):
        path = _path(violation.path)
        if violation.kind == "extra" and path in unknown:
            near = unknown.pop(path).closest_match
            yield Finding(
                path,
                "error",
                "the service refuses a key that it does not know",
                _spelling(near) or "remove it",
            )
        elif violation.kind == "missing":
            yield Finding(path, "error", "is required", _misspelt(violation, unknown) or "add it")
        elif violation.kind == "type":
            yield Finding(path, "error", *_wrong_type(violation))
        else:
            yield Finding(path, "error", shorten(violation.words, 200))
    for path, key in unknown.items():
        yield Finding(
            path,
            "warning",
            "the contract does not know this key",
            _spelling(key.closest_match),
        )


def _spelling(near: str | None) -> str | None:
    return f"rename it to {near}, as the service spells it" if near else None


def _misspelt(violation: Violation, unknown: dict[str, UnknownKey]) -> str | None:
    """Take the unknown key that was to be the missing one out of `unknown`: that is one mistake, not two."""
    *above, missing = violation.path
    for key in violation.value:
        path = join_path(_path(above), key)
        if path in unknown and unknown[path].closest_match == missing:
            del unknown[path]
            return f"rename {path} to {missing}, as the service spells it"
    return None


def _wrong_type(violation: Violation) -> tuple[str, str | None]:
    value, path = violation.value, _path(violation.path, form=True)
    if path == "llm" and isinstance(value, str):
        model = json.dumps({"model": shorten(value, 60)}, ensure_ascii=False)
        return "a bare model name is an older form, which the service refuses", f"write {model}"
    wanted = " or ".join(_ARTICLES[kind] for kind in violation.wanted)
    return f"must be {wanted}, not {kind_of(value)}", _type_fix(path, set(violation.wanted), value)


def _type_fix(path: str, wanted: set[str], value: Any) -> str | None:
    if isinstance(value, float) and "integer" in wanted:
        seconds = 0 < value < LIKE_SECONDS and _units().get(path) == "milliseconds"
        return f"write {round(value * 1000)}, in milliseconds" if seconds else f"write {round(value) or 1}"
    if isinstance(value, str) and wanted & {"integer", "number", "boolean"}:
        return "write it without the quotes" if _JSON_VALUE.fullmatch(value) else None
    if isinstance(value, int | float) and not isinstance(value, bool) and "string" in wanted:
        return "put it in quotes"
    if value is not None and "array" in wanted:
        return "put it in a list"
    return None


def _against_rules(data: dict[str, Any], names: Collection[object] | None) -> Iterator[Finding]:
    rules = rules_by_path()
    for path, form, value in _values(data, "", ""):
        for rule in rules.get(form, ()):
            if remark := rule(value):
                yield Finding(path, *remark)
        if names is not None and form in ("prompt", "first_message") and isinstance(value, str):
            yield from (Finding(path, *remark) for remark in unfilled(value, names))


def _values(value: Any, path: str, form: str) -> Iterator[tuple[str, str, Any]]:
    """Walk through `value`: each place, by its path and by the path with `[]` for any item of a list."""
    if is_object(value):
        for key, item in value.items():
            yield from _values(item, join_path(path, key), join_path(form, key))
    elif is_array(value):
        for number, item in enumerate(value):
            yield from _values(item, f"{path}[{number}]", f"{form}[]")
    else:
        yield path, form, value


def _without_echoes(found: Iterable[Finding]) -> list[Finding]:
    """Leave out what is said of a place that has an error already."""
    errors: dict[str, Finding] = {}
    for finding in found:
        if finding.level == "error":
            errors.setdefault(finding.path, finding)
    return [finding for finding in found if errors.get(finding.path, finding) is finding]


def _order(finding: Finding) -> tuple[int, list[str | tuple[int, str]]]:
    # Item 10 comes after item 2: of two numbers the longer one is the larger one.
    parts = re.split(r"\[([0-9]+)\]", finding.path)
    steps = [(len(part), part) if number % 2 else part for number, part in enumerate(parts)]
    return _LEVELS.index(finding.level), steps


def _path(place: Iterable[str | int], *, form: bool = False) -> str:
    path = ""
    for step in place:
        path = join_path(path, step) if isinstance(step, str) else f"{path}[{'' if form else step}]"
    return path


@cache
def _units() -> dict[str, str | None]:
    return {field.path: field.unit for field in fields("AgentConfigOverride")}
