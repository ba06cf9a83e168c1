"""Characters that come in halves: JSON can write one beyond U+FFFF as two escapes, and a stream can put them
into two events.

A half alone cannot be printed, encoded or sent back.
"""

from __future__ import annotations

import re

_HALF = re.compile("[\ud800-\udfff]")


class Mender:
    """Makes the pieces of one text whole: the first half of a character waits for the other."""

    def __init__(self) -> None:
        self.waiting = ""

    def add(self, piece: str) -> str:
        """Return what is whole of the text up to and with `piece`, and was not returned before."""
        if piece.isascii() and not self.waiting:
            return piece
        piece = self.waiting + piece
        self.waiting = ""
        if "\ud800" <= piece[-1] <= "\udbff":
            piece, self.waiting = piece[:-1], piece[-1]
        return mended(piece)


def mended(text: str) -> str:
    """Return `text` with halves that belong together as one character, and U+FFFD for each that is alone."""
    if not _HALF.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
