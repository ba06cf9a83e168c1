"""What is in the answer of duplicate."""

from __future__ import annotations

import re
from typing import Any

from millis_wrapper._json import is_object, read_json
from millis_wrapper.contract import Field, fields

from . import promises
from .exchanges import COPY, UNKNOWN_ORIGINAL
from .judging import Question, Said, UnansweredError
from .request_questions import answered
from .shapes import type_name, unset
from .wire import Answer

_ANSWER = "DuplicateAgentResponse"
_CONFIG = "AgentConfig"
_FEW = 8  # keys that are named
_LATELY = 1_750_000_000  # seconds since the epoch: 2025
_UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
_NAMINGS = (
    (r"copy of .*", 'it begins with "copy of"'),
    (r".*\(copy\)", 'it ends with "(copy)"'),
    (r".*\(copy \d+\)", 'it ends with "(copy N)"'),
    (r".*\bcopy", 'it ends with "copy"'),
    (r".*\bcopy\b.*", 'it has the word "copy"'),
)


def _copy(answer: Answer) -> dict[str, Any]:
    value = read_json(answer.body)
    if answer.status != 200 or not is_object(value):
        raise UnansweredError("not asked", f"there was no copy to look at, but a {answer.status}")
    return value


def _field(name: str) -> Field:
    return next(field for field in fields(_ANSWER) if field.path == name)


def _unit(created_at: Any) -> str:
    """Return what `created_at` must count to be a moment of our days; "" if that cannot be told."""
    if isinstance(created_at, int | float):
        for unit, in_a_second in _UNITS.items():
            if _LATELY * in_a_second / 2 < created_at < _LATELY * in_a_second * 2:
                return unit
    return ""


def _example_unit() -> str:
    return " or ".join(_unit(example["created_at"]) for example in promises.copy_examples())


def _contract_on_created_at() -> str:
    field = _field("created_at")
    return f"{field.type}, {field.unit}; its example: {_example_unit()}"


def _judge_created_at(answers: list[Answer]) -> Said:
    field, created_at = _field("created_at"), _copy(answers[0]).get("created_at")
    kind, unit = type_name(created_at), _unit(created_at)
    words = ", ".join(filter(None, [kind, unit]))
    where = f"`components.schemas.{_ANSWER}` at `created_at`"
    if kind != field.type or unit != _example_unit():
        change = f"`type: {kind}`" + (f", `x-unit: {unit}`, and the example" if unit else "")
        return Said(words, False, f"{where}: {change}")
    return Said(words, True, "" if field.unit == unit else f"{where}: can have `x-unit: {unit}`")


def _naming(name: Any) -> str:
    if not isinstance(name, str):
        return f"it is of the type {type_name(name)}"
    for pattern, words in _NAMINGS:
        if re.fullmatch(pattern, name.strip(), re.IGNORECASE | re.DOTALL):
            return words
    return 'it does not have the word "copy"'


def _example_naming() -> str:
    return " or ".join(_naming(example["name"]) for example in promises.copy_examples())


def _judge_name(answers: list[Answer]) -> Said:
    naming = _naming(_copy(answers[0]).get("name"))
    same = naming == _example_naming()
    edit = "" if same else f"`components.schemas.{_ANSWER}` at `name`, and the example: {naming}"
    return Said(naming, same, edit)


def _ways(config: Any) -> dict[str, set[str]]:
    """Return the ways in which keys are unset, each with the keys that are unset so."""
    ways: dict[str, set[str]] = {}
    for path, kinds in unset(config, _CONFIG).items():
        for kind in kinds:
            ways.setdefault(kind, set()).add(path)
    return ways


def _example_ways() -> str:
    kinds = {way for example in promises.copy_examples() for way in _ways(example["config"])}
    return " or ".join(sorted(kinds))


def _contract_on_unset() -> str:
    nullable = sum(field.nullable for field in fields(_CONFIG))
    return f"any may be absent, {nullable} may be null; in its example they are {_example_ways()}"


def _judge_unset(answers: list[Answer]) -> Said:
    ways = _ways(_copy(answers[0]).get("config"))
    if not ways:
        raise UnansweredError("not asked", "no key of this agent is unset")
    words = "; ".join(f"{kind}: {_names(paths)}" for kind, paths in sorted(ways.items()))
    same = " or ".join(sorted(ways)) == _example_ways()
    how = " or ".join(sorted(ways))
    return Said(
        words,
        same,
        "" if same else f"`components.schemas.{_CONFIG}`, and the example: unset keys are {how}",
    )


def _names(paths: set[str]) -> str:
    names = ", ".join(f"`{path}`" for path in sorted(paths)[:_FEW])
    return names + (f" and {len(paths) - _FEW} more" if len(paths) > _FEW else "")


QUESTIONS = (
    answered(
        "What answers a duplicate of an unknown agent?",
        UNKNOWN_ORIGINAL,
        f"`{promises.place('duplicate')}.200`: say that an unknown agent is copied too",
    ),
    answered(
        "What answers a duplicate?", COPY, "none, before it is sure that the key and the agent's id are right"
    ),
    Question(
        "What does `created_at` count?",
        (COPY,),
        _contract_on_created_at,
        _judge_created_at,
    ),
    Question("How is a copy named?", (COPY,), lambda: f"in its example {_example_naming()}", _judge_name),
    Question("Are config keys that are not set absent, or null?", (COPY,), _contract_on_unset, _judge_unset),
)
