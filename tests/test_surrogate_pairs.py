from __future__ import annotations

from itertools import product

import pytest

from millis_wrapper._text import join_surrogate_pairs, split_high_surrogate

HIGH, LOW, PAIR, LOST = "\ud83d", "\ude00", "\N{GRINNING FACE}", "\ufffd"


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("", ""),
        ("Grüße " + PAIR, "Grüße " + PAIR),
        (HIGH + LOW, PAIR),
        ("a" + HIGH + LOW + "b", "a" + PAIR + "b"),
        (HIGH, LOST),
        (LOW, LOST),
        (LOW + HIGH, LOST + LOST),
        (HIGH + HIGH + LOW, LOST + PAIR),
        (HIGH + "a" + LOW, LOST + "a" + LOST),
        ("\ud800\udc00\udbff\udfff", "\U00010000\U0010ffff"),
        ("\ufeff" + HIGH + LOW, "\ufeff" + PAIR),
    ],
)
def test_surrogate_pairs_are_joined(text: str, joined: str) -> None:
    """A lone surrogate becomes U+FFFD, and the characters beside it are kept."""
    assert join_surrogate_pairs(text) == joined


def test_text_split_anywhere_is_complete() -> None:
    """The returned text and the waiting surrogate add up to the original text with its pairs joined."""
    for parts in product(["", "a", "ü", HIGH, LOW, PAIR], repeat=4):
        returned, waiting = "", ""
        for part in parts:
            joined, waiting = split_high_surrogate(waiting + part)
            returned += joined
        returned.encode()  # no lone surrogate was returned
        assert returned + join_surrogate_pairs(waiting) == join_surrogate_pairs("".join(parts)), parts


@pytest.mark.parametrize("code", [0xD800, 0xDBFF])
def test_every_high_surrogate_waits(code: int) -> None:
    """The first and the last high surrogate wait for the low one."""
    assert split_high_surrogate("a" + chr(code)) == ("a", chr(code))


@pytest.mark.parametrize("code", [0xD7FF, 0xDC00, 0xDFFF, 0xE000])
def test_other_characters_do_not_wait(code: int) -> None:
    """Low surrogates and other characters are returned at once."""
    assert split_high_surrogate(chr(code)) == (join_surrogate_pairs(chr(code)), "")
