"""Word wrap of replies that arrive in chunks."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from millis_wrapper.cli._wrap import WordWrap

TEXT = "The quick brown fox jumps over the lazy dog, and then over another one."


def on_screen(output: str) -> list[str]:
    """Return the lines of a terminal that shows `output`."""
    lines = [""]
    for part in re.findall(r"\x1b\[\d+D\x1b\[K|\n|.", output, re.DOTALL):
        if part == "\n":
            lines.append("")
        elif part[0] == "\x1b":
            left = int(part[2:-4])  # columns to erase, of which a wide character takes two
            while left > 0:
                left -= cell_len(lines[-1][-1])
                lines[-1] = lines[-1][:-1]
        else:
            lines[-1] += part
    return lines


def columns(line: str) -> int:
    """Return the width of a line without its trailing blanks."""
    count = 0
    for character in line.rstrip():
        count += 8 - count % 8 if character == "\t" else cell_len(character)
    return count


def wrapped(chunks: list[str], width: int, column: int = 0) -> str:
    wrap = WordWrap(width, column)
    return "".join(map(wrap.feed, chunks))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_the_lines_do_not_depend_on_the_chunks(size: int) -> None:
    """A word that is split over chunks moves to the next line undivided."""
    chunks = [TEXT[start : start + size] for start in range(0, len(TEXT), size)]
    lines = on_screen(wrapped(chunks, 20))
    assert [line.rstrip() for line in lines] == [
        "The quick brown fox",
        "jumps over the lazy",
        "dog, and then over",
        "another one.",
    ]


def test_complete_words_need_no_cursor_movement() -> None:
    """If every chunk ends at a space, the output is plain text with line breaks."""
    assert "\x1b" not in wrapped(re.findall(r" ?\S+", TEXT), 20)


def test_the_first_line_may_begin_further_right() -> None:
    """The name of the speaker takes up part of the first line."""
    first, *_ = on_screen(wrapped([TEXT], 20, column=7))
    assert first.rstrip() == "The quick"


def test_every_chunk_is_returned_without_delay() -> None:
    """This includes a blank at the end of a chunk."""
    wrap = WordWrap(80)
    assert [wrap.feed(chunk) for chunk in ("Once upon ", "a ti", "me", "\n", "x")] == [
        "Once upon ",
        "a ti",
        "me",
        "\n",
        "x",
    ]


def test_wide_characters_count_twice() -> None:
    """A line of Chinese text holds half as many characters and may break anywhere."""
    lines = on_screen(wrapped(["你好" * 12], 20))
    assert max(map(cell_len, lines)) < 20
    assert "".join(lines) == "你好" * 12


@given(st.lists(st.text("ab \t\n你", max_size=30), max_size=8), st.integers(4, 30), st.integers(0, 3))
def test_only_blanks_at_line_ends_are_lost(chunks: list[str], width: int, column: int) -> None:
    """Every other character is kept in order, and no line is wider than the terminal."""
    lines = on_screen(wrapped(chunks, width, column))
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", "".join(chunks))
    assert all(columns(line) < width for line in lines[1:])
