"""Check a config against the contract and against the rules for single values."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Literal, TypeAlias

import attrs

from millis_wrapper._json import is_array, is_object
from millis_wrapper._paths import format_path, join_path
from millis_wrapper._text import join_or, shorten
from millis_wrapper.contract import UnknownKey, mask_secrets, unknown_keys
from millis_wrapper.contract._lookup import MOST_SUGGESTIONS, last_key
from millis_wrapper.contract._validation import Path, Violation, violations
from millis_wrapper.request import is_duplicate_response

from ._data import copy_as_json, describe_type
from ._finding import Finding, Level
from ._fixes import (
    candidates,
    config_fields,
    describe_fix,
    describe_removal,
    field_path,
)
from ._rules import (
    between_fields,
    quoted,
    rules_by_path,
    unfilled_placeholders,
    unsupported_placeholder,
)

Kind: TypeAlias = Literal["agent", "override"]

_COMPONENTS = {"agent": "AgentConfig", "override": "AgentConfigOverride"}
_LEVELS: tuple[Level, ...] = ("error", "warning", "hint")
_MOST_SUGGESTED = 1000  # names in the findings of one config; checking whether each one fits takes time
_PLACEHOLDER = re.compile(r"<(string|number|boolean|integer|any)>")
_ARTICLES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true, false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


def findings(config: object, kind: Kind, names: Collection[object] | None) -> list[Finding]:
    """Return the findings of `config`, sorted by level and then by path.

    Args:
        config: The config.
        kind: Which of the contract's schemas applies.
        names: The keys of the metadata, or None if the metadata is unknown.
    """
    data, errors = copy_as_json(config)
    found = list(errors)
    if not is_object(data):
        return found or [Finding("", "error", f"a config must be an object, got {describe_type(data)}")]
    if is_duplicate_response(data):
        return [Finding("", "error", "this is a duplicate response, not a config", 'pass its "config"')]
    found += [*_check_contract(data, kind), *_check_rules(data, names)]
    return sorted(_without_repeated(found), key=_sort_key)


def _check_contract(data: dict[str, Any], kind: Kind) -> Iterator[Finding]:
    component = _COMPONENTS[kind]
    masked = mask_secrets(data, component)
    unknown = {key.path: key for key in _with_unique_matches(unknown_keys(data, component))}
    for violation in violations(data, component):
        path = format_path(violation.path)
        if violation.kind == "extra" and path in unknown:
            yield _unknown_key("error", "unknown key, which the service refuses", unknown.pop(path), data)
        elif violation.kind == "missing":
            yield Finding(path, "error", "is required", _misspelled(violation, data, unknown) or "add it")
        elif violation.kind == "type":
            if kind == "override" or not _is_unset(violation):
                yield _wrong_type(path, violation, masked)
        elif _masked_at(masked, violation.path) == violation.value:
            yield Finding(path, "error", shorten(violation.message, 200))
        else:  # The message of jsonschema may contain the secret.
            yield Finding(path, "error", "does not match the contract")
    for key in unknown.values():
        yield _unknown_key("warning", "unknown key", key, data)


def _with_unique_matches(keys: Iterable[UnknownKey]) -> Iterator[UnknownKey]:
    """Suggest every known name for one unknown key of an object only; renaming two would lose one."""
    taken: set[tuple[Path, str]] = set()
    for key in keys:
        if key.closest_match is not None:
            match = (key.steps[:-1], key.closest_match)
            if match in taken or len(taken) == _MOST_SUGGESTED:
                yield key._replace(closest_match=None)
                continue
            taken.add(match)
        yield key


def _unknown_key(level: Level, message: str, key: UnknownKey, data: dict[str, Any]) -> Finding:
    near = key.closest_match
    fix = _renamed(key, data, level) or _moved(key, data)
    if near and not fix:
        message += f"; it looks like {quoted(near)}"
    return Finding(key.path, level, message, fix or (None if near or level != "error" else "remove it"))


def _moved(key: UnknownKey, data: dict[str, Any]) -> str | None:
    """Return the fix for a key that belongs to another object, if there is only one such object."""
    places = [
        path
        for path in key.nearest
        if last_key(path) == key.key and path in config_fields() and "[]" not in path
    ]
    # A full list of suggestions may lack other places of the key.
    if len(places) != 1 or len(key.nearest) == MOST_SUGGESTIONS or _is_beside_its_match(key):
        return None
    (place,) = places
    parent = place.rpartition(".")[0]
    target, empty = data, dict[str, Any]()
    for step in parent.split(".") if parent else ():
        child = target.get(step)
        target = child if is_object(child) else empty
    if key.key in target:
        return f"remove it; {place} is already set"
    others = [
        last_key(field.path)
        for field in config_fields().values()
        if field.required and field.path.rpartition(".")[0] == parent and field.path != place
    ]
    if target or not parent or not others:
        return f"move it to {place}"
    keys = ", ".join(f'"{name}": ...' for name in (*others, key.key))
    return f"write {parent}: {{{keys}}}"


def _is_beside_its_match(key: UnknownKey) -> bool:
    """Return whether the object of an unknown key also has the key that is probably meant."""
    parent = field_path(key.steps[:-1])
    return key.closest_match is None and any(path.rpartition(".")[0] == parent for path in key.nearest)


def _renamed(key: UnknownKey, data: dict[str, Any], level: Level) -> str | None:
    """Return the fix that renames an unknown key, unless that would result in more findings or errors."""
    *above, _ = key.steps
    near = key.closest_match
    if near is None:
        return None
    value: Any = data
    for step in key.steps:
        value = value[step]
    found = list(_findings_at((*above, near), value))
    count = len(found)
    if not above:  # A second list of functions, for example, may repeat function names.
        count += len([*between_fields({**data, near: value})]) - len([*between_fields(data)])
    if count > 1 or (level != "error" and any(finding.level == "error" for finding in found)):
        return None
    return f"did you mean {quoted(near)}?"


def _misspelled(violation: Violation, data: dict[str, Any], unknown: dict[str, UnknownKey]) -> str | None:
    """Return the fix if an unknown key is the missing one with a typo, and remove that key from `unknown`."""
    *above, missing = violation.path
    for key in violation.value:
        path = join_path(format_path(above), key)
        if (
            path in unknown
            and unknown[path].closest_match == missing
            and _renamed(unknown[path], data, "error")
        ):
            del unknown[path]
            return f"rename {path} to {quoted(missing)}"
    return None


def _findings_at(steps: Path, value: Any) -> Iterator[Finding]:
    """Yield the findings of `value` alone at the path `steps`."""
    path = format_path(0 if isinstance(step, int) else step for step in steps)
    for step in reversed(steps):
        value = {step: value} if isinstance(step, str) else [value]
    for finding in (*_check_contract(value, "override"), *_check_rules(value, None)):
        if finding.path.startswith(path):
            yield finding


def _wrong_type(path: str, violation: Violation, masked: Any) -> Finding:
    value, wanted = violation.value, violation.wanted
    safe = _masked_at(masked, violation.path)
    is_plain = safe == value and value is not None and not is_object(value) and not is_array(value)
    given = quoted(value) if is_plain else describe_type(value)
    accepted = ", ".join(_ARTICLES[kind] for kind in wanted).split(", ")
    message = f"must be {join_or(accepted)}, got {given}"
    field = field_path(violation.path)
    if field == "llm" and isinstance(value, str):
        message += "; the service no longer accepts a model name alone"
    for candidate, most, note in candidates(field, set(wanted), value):
        found = list(_findings_at(violation.path, candidate))
        if len(found) <= most and not any(finding.level == "error" for finding in found):
            return Finding(path, "error", message, describe_fix(candidate, note, safe == value))
    is_null = value is None and field in config_fields()
    return Finding(path, "error", message, describe_removal(config_fields()[field]) if is_null else None)


def _is_unset(violation: Violation) -> bool:
    """Return whether the value is a null for an unset field, which responses of the service may contain."""
    field = config_fields().get(field_path(violation.path))
    return violation.value is None and field is not None and field.default is not None


def _masked_at(data: Any, steps: Path) -> Any:
    """Return the value at `steps` in masked data, in which a secret replaces everything below it."""
    for step in steps:
        key: Any = step
        if not (is_object(data) or is_array(data)):
            break
        data = data[key]
    return data


def _check_rules(data: dict[str, Any], names: Collection[object] | None) -> Iterator[Finding]:
    rules = rules_by_path()
    for path, field, value in _values(data, "", ""):
        if isinstance(value, str) and _PLACEHOLDER.fullmatch(value):
            message = f"{value} is a placeholder from the documentation"
            yield Finding(path, "hint", message, "write the real value or remove it")
            continue
        if isinstance(value, str) and (finding := unsupported_placeholder(field, value)):
            yield attrs.evolve(finding, path=path)
        for rule in rules.get(field, ()):
            if finding := rule(value):
                # The documentation shows 123 for every number.
                is_example = value == 123 and finding.level == "warning"
                yield attrs.evolve(finding, path=path, level="hint" if is_example else finding.level)
        if names is not None and field in ("prompt", "first_message") and isinstance(value, str):
            yield from (attrs.evolve(finding, path=path) for finding in unfilled_placeholders(value, names))
    yield from between_fields(data)


def _values(value: Any, path: str, field: str) -> Iterator[tuple[str, str, Any]]:
    """Yield every innermost value with its path and the path of its field."""
    if is_object(value):
        for key, item in value.items():
            yield from _values(item, join_path(path, key), join_path(field, key))
    elif is_array(value):
        for number, item in enumerate(value):
            yield from _values(item, f"{path}[{number}]", f"{field}[]")
    else:
        yield path, field, value


def _without_repeated(found: Iterable[Finding]) -> list[Finding]:
    """Keep only the first error for each path that has one."""
    errors: dict[str, Finding] = {}
    for finding in found:
        if finding.level == "error":
            errors.setdefault(finding.path, finding)
    return [finding for finding in found if errors.get(finding.path, finding) is finding]


def _sort_key(finding: Finding) -> tuple[int, list[str | tuple[int, str]]]:
    # Sort list indexes by their number: the longer one is the larger one, so [10] follows [2].
    parts = re.split(r"\[([0-9]+)\]", finding.path)
    steps = [(len(part), part) if number % 2 else part for number, part in enumerate(parts)]
    return _LEVELS.index(finding.level), steps
