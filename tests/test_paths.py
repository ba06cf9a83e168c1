from __future__ import annotations

import pytest

from millis_wrapper._paths import children, closest_match, format_path, join_path


@pytest.mark.parametrize(
    ("path", "key", "expected"),
    [
        ("", "flow", "flow"),
        ("flow", "first-name", "flow.first-name"),
        ("flow", "a.b", 'flow["a.b"]'),
        ("", "\x1b[31m", '["\\u001b[31m"]'),
        ("flow", "1st", 'flow["1st"]'),
        ("flow", "", 'flow[""]'),
    ],
)
def test_a_key_is_joined_to_its_path(path: str, key: str, expected: str) -> None:
    """A key is quoted if it could be mistaken for path syntax or contains terminal control characters."""
    assert join_path(path, key) == expected


def test_a_path_is_formatted_from_its_steps() -> None:
    """Keys are joined by dots, and indexes are in brackets."""
    assert format_path(["tools", 0, "params", 11, "name"]) == "tools[0].params[11].name"
    assert format_path([]) == ""


def test_children_are_returned_with_their_paths() -> None:
    """Objects and lists have children, and other values do not."""
    assert children({"a": 1, 7: 2}, "x") == [("x.a", 1), ('x["7"]', 2)]
    assert children(("a", "b"), "x") == [("x[0]", "a"), ("x[1]", "b")]
    assert children("text", "x") == children(None, "x") == []


@pytest.mark.parametrize(
    ("key", "expected"),
    [("maxDuration", "max_duration"), ("MAX-DURATION", "max_duration"), ("promt", "prompt"), ("zzz", None)],
)
def test_the_closest_match_is_the_most_similar_key(key: str, expected: str | None) -> None:
    """Case, hyphens and underscores are ignored. If no key is similar, the result is None."""
    assert closest_match(key, ["prompt", "max_duration", "max_idle"]) == expected
