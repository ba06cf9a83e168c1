from __future__ import annotations

import unicodedata

import pytest

from millis_wrapper._text import escape_control_characters, shorten


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("over\rwritten", "over\\x0dwritten"),
        ("nul\x00", "nul\\x00"),
        ("back\x08space, del\x7f", "back\\x08space, del\\x7f"),
        ("reorder\u202egnp.exe", "reorder\\u202egnp.exe"),
        ("isolate\u2066x\u2069", "isolate\\u2066x\\u2069"),
        ("half \ud83d, other half \ude00", "half \\ud83d, other half \\ude00"),
        ("Grüße, 東京, \N{GRINNING FACE}\tand\nlines", "Grüße, 東京, \N{GRINNING FACE}\tand\nlines"),
    ],
)
def test_control_characters_are_escaped(text: str, escaped: str) -> None:
    """Text from the network cannot color, retitle, overwrite or reorder a terminal, and can be encoded."""
    assert escape_control_characters(text) == escaped
    assert escape_control_characters(text).encode()


def test_only_tab_and_newline_are_kept() -> None:
    """Every other control character, surrogate and bidirectional mark of Unicode is escaped."""
    acting = {
        chr(code)
        for code in range(0x11_0000)
        if unicodedata.category(chr(code)) in ("Cc", "Cs")
        or unicodedata.bidirectional(chr(code))
        in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    }
    assert {character for character in acting if escape_control_characters(character) == character} == {
        "\t",
        "\n",
    }


def test_a_shortened_text_is_one_line() -> None:
    """Whitespace of any kind, including line separators, becomes single spaces."""
    assert shorten(" a\n\n b\tc\u2028d\x0be\u3000f\r\n", 80) == "a b c d e f"


@pytest.mark.parametrize(
    ("text", "line"),
    [("12345", "12345"), ("123456", "1234…"), ("1234 ", "1234"), ("\x1b" * 9, "\\x1b…"), ("", "")],
)
def test_a_shortened_text_keeps_to_its_limit(text: str, line: str) -> None:
    """The line is never longer than the limit, and shows that something was cut."""
    assert shorten(text, 5) == line


def test_text_after_much_whitespace_is_kept() -> None:
    """A page that starts with many blank lines does not look empty."""
    assert shorten("\n" * 10_000 + "here", 80) == "here"


def test_a_cut_in_whitespace_is_visible() -> None:
    """Text that continues after a long gap does not look as if it ended before the gap."""
    assert shorten("a" + " " * 10_000 + "b", 80) in ("a b", "a…")
