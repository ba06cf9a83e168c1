"""Paths of values in JSON data, and the known names that are similar to a misspelled one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from ._json import is_mapping, is_sequence

_SUFFIXES = ("ms", "millis", "milliseconds", "s", "sec", "secs", "seconds", "url")


def join_path(path: str, key: str) -> str:
    """Return the path of `key` in the object at `path`: `flow` and `interruption` give `flow.interruption`.

    A key that is not a name is quoted as in JSON: `["x y"]`.
    """
    if not re.fullmatch(r"[^\W\d][\w-]*", key):
        return f"{path}[{json.dumps(key)}]"
    return f"{path}.{key}" if path else key


def children(value: Any, path: str) -> list[tuple[str, Any]]:
    """Return the values in the object or list at `path`, each with its path; [] for another value."""
    if is_mapping(value):
        return [(join_path(path, str(key)), child) for key, child in value.items()]
    return [(f"{path}[{number}]", child) for number, child in enumerate(value)] if is_sequence(value) else []


def format_path(steps: Iterable[str | int]) -> str:
    """Return the path of these keys and indexes, such as `tools[0].name`."""
    path = ""
    for step in steps:
        path = join_path(path, step) if isinstance(step, str) else f"{path}[{step}]"
    return path


def closest_match(word: str, known: Iterable[str]) -> str | None:
    """Return the name in `known` that is most similar to `word`, or None."""
    return next(iter(closest_matches(word, known, 1)), None)


def closest_matches(word: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Return up to `most` names in `known` that are similar to `word`, the most similar first."""
    from difflib import get_close_matches  # slow to import, and rarely needed

    spelling = {letters(name): name for name in sorted(known)}
    return [spelling[near] for near in get_close_matches(letters(word), spelling, most)]


def is_other_spelling(key: str, known: str) -> bool:
    """Return whether `key` is probably another spelling of the key `known`, to which it is similar.

    The ends have to be similar, too: `systemPrompt` may be `prompt`, but `firstMessageMode` is not
    `first_message`. A unit or "url" at the end does not count.
    """
    return letters(known) == letters(key) or bool(closest_matches(_last_word(key), [_last_word(known)]))


def _last_word(key: str) -> str:
    words: list[str] = re.findall(r"[A-Z]*[a-z]+|[A-Z]+", key) or [key]
    while len(words) > 1 and words[-1].lower() in _SUFFIXES:
        words.pop()
    return words[-1].lower()


def letters(word: str) -> str:
    """Return `word` in lowercase without punctuation: `maxDuration` and `max_duration` are the same name."""
    return re.sub(r"[\W_]", "", word).lower()
