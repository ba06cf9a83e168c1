from __future__ import annotations

from collections import OrderedDict
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from millis_api.models import Voice

from millis_wrapper.config._data import MAX_BITS, MAX_DEPTH, MAX_VALUES, kind_of, plain
from millis_wrapper.request import is_duplicate_response


class Provider(StrEnum):
    OPENAI = "openai"


class OldProvider(str, Enum):  # noqa: UP042  # the older form is what this is about
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
def test_what_json_makes_of_a_value_is_what_is_copied(value: Any, expected: Any) -> None:
    """Mappings, tuples, models and subclasses of text and numbers become the plain types of JSON."""
    data, odd = plain(value)
    assert odd == []
    assert repr(data) == repr(expected)


def test_a_value_that_is_in_two_places_is_copied_twice() -> None:
    """A copy shares nothing, not even with itself."""
    shared: list[int] = []
    data, _ = plain({"a": shared, "b": shared})
    assert data == {"a": [], "b": []}
    assert data["a"] is not data["b"]
    assert data["a"] is not shared


@pytest.mark.parametrize(
    ("value", "path", "word"),
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
def test_what_json_cannot_say_is_odd(value: Any, path: str, word: str) -> None:
    """Each value that could not be sent is named by its path."""
    [odd] = plain(value)[1]
    assert (odd.path, odd.level) == (path, "error")
    assert word in odd.message


def test_all_that_is_odd_is_told_and_the_rest_is_copied() -> None:
    """One odd value hides no other."""
    data, odd = plain({"a": {1}, "b": 2, "c": [b"", 3]})
    assert data == {"a": None, "b": 2, "c": [None, 3]}
    assert [each.path for each in odd] == ["a", "c[0]"]


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def is_refused_whole(value: Any, words: str) -> None:
    data, [odd] = plain(value)
    assert (data, odd.path, odd.level) == (None, "", "error")
    assert words in odd.message


def test_there_is_an_end_to_depth_and_size() -> None:
    """The limits themselves are fine, one more is not, and nothing of it is copied."""
    assert plain(nested(MAX_DEPTH))[1] == []
    is_refused_whole(nested(MAX_DEPTH + 1), "100 levels")
    assert plain([0] * (MAX_VALUES - 1))[1] == []
    assert plain([(1 << MAX_BITS) - 1, -(1 << MAX_BITS) + 1])[1] == []
    is_refused_whole([0] * MAX_VALUES, "100,000 values")


def test_what_unfolds_without_end_is_stopped() -> None:
    """A few lists that hold each other many times over take no time and no memory."""
    value: list[Any] = [0]
    for _ in range(60):
        value = [value, value]
    is_refused_whole(value, "100,000 values")


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
def test_a_whole_duplicate_response_is_not_a_config(data: dict[str, Any], expected: bool) -> None:
    """It has an id, an object under the key `config`, and no key that a config has."""
    assert is_duplicate_response(data) is expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        ("", "a string"),
        (1, "a whole number"),
        (1.5, "a number with a fraction"),
        (1.0, "a number"),
        ({}, "an object"),
        ([], "a list"),
        (b"", "a bytes"),
    ],
)
def test_a_value_is_named_in_the_words_of_json(value: Any, words: str) -> None:
    """Messages speak of what is in the file, not of Python's types."""
    assert kind_of(value) == words
