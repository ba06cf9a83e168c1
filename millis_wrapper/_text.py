"""Make text from the network safe to print, so that no escape sequence reaches a terminal or a log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

# C0 and C1 controls except tab and newline, lone surrogates (they cannot be encoded), and the characters
# that reorder a line.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def escape_control_characters(text: str) -> str:
    """Return `text` with control characters escaped as in a repr, so that a terminal does not obey them."""
    return _UNSAFE.sub(_escape, text)


def shorten(text: str, limit: int) -> str:
    """Return the start of `text` as one printable line of at most `limit` characters."""
    text = text.strip()
    line = escape_control_characters(" ".join(text[: 4 * limit].split()))
    if len(line) <= limit and len(text) <= 4 * limit:
        return line
    return line[: limit - 1] + "…"


def join_or(words: Iterable[str]) -> str:
    """Return a list of alternatives as text: `a, b or c`."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def short_repr(value: object, limit: int = 40) -> str:
    """Return the start of the repr of `value`, for a message; a string has double quotes."""
    return shorten(json.dumps(value, ensure_ascii=False) if type(value) is str else repr(value), limit)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def holds_surrogate(text: str) -> bool:
    """Return whether `text` contains half of a surrogate pair."""
    return _SURROGATE.search(text) is not None


def join_surrogate_pairs(text: str) -> str:
    """Return `text` with each surrogate pair joined to one character and each lone surrogate as U+FFFD."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def split_high_surrogate(text: str) -> tuple[str, str]:
    """Return `text` with its surrogate pairs joined, and the high surrogate at its end, or "".

    JSON can write a character above U+FFFF as two escapes, and a stream can put them into two events. One
    surrogate alone cannot be printed, encoded or sent back, so it waits for the other one.
    """
    half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
    return join_surrogate_pairs(text.removesuffix(half)), half
