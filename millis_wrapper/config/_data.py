"""Copy a config as JSON data: plain dicts, lists and values that share nothing with the original."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from millis_wrapper._json import as_mapping, is_object, is_sequence
from millis_wrapper._paths import children, join_path
from millis_wrapper.errors import ConfigurationError
from millis_wrapper.request import is_duplicate_response

from ._finding import Finding

if TYPE_CHECKING:
    from millis_wrapper._types import Config

# No real config reaches these limits. They stop at a dict that contains itself, and at a small YAML file
# whose aliases expand to billions of values.
MAX_DEPTH = 100
MAX_VALUES = 100_000
MAX_BITS = 1000  # of an integer, so that it can be converted to a finite float


def copy_as_json(value: object) -> tuple[Any, list[Finding]]:
    """Return a copy of `value` as JSON data, and an error for every value that JSON does not support.

    Such a value is null in the copy. If `value` is too large or contains itself, the complete copy is null.
    """
    copier = _Copier()
    try:
        return copier.copy(value, "", 0), copier.errors
    except _TooLargeError as error:
        return None, [Finding("", "error", str(error))]


def copy_config(config: Config, name: str) -> dict[str, Any]:
    """Return a copy of a config as JSON data.

    Args:
        config: The config.
        name: The name of the argument, for error messages.

    Raises:
        ConfigurationError: `config` is not a config, is a complete duplicate response, or contains a value
            that JSON does not support.
    """
    data, errors = copy_as_json(config)
    if errors:
        path = errors[0].path
        place = f"{name}{path}" if path.startswith("[") else f"{name}.{path}" if path else name
        raise ConfigurationError(f"{place}: {errors[0].message}")
    if not is_object(data):
        raise ConfigurationError(f"{name}: must be a dict, model or dataclass, got {describe_type(data)}")
    if is_duplicate_response(data):
        raise ConfigurationError(f'{name}: must be a config, got a duplicate response; pass its "config"')
    return data


def describe_type(value: object) -> str:
    """Return the JSON type of `value` for a message, such as `a list` or `null`."""
    if isinstance(value, float) and not value.is_integer():
        return "a fractional number"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    for kind, description in (
        (str, "a string"),
        (int, "an integer"),
        (float, "a number"),
        (Mapping, "an object"),
        (list, "a list"),
    ):
        if isinstance(value, kind):
            return description
    return f"a {type(value).__name__}"


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every innermost value of JSON data with its path; an empty object or list is one, too."""
    inside = children(value, path)
    if not inside:
        yield path, value
    for place, child in inside:
        yield from leaves(child, place)


class _TooLargeError(Exception):
    pass


class _Copier:
    def __init__(self) -> None:
        self.errors: list[Finding] = []
        self._values_left = MAX_VALUES

    def copy(self, value: object, path: str, depth: int) -> Any:
        self._values_left -= 1
        if self._values_left < 0:
            raise _TooLargeError(f"has more than {MAX_VALUES:,} values; does it contain itself?")
        if depth > MAX_DEPTH:
            raise _TooLargeError(f"is nested more than {MAX_DEPTH} levels deep; does it contain itself?")
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
        message = f"the key must be a string, got {describe_type(key)}"
        self.errors.append(Finding(join_path(path, str(key)), "error", message))
        return str(key)

    def _scalar(self, value: object, path: str) -> str | int | float | None:
        # Subclasses (a StrEnum, a numpy float) are converted to the base type, as json.dumps does.
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, int):
            if value.bit_length() <= MAX_BITS:
                return int(value)
            message = "the number is too large"
        elif isinstance(value, float):
            if math.isfinite(value):
                return float(value)
            message = f"{value} cannot be encoded as JSON; use a finite number or null"
        else:
            message = (
                f"{describe_type(value)} cannot be encoded as JSON; use a string, number, boolean or null"
            )
        self.errors.append(Finding(path, "error", message))
        return None

    def _text(self, text: str, path: str) -> str:
        try:
            text.encode()
        except UnicodeEncodeError:
            message = "contains half a surrogate pair, which is not valid text"
            self.errors.append(Finding(path, "error", message))
        return str.__str__(text)
