from __future__ import annotations

import json
from typing import Any

import pytest
from config_cases import any_json, bounded
from hypothesis import given
from hypothesis import strategies as st

from millis_wrapper.config._json_text import ParseError, parse_json


@bounded
@given(any_json, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_json_is_parsed_as_by_the_standard_library(value: Any, indent: Any, ascii_only: bool) -> None:
    """The result does not depend on indentation and escapes."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert repr(parse_json(text)) == repr(value)


@pytest.mark.parametrize(
    ("text", "pattern", "line"),
    [
        (
            '{"a": 1, "b": 2, "a": 3}',
            'key "a".* line 1',
            1,
        ),
        ('{\n "a": 1,\n "b": 2,\n\n "a": 3\n}', 'key "a".* line 2', 5),
        (
            '[{"a": 1},\n{"x": [{"b": {}\r\n, "b" : []}]}]',
            'key "b".* line 2',
            3,
        ),
        ('{"a": {"a": [{"a": 1}]},\n"a": 2}', 'key "a".* line 1', 2),
        ('{"\\u0061": 1,\n"a": 2}', 'key "a".* line 1', 2),
        ('{"": 1, "": 2}', 'key "".* line 1', 1),
        (
            '{"\\u001b[2J": 1, "\\u001b[2J": 2}',
            r'key "\\u001b\[2J".* line 1',
            1,
        ),
        ('{\n "a": 1,\n "b" 2\n}', "':' .*column 6", 3),
        ('{"a": 1}\n// why', "Extra data .*column 1", 2),
        ("{'a': 1}", "double quotes .*column 2", 1),
        ("", "value .*column 1", 1),
        ("1" * 5000, "digits", None),
        ("[" * 200_000, "nested", None),
    ],
)
def test_an_error_has_its_line(text: str, pattern: str, line: int | None) -> None:
    """Invalid JSON and duplicate keys are reported with their line."""
    with pytest.raises(ParseError, match=pattern) as caught:
        parse_json(text)
    assert caught.value.line == line


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {"a": 1}, "b": {"a": 2}}',
        '[{"a": 1}, {"a": 2}]',
        '{"a": "\\"a\\": 1, {", "b": "\\\\", "c": "]}"}',
        '{"a": ["b", "b"], "b": "a"}',
        '{"a": "\\", \\"a\\": 1"}',
    ],
)
def test_equal_keys_of_different_objects_are_not_duplicates(text: str) -> None:
    """The same key in another object, or the same string as a value, is accepted."""
    assert parse_json(text) == json.loads(text)
