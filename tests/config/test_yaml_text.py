from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from config_cases import any_json, bounded
from hypothesis import given

from millis_wrapper.config._json_text import ParseError
from millis_wrapper.config._yaml_text import parse_yaml, write_yaml


@bounded
@given(any_json)
def test_json_is_yaml(value: Any) -> None:
    """A JSON document parsed as YAML has the same data, including escaped surrogate pairs."""
    assert repr(parse_yaml(json.dumps(value))) == repr(value)


@bounded
@given(any_json)
def test_yaml_written_by_pyyaml_is_parsed(value: Any) -> None:
    """A config written by PyYAML is parsed to the same data, except for strings such as `1e5`."""
    assert repr(parse_yaml(yaml.safe_dump(value, allow_unicode=True, sort_keys=False))) == repr(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(text, None) for text in ("null", "Null", "NULL", "~", "")],
        *[(text, True) for text in ("true", "True", "TRUE")],
        *[(text, False) for text in ("false", "False", "FALSE")],
        ("0", 0),
        ("-7", -7),
        ("123", 123),
        ("0.5", 0.5),
        ("-1.5e-3", -0.0015),
        ("1E5", 100000.0),
    ],
)
def test_unquoted_json_values_are_converted(text: str, value: Any) -> None:
    """The spellings of true, false and null in YAML 1.2, and JSON numbers, are not strings."""
    assert repr(parse_yaml(f"a: {text}")) == repr({"a": value})


@pytest.mark.parametrize(
    "text",
    [
        *("no", "No", "NO", "yes", "on", "off", "y", "n", "tRUE", "nuLL"),
        *("+14155550100", "0123", "00", "-01", "0x1f", "0o17", "0b1", "1_000", "12:30", "12:30:45"),
        *(".5", "5.", "+1", "1e", ".inf", ".nan", "-.inf", "2024-01-01", "2024-01-01T00:00:00Z", "="),
    ],
)
def test_values_that_yaml_1_1_would_convert_are_strings(text: str) -> None:
    """The language `no`, a phone number and a time of day are strings."""
    assert parse_yaml(f"[{text}]") == [text]


@pytest.mark.parametrize("text", ["'true'", '"true"', "!!str true", "|-\n  true", ">-\n  true"])
def test_quoted_and_tagged_values_are_strings(text: str) -> None:
    """Quotes, blocks and the tag `!!str` result in a string."""
    assert parse_yaml(f"a: {text}") == {"a": "true"}


def test_keys_are_strings_as_written() -> None:
    """The unquoted keys `no`, `true` and numbers are strings."""
    assert parse_yaml("no: 1\ntrue: 2\n2024: 3\n~: 4\n1.50: 5\n") == {
        "no": 1,
        "true": 2,
        "2024": 3,
        "~": 4,
        "1.50": 5,
    }


def test_an_alias_has_the_value_of_its_anchor() -> None:
    """An anchor can be used several times."""
    assert parse_yaml("a: &x {b: [1]}\nc: *x\nd: [*x, *x]") == {
        "a": {"b": [1]},
        "c": {"b": [1]},
        "d": [{"b": [1]}, {"b": [1]}],
    }


def test_an_empty_document_is_null() -> None:
    """A file with only comments is null."""
    assert parse_yaml("# nothing yet\n") is None


@pytest.mark.parametrize(
    ("text", "pattern", "line"),
    [
        ("a: 1\nb: 2\na: 3", 'key "a".* line 1', 3),
        ("x:\n  - a: 1\n    'a': 2", 'key "a".* line 2', 3),
        ("{1: a, '1': b}", 'key "1".* line 1', 1),
        (
            "a: 1\n  b: 2",
            "column 4; .*quotes",
            2,
        ),
        (
            "a:\n\tb: 1",
            "column 1; .*spaces",
            2,
        ),
        ('a: "b" c', "column 8; .*quotes", 1),
        ("a: @b", "'@' .*column 4; .*quotes", 1),
        ("a: [1\nb: 2", r"',' or ']'", 2),
        ("a: *x", "alias", 1),
        ("a: 1\n---\nb: 2", "another document", 2),
        ("a: 1\nb: \x1b[2J", "control character", 2),
        ("a: &x 1\n<<: {b: 1}", "`<<`", 2),
        ("? [a]\n: 1", "key", 1),
        ("\na: !!python/object:os.system x", "the tag !!python/object:os.system", 2),
        ("a: !!bool yes", "its tag", 1),
        ("a: !!binary aGk=", "the tag !!binary", 1),
        ("a: !!set {b}", "the tag !!set", 1),
        ("a: !!omap [b: 1]", "the tag !!omap", 1),
        ("a: !mine x", "quotes", 1),
        ("a: " + "1" * 5000, "digits", 1),
        ("a: " + "[" * 5000, "nested", None),
    ],
)
def test_an_error_has_its_line(text: str, pattern: str, line: int | None) -> None:
    """Invalid YAML, values that JSON does not support, and duplicate keys are reported with their line."""
    with pytest.raises(ParseError, match=pattern) as caught:
        parse_yaml(text)
    assert caught.value.line == line


@pytest.mark.parametrize(
    "text", ["a: *{}", "a: !{} x", "a: !{}!x y", "a: &{0} 1\nb: &{0} 2", "a: @{}", 'a: "\\{}"', "a: |{}"]
)
def test_an_error_does_not_show_unquoted_secrets(text: str) -> None:
    """A secret that begins with a character such as `!` is not part of the message."""
    with pytest.raises(ParseError) as caught:
        parse_yaml(text.format("k-4711"))
    assert "4711" not in str(caught.value)


def test_a_quoted_merge_key_is_an_ordinary_key() -> None:
    """A quoted `<<` is accepted; an unquoted one is rejected."""
    assert parse_yaml("'<<': 1") == {"<<": 1}


@bounded
@given(any_json)
def test_written_yaml_is_parsed_to_the_same_data(value: Any) -> None:
    """Strings that look like a number, a date or a boolean stay strings in both parsers."""
    written = write_yaml({"value": value})
    assert repr(parse_yaml(written)) == repr({"value": value})
    assert repr(yaml.safe_load(written)) == repr({"value": value})


@pytest.mark.parametrize(
    "text",
    ["1e5", "no", "0123", "2024-01-01", "12:30", "~", "", "<<", "=", "a: b", "a\n b\n", "é\n\n", " x", "#"],
)
def test_strings_that_look_like_other_types_are_quoted(text: str) -> None:
    """They are quoted as values and as keys."""
    assert parse_yaml(write_yaml({text: [text]})) == {text: [text]}


def test_a_multiline_string_is_written_as_a_block() -> None:
    """A prompt can be edited line by line, and the order of keys is kept."""
    written = write_yaml({"prompt": "You are kind.\nBe brief: very.\n", "language": "de"})
    assert written == "prompt: |\n  You are kind.\n  Be brief: very.\nlanguage: de\n"
