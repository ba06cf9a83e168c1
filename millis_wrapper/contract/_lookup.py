"""Find fields of the contract by path or by a word in their description."""

from __future__ import annotations

import re
from collections.abc import Iterator

from millis_wrapper._paths import closest_matches

from ._contract import Contract
from ._values import Field, FieldMatch

# The components in search order, and the paths in them that a search skips, because an earlier component has
# the same fields at shorter paths.
ROOTS = {
    "AgentConfig": (),
    "ChatCompletionRequest": ("agent.agent_config.",),
    "DuplicateAgentResponse": ("config.",),
    "ChatCompletionChunk": (),
}
_MOST_SUGGESTIONS = 3


def find_field(contract: Contract, path: str) -> FieldMatch:
    """Return the field at `path`, or the most similar paths; see `contract.find_field`."""
    asked = _plain(path)
    for component in ROOTS:
        found = _at(contract, component, asked)
        if found:
            override = _at(contract, "AgentConfigOverride", asked) if component == "AgentConfig" else ()
            return FieldMatch(found, next((one for one in override if _differs(one, found[0])), None), ())
    return FieldMatch((), None, tuple(_suggestions(contract, asked)))


def search_fields(contract: Contract, word: str) -> tuple[Field, ...]:
    """Return the fields whose path or description contains `word`; see `contract.search_fields`."""
    word = word.casefold().strip()
    return tuple(
        field
        for field in _own_fields(contract)
        if word and (word in field.path.casefold() or word in field.description.casefold())
    )


def _at(contract: Contract, component: str, asked: str) -> tuple[Field, ...]:
    return tuple(field for field in contract.fields(component) if _plain(field.path) == asked)


def _differs(one: Field, other: Field) -> bool:
    return (one.nullable, one.required) != (other.nullable, other.required)


def _own_fields(contract: Contract) -> Iterator[Field]:
    for component, left_out in ROOTS.items():
        for field in contract.fields(component):
            if not field.path.startswith(left_out):
                yield field


def _suggestions(contract: Contract, asked: str) -> list[str]:
    known = {_plain(field.path): field.path for field in _own_fields(contract)}
    last_key = asked.rpartition(".")[2]
    by_key: dict[str, list[str]] = {}
    for plain in known:
        by_key.setdefault(plain.rpartition(".")[2], []).append(plain)
    same_key = [plain for key in closest_matches(last_key, by_key) for plain in by_key[key]]
    # Compare a path of several keys completely; a single key can be at any level.
    like_path = closest_matches(asked, known) if "." in asked else []
    return [known[plain] for plain in dict.fromkeys([*like_path, *same_key])][:_MOST_SUGGESTIONS]


def _plain(path: str) -> str:
    """Return `path` without indexes: `tools[0].params` names the same field as `tools[].params`."""
    return re.sub(r"\[\d*\]", "", path.strip())
