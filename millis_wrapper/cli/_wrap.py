"""Word wrap for text that arrives in chunks."""

from __future__ import annotations

import re

from rich.cells import cell_len

_PART = re.compile(r"\n|[ \t]+|[^ \t\n]+")
_TAB = 8  # columns


class WordWrap:
    """Add line breaks between words without delaying any chunk.

    Args:
        width: The number of columns of the terminal.
        column: The column at which the text begins, counted from 0.
    """

    def __init__(self, width: int, column: int = 0) -> None:
        # Leave the last column empty, because terminals differ in when they wrap there.
        self._limit = max(width - 1, 1)
        self._column = column
        self._word = ""  # part of the last word that is on the screen
        self._is_full = False  # whether the next word starts a new line

    def feed(self, text: str) -> str:
        """Return `text` with line breaks; it may begin in the middle of a word."""
        return "".join(map(self._place, _PART.findall(text)))

    def _place(self, part: str) -> str:
        if part == "\n":
            return self._break()
        return self._place_blank(part) if part[0] in " \t" else self._place_word(part)

    def _break(self) -> str:
        self._column, self._word, self._is_full = 0, "", False
        return "\n"

    def _place_blank(self, blank: str) -> str:
        self._word = ""
        for character in blank:
            self._column += _TAB - self._column % _TAB if character == "\t" else 1
        if self._column < self._limit:
            return blank
        self._is_full = True
        return ""

    def _place_word(self, part: str) -> str:
        start = self._break() if self._is_full else ""
        cells, word_cells = cell_len(part), cell_len(self._word)
        if self._column + cells <= self._limit:
            self._column += cells
            self._word += part
            return start + part
        word = self._word + part
        if word_cells + cells <= self._limit and self._column > word_cells:
            # Move the beginning of the word from the end of this line to the next one.
            erased = f"\x1b[{word_cells}D\x1b[K" if word_cells else ""
            start = erased + self._break()
            self._column, self._word = word_cells + cells, word
            return start + word
        return start + "".join(map(self._place_character, part))

    def _place_character(self, character: str) -> str:
        """Return one character of a word that is longer than a line, after a line break if needed."""
        cells = cell_len(character)
        start = self._break() if self._column + cells > self._limit else ""
        self._column += cells
        self._word = ""
        return start + character
