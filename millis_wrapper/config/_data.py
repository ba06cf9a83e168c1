"""A config as JSON data: a copy that is made of plain dicts, lists and values, and shares nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from millis_wrapper._json import as_mapping, is_object, is_sequence
from millis_wrapper._paths import join_path
from millis_wrapper.errors import ConfigurationError
from millis_wrapper.request import is_duplicate_response

from ._finding import Finding

if TYPE_CHECKING:
    from millis_wrapper._types import Config

# No config comes near these. They end the walk through a dict that holds itself, and through a small YAML
# file whose aliases would unfold into billions of values.
MAX_DEPTH = 100
MAX_VALUES = 100_000
MAX_BITS = 1000  # of an integer, which then still is a finite float


def plain(value: object) -> tuple[Any, list[Finding]]:
    """Return `value`, of dicts, lists and generated models, as JSON data of its own, and what is odd in it.

    What JSON cannot say is null in the copy; the copy of what is too large, or holds itself, is null.
    """
    copier = _Copier()
    try:
        return copier.copy(value, "", 0), copier.odd
    except _TooLargeError as error:
        return None, [Finding("", "error", str(error))]


def plain_config(config: Config, name: str) -> dict[str, Any]:
    """Return a config as JSON data of its own; `name` is for the message of the ConfigurationError.

    Raises:
        ConfigurationError: it is not a config, the whole answer of duplicate, or holds a value that JSON
            cannot say, whose path is named.
    """
    data, odd = plain(config)
    if odd:
        place = f"{name}, {odd[0].path}" if odd[0].path else name
        raise ConfigurationError(f"{place}: {odd[0].message}")
    if not is_object(data):
        raise ConfigurationError(f"{name}: must be a dict, model or dataclass, not {kind_of(data)}")
    if is_duplicate_response(data):
        raise ConfigurationError(f"{name}: is a whole response of duplicate; pass its `config`")
    return data


def kind_of(value: object) -> str:
    """Return what `value` is, in JSON's words: `a list`, `null`."""
    if isinstance(value, float) and not value.is_integer():
        return "a number with a fraction"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    for kind, words in (
        (str, "a string"),
        (int, "a whole number"),
        (float, "a number"),
        (Mapping, "an object"),
        (list, "a list"),
    ):
        if isinstance(value, kind):
            return words
    return f"a {type(value).__name__}"


class _TooLargeError(Exception):
    pass


class _Copier:
    def __init__(self) -> None:
        self.odd: list[Finding] = []
        self._room = MAX_VALUES

    def copy(self, value: object, path: str, depth: int) -> Any:
        self._room -= 1
        if self._room < 0:
            raise _TooLargeError(f"holds more than {MAX_VALUES:,} values; does it hold itself?")
        if depth > MAX_DEPTH:
            raise _TooLargeError(f"is nested more than {MAX_DEPTH} levels deep; does it hold itself?")
        to_dict = getattr(value, "to_dict", None)
        if callable(to_dict) and not isinstance(value, type):
            value = to_dict()
        if (data := as_mapping(value)) is not None:
            return {
                self._key(key, path): self.copy(item, join_path(path, str(key)), depth + 1)
                for key, item in data.items()
            }
        if is_sequence(value):
            return [self.copy(item, f"{path}[{number}]", depth + 1) for number, item in enumerate(value)]
        return self._scalar(value, path)

    def _key(self, key: object, path: str) -> str:
        if isinstance(key, str):
            return self._text(key, join_path(path, key))
        words = f"the key is {kind_of(key)}; in JSON keys are strings"
        self.odd.append(Finding(join_path(path, str(key)), "error", words))
        return str(key)

    def _scalar(self, value: object, path: str) -> str | int | float | None:
        # Subclasses (a StrEnum, a numpy float) become what JSON makes of them.
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, int):
            if value.bit_length() <= MAX_BITS:
                return int(value)
            words = "is too large a number"
        elif isinstance(value, float):
            if math.isfinite(value):
                return float(value)
            words = f"{value} is not a number in JSON"
        else:
            words = f"{kind_of(value)} is no JSON; write text, a number, true, false or null"
        self.odd.append(Finding(path, "error", words))
        return None

    def _text(self, text: str, path: str) -> str:
        try:
            text.encode()
        except UnicodeEncodeError:
            self.odd.append(Finding(path, "error", "holds half a surrogate pair, which is not text"))
        return str.__str__(text)
