from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from config_cases import any_json, bounded
from hypothesis import given

from millis_wrapper.config._json_text import ParseError
from millis_wrapper.config._yaml_text import read_yaml, write_yaml


@bounded
@given(any_json)
def test_json_is_yaml(value: Any) -> None:
    """A JSON text is read as YAML to the same data, escaped letters beyond 16 bits too."""
    assert repr(read_yaml(json.dumps(value))) == repr(value)


@bounded
@given(any_json)
def test_what_pyyaml_writes_is_read_back(value: Any) -> None:
    """A config that a Python program has saved as YAML is what it was (text such as `1e5` apart)."""
    assert repr(read_yaml(yaml.safe_dump(value, allow_unicode=True, sort_keys=False))) == repr(value)


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
def test_a_plain_value_that_is_json_is_no_text(text: str, value: Any) -> None:
    """True, false, null, in the spellings of YAML 1.2, and JSON's numbers are what they look like."""
    assert repr(read_yaml(f"a: {text}")) == repr({"a": value})


@pytest.mark.parametrize(
    "text",
    [
        *("no", "No", "NO", "yes", "on", "off", "y", "n", "tRUE", "nuLL"),
        *("+14155550100", "0123", "00", "-01", "0x1f", "0o17", "0b1", "1_000", "12:30", "12:30:45"),
        *(".5", "5.", "+1", "1e", ".inf", ".nan", "-.inf", "2024-01-01", "2024-01-01T00:00:00Z", "="),
    ],
)
def test_what_older_yaml_guesses_at_is_text(text: str) -> None:
    """A language `no`, a phone number and a time of day are the text that somebody wrote."""
    assert read_yaml(f"[{text}]") == [text]


@pytest.mark.parametrize("text", ["'true'", '"true"', "!!str true", "|-\n  true", ">-\n  true"])
def test_what_is_quoted_or_tagged_as_text_is_text(text: str) -> None:
    """Quotes, blocks and the tag `!!str` make text of anything."""
    assert read_yaml(f"a: {text}") == {"a": "true"}


def test_keys_are_text_as_they_are_written() -> None:
    """A word list may hold `no`, `true` and a number without quotes."""
    assert read_yaml("no: 1\ntrue: 2\n2024: 3\n~: 4\n1.50: 5\n") == {
        "no": 1,
        "true": 2,
        "2024": 3,
        "~": 4,
        "1.50": 5,
    }


def test_an_alias_is_what_it_names() -> None:
    """Anchors may be used to say a thing once."""
    assert read_yaml("a: &x {b: [1]}\nc: *x\nd: [*x, *x]") == {
        "a": {"b": [1]},
        "c": {"b": [1]},
        "d": [{"b": [1]}, {"b": [1]}],
    }


def test_no_document_is_null() -> None:
    """A file of comments holds nothing."""
    assert read_yaml("# nothing yet\n") is None


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("a: 1\nb: 2\na: 3", 'the key "a" .* line 1', 3),
        ("x:\n  - a: 1\n    'a': 2", 'the key "a" .* line 2', 3),
        ("{1: a, '1': b}", 'the key "1" .* line 1', 1),
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
        ("? [a]\n: 1", "a key", 1),
        ("\na: !!python/object:os.system x", "the tag !!python/object:os.system", 2),
        ("a: !!bool yes", "its tag", 1),
        ("a: !!binary aGk=", "the tag !!binary", 1),
        ("a: !!set {b}", "the tag !!set", 1),
        ("a: !!omap [b: 1]", "the tag !!omap", 1),
        ("a: !mine x", "the tag !mine", 1),
        ("a: " + "1" * 5000, "digits", 1),
        ("a: " + "[" * 5000, "nested", None),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, words: str, line: int | None) -> None:
    """What is no YAML, has no form in JSON, or would lose a key, is found and placed."""
    with pytest.raises(ParseError, match=words) as caught:
        read_yaml(text)
    assert caught.value.line == line


def test_a_quoted_merge_key_is_a_key() -> None:
    """Only a plain `<<` ever merged anything."""
    assert read_yaml("'<<': 1") == {"<<": 1}


@bounded
@given(any_json)
def test_written_yaml_is_read_back_exactly(value: Any) -> None:
    """Text that looks like a number, a date or a boolean stays text, for this reader and for PyYAML's."""
    written = write_yaml({"value": value})
    assert repr(read_yaml(written)) == repr({"value": value})
    assert repr(yaml.safe_load(written)) == repr({"value": value})


@pytest.mark.parametrize(
    "text",
    ["1e5", "no", "0123", "2024-01-01", "12:30", "~", "", "<<", "=", "a: b", "a\n b\n", "é\n\n", " x", "#"],
)
def test_text_that_looks_like_something_else_is_quoted(text: str) -> None:
    """As a value and as a key."""
    assert read_yaml(write_yaml({text: [text]})) == {text: [text]}


def test_a_long_text_is_written_as_a_block() -> None:
    """A prompt can be edited line by line, and keys keep their order."""
    written = write_yaml({"prompt": "You are kind.\nBe brief: very.\n", "language": "de"})
    assert written == "prompt: |\n  You are kind.\n  Be brief: very.\nlanguage: de\n"
