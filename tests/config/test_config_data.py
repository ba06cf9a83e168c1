from __future__ import annotations

from collections import OrderedDict
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from millis_api.models import Voice

from millis_wrapper.config._data import MAX_BITS, MAX_DEPTH, MAX_VALUES, kind_of, plain
from millis_wrapper.config._finding import Finding
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
    ("value", "odd"),
    [
        ({"a": [float("nan")]}, Finding("a[0]", "error", "nan is not a number in JSON")),
        ({"a": -float("inf")}, Finding("a", "error", "-inf is not a number in JSON")),
        ({"a": 1 << MAX_BITS}, Finding("a", "error", "is too large a number")),
        ({"a": "\udfff"}, Finding("a", "error", "holds half a surrogate pair, which is not text")),
        ({"\udfff": 1}, Finding('["\\udfff"]', "error", "holds half a surrogate pair, which is not text")),
        ({1: 1}, Finding('["1"]', "error", "the key is a whole number; in JSON keys are strings")),
        ({"a": Voice}, Finding("a", "error", "a type is no JSON; write text, a number, true, false or null")),
        ({1, 2}, Finding("", "error", "a set is no JSON; write text, a number, true, false or null")),
    ],
)
def test_what_json_cannot_say_is_odd(value: Any, odd: Finding) -> None:
    """Each value that could not be sent is named by its path."""
    assert plain(value)[1] == [odd]


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


def test_there_is_an_end_to_depth_and_size() -> None:
    """The limits themselves are fine, one more is not, and nothing of it is copied."""
    assert plain(nested(MAX_DEPTH))[1] == []
    assert plain(nested(MAX_DEPTH + 1)) == (
        None,
        [Finding("", "error", "is nested more than 100 levels deep; does it hold itself?")],
    )
    assert plain([0] * (MAX_VALUES - 1))[1] == []
    assert plain([(1 << MAX_BITS) - 1, -(1 << MAX_BITS) + 1])[1] == []
    assert plain([0] * MAX_VALUES) == (
        None,
        [Finding("", "error", "holds more than 100,000 values; does it hold itself?")],
    )


def test_what_unfolds_without_end_is_stopped() -> None:
    """A few lists that hold each other many times over take no time and no memory."""
    value: list[Any] = [0]
    for _ in range(60):
        value = [value, value]
    assert plain(value)[1] == [Finding("", "error", "holds more than 100,000 values; does it hold itself?")]


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
