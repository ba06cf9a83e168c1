"""A config as JSON data: a copy that is made of plain dicts, lists and values, and shares nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeGuard

from . import contract
from .errors import ConfigurationError
from .wire_json import is_object

if TYPE_CHECKING:
    from .request import Config

# No config comes near these. They end the walk through a dict that holds itself, and through a small YAML
# file whose aliases would unfold into billions of values.
MAX_DEPTH = 100
MAX_VALUES = 100_000

Report: TypeAlias = Callable[[str, str], None]
"""Told the path of a value that JSON cannot say, and what is wrong with it."""


def plain(value: object, report: Report) -> Any:
    """Return `value`, of dicts, lists and generated models, as JSON data of its own.

    What JSON cannot say goes to `report`, and is null in the copy. Raises ValueError for more than
    `MAX_DEPTH` levels or `MAX_VALUES` values.
    """
    return _Copier(report).copy(value, "", 0)


def plain_config(config: Config, name: str) -> dict[str, Any]:
    """Return a config as JSON data of its own; `name` is for the message of the ConfigurationError.

    Raises ConfigurationError for what is no config, for the whole answer of duplicate, and for a value that
    JSON cannot say, naming its path.
    """

    def refuse(path: str, words: str) -> NoReturn:
        raise ConfigurationError(f"{name}{f', {path}' if path else ''}: {words}")

    try:
        data = plain(config, refuse)
    except ConfigurationError:
        raise
    except ValueError as error:
        refuse("", str(error))
    if not is_object(data):
        refuse("", f"must be a dict or a generated model, not {kind_of(data)}")
    if is_answer(data):
        refuse("", "this is the answer of duplicate; pass the config in it")
    return data


def is_answer(data: Mapping[str, Any]) -> bool:
    """Whether `data` is not a config but the answer of duplicate, which holds one."""
    known = contract.component("AgentConfigOverride")["properties"]
    return "id" in data and is_object(data.get("config")) and not any(key in known for key in data)


def kind_of(value: object) -> str:
    """Return what `value` is, in JSON's words: `a list`, `null`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    for kind, words in (
        (str, "a string"),
        (int, "a whole number"),
        (float, "a number with a fraction"),
        (Mapping, "an object"),
        (list, "a list"),
    ):
        if isinstance(value, kind):
            return words
    return f"a {type(value).__name__}"


class _Copier:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._room = MAX_VALUES

    def copy(self, value: object, path: str, depth: int) -> Any:
        self._room -= 1
        if self._room < 0:
            raise ValueError(f"holds more than {MAX_VALUES:,} values; does it hold itself?")
        if depth > MAX_DEPTH:
            raise ValueError(f"is nested more than {MAX_DEPTH} levels deep; does it hold itself?")
        to_dict = getattr(value, "to_dict", None)
        if callable(to_dict) and not isinstance(value, type):
            value = to_dict()
        if _is_mapping(value):
            return {
                self._key(key, path): self.copy(item, contract.joined(path, str(key)), depth + 1)
                for key, item in value.items()
            }
        if _is_sequence(value):
            return [self.copy(item, f"{path}[{number}]", depth + 1) for number, item in enumerate(value)]
        return self._scalar(value, path)

    def _key(self, key: object, path: str) -> str:
        if not isinstance(key, str):
            self._report(
                contract.joined(path, str(key)), f"the key is {kind_of(key)}; keys are strings in JSON"
            )
        return str(key)

    def _scalar(self, value: object, path: str) -> str | int | float | None:
        # Subclasses (a StrEnum, a numpy float) become what JSON makes of them.
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, str):
            if not _is_text(value):
                self._report(path, "holds half a surrogate pair, which is no text")
            return str.__str__(value)
        if isinstance(value, int) and value.bit_length() <= 1000:
            return int(value)
        if isinstance(value, float) and math.isfinite(value):
            return float(value)
        words = f"{value} is no number in JSON" if isinstance(value, float) else _unsayable(value)
        self._report(path, words)
        return None


def _unsayable(value: object) -> str:
    if isinstance(value, int):
        return "is a number of more than 300 digits"
    return f"{kind_of(value)} cannot be said in JSON"


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _is_sequence(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)
