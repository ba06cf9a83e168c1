"""A config held against the contract and against the rules for single values; what was found, in order."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Literal, TypeAlias

import attrs

from millis_wrapper._json import is_array, is_object
from millis_wrapper._paths import format_path, join_path
from millis_wrapper._text import shorten
from millis_wrapper.contract import UnknownKey, mask_secrets, unknown_keys
from millis_wrapper.contract._validation import Path, Violation, violations
from millis_wrapper.request import is_duplicate_response

from ._data import kind_of, plain
from ._finding import Finding, Level
from ._fixes import advice_to_unset, candidates, config_fields, form_of, written
from ._rules import between_fields, foreign_placeholder, rules_by_path, shown, unfilled

Kind: TypeAlias = Literal["agent", "override"]

_COMPONENTS = {"agent": "AgentConfig", "override": "AgentConfigOverride"}
_LEVELS: tuple[Level, ...] = ("error", "warning", "hint")
_PLACEHOLDER = re.compile(r"<(string|number|boolean|integer|any)>")
_ARTICLES = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


def findings(config: object, kind: Kind, names: Collection[object] | None) -> list[Finding]:
    """Return all that there is to say of `config`: errors first, then warnings, then hints, each by path.

    `names` are the metadata's keys, or None when the metadata is not known.
    """
    data, odd = plain(config)
    found = list(odd)
    if not is_object(data):
        return found or [Finding("", "error", f"a config is an object, not {kind_of(data)}")]
    if is_duplicate_response(data):
        return [
            Finding("", "error", "this is the answer of duplicate, which holds a config", "pass its `config`")
        ]
    found += [*_against_contract(data, kind), *_against_rules(data, names)]
    return sorted(_without_echoes(found), key=_order)


def _against_contract(data: dict[str, Any], kind: Kind) -> Iterator[Finding]:
    component = _COMPONENTS[kind]
    masked = mask_secrets(data, component)
    unknown = {key.path: key for key in _with_one_match_each(unknown_keys(data, component))}
    for violation in violations(data, component):
        path = format_path(violation.path)
        if violation.kind == "extra" and path in unknown:
            yield _unknown("error", "is a key that the service refuses", unknown.pop(path), data)
        elif violation.kind == "missing":
            yield Finding(path, "error", "is required", _misspelt(violation, data, unknown) or "add it")
        elif violation.kind == "type":
            if kind == "override" or not _is_unset(violation):
                yield _wrong_type(path, violation, masked)
        elif _at(masked, violation.path) == violation.value:
            yield Finding(path, "error", shorten(violation.words, 200))
        else:  # jsonschema's words may quote the secret
            yield Finding(path, "error", "does not match the contract")
    for key in unknown.values():
        yield _unknown("warning", "is a key that the contract does not know", key, data)


def _with_one_match_each(keys: Iterable[UnknownKey]) -> Iterator[UnknownKey]:
    """Match a known name with the first key of an object that is like it; renaming two would lose one."""
    taken: set[tuple[Path, str | None]] = set()
    for key in keys:
        match = (key.steps[:-1], key.closest_match)
        yield key._replace(closest_match=None) if match in taken else key
        taken.add(match)


def _unknown(level: Level, words: str, key: UnknownKey, data: dict[str, Any]) -> Finding:
    near = key.closest_match
    fix = _renamed(key, data, level) or (None if near else _moved(key, data))
    if near and not fix:
        words += f", and which looks like {near}"
    return Finding(key.path, level, words, fix or (None if near or level != "error" else "remove it"))


def _moved(key: UnknownKey, data: dict[str, Any]) -> str | None:
    """Return the fix that names the object to which a known key at the top level belongs, if it is clear."""
    known = config_fields()
    places = [
        path for path in known if path.rpartition(".")[2] == key.key and "[]" not in path and "." in path
    ]
    if len(key.steps) > 1 or len(places) != 1:
        return None
    (place,) = places
    holder = place.rpartition(".")[0]
    inside, nothing = data, dict[str, Any]()
    for step in holder.split("."):
        child = inside.get(step)
        inside = child if is_object(child) else nothing
    if key.key in inside:
        return f"remove it; {place} is set already"
    others = [
        field.path.rpartition(".")[2]
        for field in known.values()
        if field.required and field.path.rpartition(".")[0] == holder and field.path != place
    ]
    if inside or not others:
        return f"it belongs to {place}"
    return f"write {holder}: {{{', '.join(f'{chr(34)}{name}{chr(34)}: ...' for name in (*others, key.key))}}}"


def _renamed(key: UnknownKey, data: dict[str, Any], level: Level) -> str | None:
    """Return the fix that gives an unknown key its right name, if that makes no more findings or errors."""
    *above, _ = key.steps
    near = key.closest_match
    if near is None:
        return None
    value: Any = data
    for step in key.steps:
        value = value[step]
    found = list(_found_at((*above, near), value))
    count = len(found)
    if not above:  # one more list of functions, say, may hold names that are there already
        count += len([*between_fields({**data, near: value})]) - len([*between_fields(data)])
    if count > 1 or (level != "error" and any(finding.level == "error" for finding in found)):
        return None
    return f"rename it to {near}, as the service spells it"


def _misspelt(violation: Violation, data: dict[str, Any], unknown: dict[str, UnknownKey]) -> str | None:
    """Take the unknown key that was to be the missing one out of `unknown`: that is one mistake, not two."""
    *above, missing = violation.path
    for key in violation.value:
        path = join_path(format_path(above), key)
        if (
            path in unknown
            and unknown[path].closest_match == missing
            and _renamed(unknown[path], data, "error")
        ):
            del unknown[path]
            return f"rename {path} to {missing}, as the service spells it"
    return None


def _found_at(steps: Path, value: Any) -> Iterator[Finding]:
    """Find what would be said of `value` alone, if it stood at this place."""
    path = format_path(0 if isinstance(step, int) else step for step in steps)
    for step in reversed(steps):
        value = {step: value} if isinstance(step, str) else [value]
    for finding in (*_against_contract(value, "override"), *_against_rules(value, None)):
        if finding.path.startswith(path):
            yield finding


def _wrong_type(path: str, violation: Violation, masked: Any) -> Finding:
    value, wanted = violation.value, violation.wanted
    safe = _at(masked, violation.path)
    is_plain = safe == value and value is not None and not is_object(value) and not is_array(value)
    given = shown(value) if is_plain else kind_of(value)
    message = f"must be {' or '.join(_ARTICLES[kind] for kind in wanted)}, not {given}"
    form = form_of(violation.path)
    if form == "llm" and isinstance(value, str):
        message = "a bare model name is an older form, which the service refuses"
    for candidate, most, note in candidates(form, set(wanted), value):
        found = list(_found_at(violation.path, candidate))
        if len(found) <= most and not any(finding.level == "error" for finding in found):
            return Finding(path, "error", message, written(candidate, note, safe == value))
    return Finding(
        path,
        "error",
        message,
        advice_to_unset(config_fields()[form]) if value is None and form in config_fields() else None,
    )


def _is_unset(violation: Violation) -> bool:
    """Return whether it is a null for what is not set, which the service's own answers may hold."""
    field = config_fields().get(form_of(violation.path))
    return violation.value is None and field is not None and field.default is not None


def _at(data: Any, steps: Path) -> Any:
    """Return the value at `steps` in masked data, which ends early below a secret that is nested deeply."""
    for step in steps:
        key: Any = step
        if not (is_object(data) or is_array(data)):
            break
        data = data[key]
    return data


def _against_rules(data: dict[str, Any], names: Collection[object] | None) -> Iterator[Finding]:
    rules = rules_by_path()
    for path, form, value in _values(data, "", ""):
        if isinstance(value, str) and _PLACEHOLDER.fullmatch(value):
            words = f"{value} is a placeholder of the documentation"
            yield Finding(path, "hint", words, "write the value, or remove it")
            continue
        if isinstance(value, str) and (remark := foreign_placeholder(form, value)):
            yield attrs.evolve(remark, path=path)
        for rule in rules.get(form, ()):
            if remark := rule(value):
                finding = attrs.evolve(remark, path=path)
                # The documentation shows 123 for every number.
                is_shown = value == 123 and finding.level == "warning"
                yield attrs.evolve(finding, level="hint") if is_shown else finding
        if names is not None and form in ("prompt", "first_message") and isinstance(value, str):
            yield from (attrs.evolve(remark, path=path) for remark in unfilled(value, names))
    yield from between_fields(data)


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
