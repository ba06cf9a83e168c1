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
    """A key that would not read as part of a path, or could play tricks on a terminal, is quoted."""
    assert join_path(path, key) == expected


def test_a_path_is_made_of_steps() -> None:
    """Keys are joined by dots, indexes stand in brackets."""
    assert format_path(["tools", 0, "params", 11, "name"]) == "tools[0].params[11].name"
    assert format_path([]) == ""


def test_children_have_paths() -> None:
    """Objects and lists have children, each with its path; other values have none."""
    assert children({"a": 1, 7: 2}, "x") == [("x.a", 1), ('x["7"]', 2)]
    assert children(("a", "b"), "x") == [("x[0]", "a"), ("x[1]", "b")]
    assert children("text", "x") == children(None, "x") == []


@pytest.mark.parametrize(
    ("word", "expected"),
    [("maxDuration", "max_duration"), ("MAX-DURATION", "max_duration"), ("promt", "prompt"), ("zzz", None)],
)
def test_the_nearest_key_is_the_one_of_most_like_letters(word: str, expected: str | None) -> None:
    """Case, hyphens and underscores do not count, and what is like nothing gives nothing."""
    assert closest_match(word, ["prompt", "max_duration", "max_idle"]) == expected
