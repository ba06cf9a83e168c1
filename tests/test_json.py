from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from millis_wrapper._json import (
    MAX_DEPTH,
    NOT_JSON,
    is_array,
    is_object,
    read_json,
    read_json_row,
    write_json,
)


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        '"text"',
        "0",
        "-1.5e3",
        "true",
        "null",
        '{"a":[1,{"b":null}]}',
        ' \t\r\n{"a": 1}\n',
        '"\\ud83d"',
    ],
)
def test_json_is_read(text: str) -> None:
    """`read_json` returns the same value as the standard library, for text and for bytes."""
    assert read_json(text) == json.loads(text)
    assert read_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    ["", " ", "{", '{"a":1', "[1,]", "{} {}", "1 2", "text", "'a'", "{'a': 1}", "\x0c{}", "\u00a0{}", "nul"],
)
def test_text_that_is_not_json_is_returned_as_not_json(text: str) -> None:
    """`read_json` raises no exception, because an exception would hold the text, which may contain a key."""
    assert read_json(text) is NOT_JSON
    assert read_json(text.encode()) is NOT_JSON


def test_null_is_json() -> None:
    """`null` is read as None, which is not NOT_JSON."""
    assert read_json("null") is None


def test_a_byte_order_mark_is_ignored() -> None:
    """RFC 8259, section 8.1, allows a parser to ignore it."""
    assert read_json(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


def test_a_byte_that_is_not_utf8_leaves_the_rest_readable() -> None:
    """A byte that is not UTF-8 becomes U+FFFD, and the rest of the text is read."""
    assert read_json(b'{"detail":"caf\xe9","id":"x"}') == {"detail": "caf\ufffd", "id": "x"}


@pytest.mark.parametrize("digits", ["9" * 4300, "9" * 4301, "-" + "9" * 100_000])
def test_numbers_of_any_length_are_read(digits: str) -> None:
    """A number that the interpreter refuses as an int becomes a float, and the rest is read."""
    value = read_json(f'{{"id":"x","n":{digits},"m":3}}')
    assert (value["id"], value["m"]) == ("x", 3)
    assert value["n"] == (int(digits) if len(digits) <= 4300 else float(digits))


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_nesting_is_limited(opening: str) -> None:
    """Nesting up to the limit is read; deeper nesting is NOT_JSON and raises no RecursionError."""
    step = opening.count("[") + opening.count("{")
    closing = "".join("]" if sign == "[" else "}" for sign in reversed(opening) if sign in "[{")

    def text(depth: int) -> str:
        return opening * (depth // step) + "1" + closing * (depth // step)

    assert read_json(text(MAX_DEPTH)) == json.loads(text(MAX_DEPTH))
    assert read_json(text(MAX_DEPTH + step)) is NOT_JSON
    assert read_json(text(200_000)) is NOT_JSON
    assert read_json("9" * 5000 + text(200_000)) is NOT_JSON


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 400, 5000, 200_000])
def test_deep_values_can_be_kept_as_text(depth: int) -> None:
    """With `deep_as_text`, only the values below the limit become text, and the text is exact."""
    value = read_json(f'{{"a": {nested(depth)}, "]": "{{", "b": [1]}}', deep_as_text=True)
    assert (value["]"], value["b"]) == ("{", [1])
    inner = value["a"]
    for _ in range(MAX_DEPTH - 1):
        inner = inner[0]
    assert inner == nested(depth - MAX_DEPTH + 1)


@pytest.mark.parametrize("end", ["", "]", '"', "\\"])
def test_cut_off_text_is_not_json(end: str) -> None:
    """`deep_as_text` does not complete a text, and takes no longer for one without a closing quote."""
    assert read_json('["' + '\\"' * 100_000 + end, deep_as_text=True) is NOT_JSON
    assert read_json("[" * 100_000 + end, deep_as_text=True) is NOT_JSON


def test_the_nesting_limit_does_not_apply_to_long_lists() -> None:
    """The limit applies to nesting, not to the number of values."""
    text = json.dumps([{"a": [index]} for index in range(5000)])
    assert read_json(text) == json.loads(text)


def test_a_parsed_value_can_be_copied_pickled_and_printed() -> None:
    """A value at the nesting limit can still be copied, pickled, written and printed."""
    value = read_json('{"a":' * (MAX_DEPTH - 1) + "{}" + "}" * (MAX_DEPTH - 1))
    assert copy.deepcopy(value) == value
    assert pickle.loads(pickle.dumps(value)) == value
    assert read_json(write_json(value)) == value
    assert repr(value)


@pytest.mark.parametrize(
    ("text", "values", "rest"),
    [
        ("", [], ""),
        (" \n", [], ""),
        ('{"a":1}', [{"a": 1}], ""),
        ('{"a":1}{"b":2}', [{"a": 1}, {"b": 2}], ""),
        (' {"a":1}\r\n{"b":2}\t[3] ', [{"a": 1}, {"b": 2}, [3]], ""),
        ('{"a":1}[DONE]', [{"a": 1}], "[DONE]"),
        ('{"a":1} [DONE]', [{"a": 1}], "[DONE]"),
        ('{"a":1}{"b":', [{"a": 1}], '{"b":'),
        ('{"a"', [], '{"a"'),
        ("text", [], "text"),
        ('{"a":"1\n2\x00\t3"}', [{"a": "1\n2\x00\t3"}], ""),
        ('{"a":"\\ud83d"}', [{"a": "\ud83d"}], ""),
        (f'{{"n":{"9" * 5000}}}', [{"n": float("inf")}], ""),
        ("[1,]", [], "[1,]"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_values_in_a_row_are_read_up_to_the_first_invalid_one(
    text: str, values: list[Any], rest: str
) -> None:
    """Raw control characters are kept, and the text that cannot be parsed is returned."""
    assert read_json_row(text) == (values, rest)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 200_000])
def test_a_row_has_the_same_nesting_limit(depth: int) -> None:
    """A value that is nested too deeply is returned as text, after the values before it."""
    assert read_json_row("{}" + nested(depth)) == ([{}], nested(depth))
    assert read_json_row("{}" + nested(MAX_DEPTH))[1] == ""


def test_text_is_written_without_escapes() -> None:
    """A message shows letters instead of their escapes."""
    assert write_json({"a": "Grüße"}) == '{"a": "Grüße"}'


@pytest.mark.parametrize(
    ("value", "an_object", "an_array"),
    [({}, True, False), ([], False, True), ("", False, False), (None, False, False)],
)
def test_objects_and_arrays_are_recognized(value: Any, an_object: bool, an_array: bool) -> None:
    """`is_object` and `is_array` recognize dicts and lists."""
    assert (is_object(value), is_array(value)) == (an_object, an_array)
