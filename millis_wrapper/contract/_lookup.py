"""Find fields of the contract by path, by a similar path, or by a word in their description."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from millis_wrapper._paths import closest_matches, is_other_spelling, letters

from ._values import Field, FieldMatch

# The components in search order, and the paths in them that a search skips, because an earlier component has
# the same fields at shorter paths.
ROOTS = {
    "AgentConfig": (),
    "ChatCompletionRequest": ("agent.agent_config.",),
    "DuplicateAgentResponse": ("config.",),
    "ChatCompletionChunk": (),
}
OVERRIDE = "AgentConfigOverride"
MOST_SUGGESTIONS = 3
_LONGEST_PATH = 200  # characters; a longer path resembles no field, and comparing it is slow


class FieldIndex:
    """The fields of a contract by path and by key, built once for all searches.

    Args:
        fields: The fields of each component in `ROOTS`, and of `OVERRIDE`.
    """

    def __init__(self, fields: Mapping[str, Sequence[Field]]) -> None:
        self.roots = {
            name: [field for field in fields[name] if not field.path.startswith(skipped)]
            for name, skipped in ROOTS.items()
            if name in fields
        }
        self._by_path: dict[str, dict[str, list[Field]]] = {name: {} for name in fields}
        for name, each in fields.items():
            for field in each:
                self._by_path[name].setdefault(plain(field.path), []).append(field)
        self._paths = {plain(field.path): field.path for root in self.roots.values() for field in root}
        self._by_key: dict[str, list[str]] = {}
        self._keys_of: dict[str, list[str]] = {}
        for path in self._paths:
            above, _, key = path.rpartition(".")
            self._by_key.setdefault(key, []).append(path)
            self._keys_of.setdefault(above, []).append(key)
        self._nearest = lru_cache(1000)(self._find_nearest)

    def find(self, path: str) -> FieldMatch:
        """Return the field at `path`, or the most similar paths; see `contract.find_field`."""
        asked = plain(path)
        for component in ROOTS:
            if found := self._at(component, asked):
                override = self._at(OVERRIDE, asked) if component == "AgentConfig" else ()
                return FieldMatch(found, next((one for one in override if _differs(one, found[0])), None), ())
        return FieldMatch((), None, self._nearest(asked))

    def search(self, word: str) -> tuple[Field, ...]:
        """Return the fields whose path or description contains `word`; see `contract.search_fields`."""
        word = word.casefold().strip()
        return tuple(
            field
            for root in self.roots.values()
            for field in root
            if word and (word in field.path.casefold() or word in field.description.casefold())
        )

    def _at(self, component: str, asked: str) -> tuple[Field, ...]:
        return tuple(self._by_path.get(component, {}).get(asked, ()))

    def _find_nearest(self, asked: str) -> tuple[str, ...]:
        """Return the most similar paths, best first.

        Another spelling of a key of the same object comes first, then the same key in other objects. Without
        either, these are the places of the most similar key, or else the object above the unknown key.
        """
        if len(asked) > _LONGEST_PATH:
            return ()
        above, dot, key = asked.rpartition(".")
        near = closest_matches(key, self._by_key)
        own = closest_matches(key, self._keys_of.get(above, ())) if dot else near[:1]
        found = [f"{above}{dot}{one}" for one in own if is_other_spelling(key, one)]
        found = [path for path in found if path in self._paths]
        found += [path for one in near if letters(one) == letters(key) for path in self._places(one, asked)]
        for one in near:
            found = found or self._places(one, asked)
        if not found and above in self._paths:
            found = [above]
        return tuple(self._paths[path] for path in dict.fromkeys(found))[:MOST_SUGGESTIONS]

    def _places(self, key: str, asked: str) -> list[str]:
        """Return the paths that end with `key` and are not above `asked`, the most similar first."""
        from difflib import SequenceMatcher  # slow to import, and rarely needed

        places = [path for path in self._by_key[key] if not asked.startswith(f"{path}.")]
        return sorted(places, key=lambda path: SequenceMatcher(None, path, asked).ratio(), reverse=True)


def plain(path: str) -> str:
    """Return `path` without indexes: `tools[0].params` names the same field as `tools[].params`."""
    return re.sub(r"\[\d*\]", "", path.strip())


def last_key(path: str) -> str:
    """Return the last key of a path."""
    return path.rpartition(".")[2]


def _differs(one: Field, other: Field) -> bool:
    return (one.nullable, one.required) != (other.nullable, other.required)
