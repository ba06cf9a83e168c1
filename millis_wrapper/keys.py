"""Keys of JSON objects, in words: where one is, and which one was probably meant."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable


def joined(path: str, key: str) -> str:
    """Return the path of `key` in the object at `path`: `flow` and `interruption` give `flow.interruption`.

    A key that would not read as part of a path, or could play tricks on a terminal, is quoted as JSON does.
    """
    if not re.fullmatch(r"[^\W\d][\w-]*", key):
        return f"{path}[{json.dumps(key)}]"
    return f"{path}.{key}" if path else key


def nearest(word: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return the one of `known` that is most like `word`, if one is by `likeness` (0 to 1).

    `maxDuration` is altogether like `max_duration`.
    """
    from difflib import get_close_matches  # slow to import, and mostly there is nothing to guess

    spelling = {_letters(name): name for name in sorted(known)}
    near = get_close_matches(_letters(word), spelling, 1, likeness)
    return spelling[near[0]] if near else None


def _letters(word: str) -> str:
    return re.sub(r"[\W_]", "", word).lower()
