"""The prose check of `scripts/check` finds the wording that its rules name, and accepts plain sentences."""

from __future__ import annotations

import pytest

from scripts._prose import findings, load_rules

pytestmark = pytest.mark.untraced

RULES = load_rules()


@pytest.mark.parametrize(
    ("instead", "bad", "good"), RULES.values(), ids=[bad for _, bad, _ in RULES.values()]
)
def test_each_rule_finds_its_bad_example_and_passes_its_good_one(instead: str, bad: str, good: str) -> None:
    """The finding has the place and the advice of the rule."""
    assert any(
        line.startswith("page.md:3: ") and line.endswith(instead)
        for line in findings("page.md", f"\n\n{bad}\n")
    )
    assert [*findings("page.md", good)] == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("millis_wrapper/x.py", '"""The response\n\n    broke off.\n"""\n'),
        ("millis_wrapper/x.py", "x = 1  # The response\n# broke\n# off.\n"),
        ("millis_wrapper/x.py", 'fail(\n    f"the response from {host} broke "\n    f"off: {text}"\n)\n'),
        ("tests/test_x.py", "def test_a_response_that_broke_off_fails() -> None:\n    pass\n"),
        ("tests/test_x.py", 'def f() -> None:\n    # comment\n    """Break off."""\n'),
        ("tests/corpus/x.json", '[\n  {"name": "the response broke off"}\n]\n'),
        ("scripts/x", "# The response broke off.\n"),
    ],
)
def test_every_kind_of_prose_is_read(path: str, text: str) -> None:
    """Docstrings, comments, messages, test names, case names and scripts are checked."""
    assert [line.split(": ")[1] for line in findings(path, text)] in (["'broke off'"], ["'Break off'"])


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("page.md", 'Write `broke off`, or "broke off".\n```text\nbroke off\n```\n'),
        ("millis_wrapper/x.py", "broke = off = 1\n"),
        ("tests/test_x.py", 'send("It broke off.")\n'),
        ("tests/corpus/x.json", '[\n  {"name": "cut", "stream": "It broke off."}\n]\n'),
    ],
)
def test_code_and_data_are_not_read(path: str, text: str) -> None:
    """Code spans, quotations, code, and the strings of tests may contain any wording."""
    assert [*findings(path, text)] == []
