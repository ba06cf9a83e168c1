from __future__ import annotations

from collections import OrderedDict
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from millis_api.models import Voice

from millis_wrapper.config._data import MAX_BITS, MAX_DEPTH, MAX_VALUES, copy_as_json, describe_type
from millis_wrapper.request import is_duplicate_response


class Provider(StrEnum):
    OPENAI = "openai"


class OldProvider(str, Enum):  # noqa: UP042  # tests the older way to define such an enum
    OPENAI = "openai"


class Delay(IntEnum):
    SHORT = 100


class Share(float):
    def __repr__(self) -> str:
        return "half"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (OrderedDict[str, Any](a=(1, 2)), {"a": [1, 2]}),
        (MappingProxyType[str, Any]({"a": None}), {"a": None}),
        (
            {"voice": Voice(provider="openai", voice_id="alloy")},
            {"voice": {"provider": "openai", "voice_id": "alloy"}},
        ),
        ([Provider.OPENAI, OldProvider.OPENAI, Delay.SHORT, Share(0.5)], ["openai", "openai", 100, 0.5]),
        ({OldProvider.OPENAI: True}, {"openai": True}),
    ],
)
def test_values_are_copied_as_json_types(value: Any, expected: Any) -> None:
    """Mappings, tuples, models and subclasses of str and numbers become plain JSON types."""
    data, errors = copy_as_json(value)
    assert errors == []
    assert repr(data) == repr(expected)


def test_a_value_that_occurs_twice_is_copied_twice() -> None:
    """The parts of a copy share no objects."""
    shared: list[int] = []
    data, _ = copy_as_json({"a": shared, "b": shared})
    assert data == {"a": [], "b": []}
    assert data["a"] is not data["b"]
    assert data["a"] is not shared


@pytest.mark.parametrize(
    ("value", "path", "key_word"),
    [
        ({"a": [float("nan")]}, "a[0]", "nan"),
        ({"a": -float("inf")}, "a", "-inf"),
        ({"a": 1 << MAX_BITS}, "a", "too large"),
        ({"a": "\udfff"}, "a", "surrogate"),
        ({"\udfff": 1}, '["\\udfff"]', "surrogate"),
        ({1: 1}, '["1"]', "key"),
        ({"a": Voice}, "a", "a type"),
        ({1, 2}, "", "a set"),
    ],
)
def test_a_value_that_json_does_not_support_is_an_error(value: Any, path: str, key_word: str) -> None:
    """The error has the path of the value."""
    [error] = copy_as_json(value)[1]
    assert (error.path, error.level) == (path, "error")
    assert key_word in error.message


def test_every_unsupported_value_is_reported() -> None:
    """The other values are copied."""
    data, errors = copy_as_json({"a": {1}, "b": 2, "c": [b"", 3]})
    assert data == {"a": None, "b": 2, "c": [None, 3]}
    assert [error.path for error in errors] == ["a", "c[0]"]


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def assert_too_large(value: Any, key_word: str) -> None:
    data, [error] = copy_as_json(value)
    assert (data, error.path, error.level) == (None, "", "error")
    assert key_word in error.message


def test_depth_and_size_are_limited() -> None:
    """Data at the limits is copied; data beyond them is null with one error."""
    assert copy_as_json(nested(MAX_DEPTH))[1] == []
    assert_too_large(nested(MAX_DEPTH + 1), "100 levels")
    assert copy_as_json([0] * (MAX_VALUES - 1))[1] == []
    assert copy_as_json([(1 << MAX_BITS) - 1, -(1 << MAX_BITS) + 1])[1] == []
    assert_too_large([0] * MAX_VALUES, "100,000 values")


def test_lists_that_multiply_are_stopped_at_the_limit() -> None:
    """Sixty lists that each contain the previous one twice use little time and memory."""
    value: list[Any] = [0]
    for _ in range(60):
        value = [value, value]
    assert_too_large(value, "100,000 values")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"id": "-O", "name": "Copy", "config": {"prompt": ""}, "created_at": 1}, True),
        ({"id": "-O", "config": {}}, True),
        ({"config": {}}, False),
        ({"id": "-O", "config": None}, False),
        ({"id": "-O", "config": {}, "prompt": ""}, False),
        ({}, False),
    ],
)
def test_a_duplicate_response_is_recognized(data: dict[str, Any], expected: bool) -> None:
    """A response has an id, an object under the key `config`, and no key of a config."""
    assert is_duplicate_response(data) is expected


@pytest.mark.parametrize(
    ("value", "description"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        ("", "a string"),
        (1, "an integer"),
        (1.5, "a fractional number"),
        (1.0, "a number"),
        ({}, "an object"),
        ([], "a list"),
        (b"", "a bytes"),
    ],
)
def test_messages_use_the_names_of_json_types(value: Any, description: str) -> None:
    """The names match the file that the user edits, instead of Python types."""
    assert describe_type(value) == description
