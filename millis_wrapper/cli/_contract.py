"""`millis contract`: what is known about a field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer

from millis_wrapper.contract._paths import closest_match

from ._options import Debug
from ._output import Failure, write, write_styled

if TYPE_CHECKING:
    from millis_wrapper.contract import Field

# Component -> what its list is called, and what in it is left out, since the config's own list has it.
_LISTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "AgentConfig": ("An agent's config", ()),
    "ChatCompletionRequest": ("The chat request", ("agent.agent_config.",)),
    "DuplicateAgentResponse": ("The answer to duplicate", ("config.",)),
    "ChatCompletionChunk": ("A chunk of the reply's stream", ()),
}
_PATH_WIDTH = 48


def contract(
    path: Annotated[
        str | None, typer.Argument(metavar="[PATH]", help="A field: flow.response_delay, tools[].timeout.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Show what is known about a field.

    Its type, unit, default, known values and origin: of the config of an agent, of the chat request, and of
    the answers. Without PATH, every field by its path.
    """
    if path is None:
        for component, (title, _) in _LISTS.items():
            write(f"{title}:\n")
            for field in _own_fields(component).values():
                unit = f", {field.unit}" if field.unit else ""
                write(f"  {field.path:{_PATH_WIDTH}} {field.type}{unit}\n")
            write("\n")
        return
    found = list(_find(path))
    if not found:
        raise Failure(f"the contract has no field {path!r}{_suggestion(path)} (millis contract lists all)")
    for field, holds in found:
        _show(field, holds)


def _own_fields(component: str) -> dict[str, Field]:
    """Return the fields of a component's list by their path, the first where there are several."""
    from millis_wrapper.contract import fields

    own: dict[str, Field] = {}
    for field in fields(component):
        if not field.path.startswith(_LISTS[component][1]):
            own.setdefault(field.path, field)
    return own


def _find(path: str) -> Iterator[tuple[Field, list[str]]]:
    """Yield the fields that `path` names in the first component that has any, each with its keys."""
    from millis_wrapper.contract import fields

    asked = _plain(path)
    for component in _LISTS:
        listed = list(fields(component))
        found = [field for field in listed if _plain(field.path) == asked]
        for field in found:
            below = re.compile(re.escape(field.path) + r"(?:\[\])*\.(\w+)")
            keys = [match[1] for other in listed if (match := below.fullmatch(other.path))]
            yield field, list(dict.fromkeys(keys))
        if found:
            return


def _plain(path: str) -> str:
    """Return `path` without indexes: `tools[0].params` means what `tools[].params` does."""
    return re.sub(r"\[\d*\]", "", path.strip())


def _suggestion(path: str) -> str:
    """Name the known path that is most like `path`, or that ends in its last key."""
    known = {_plain(path): path for component in _LISTS for path in _own_fields(component)}
    by_key = {plain.rpartition(".")[2]: plain for plain in reversed(known)}
    asked = _plain(path)
    near = closest_match(asked, known) if "." in asked else None
    if near is None and (key := closest_match(asked.rpartition(".")[2], by_key)) is not None:
        near = by_key[key]
    return f"; did you mean {known[near]}?" if near is not None else ""


def _show(field: Field, holds: list[str]) -> None:
    from rich.text import Text

    width = max(40, get_terminal_size().columns)
    facts = list(_facts(field, holds))
    margin = 4 + max(len(label) for label, _ in facts)
    text = Text()
    text.append(field.path, "bold")
    text.append("\n" + fill(field.description, width) + "\n\n")
    for label, words in facts:
        text.append(f"  {label:{margin - 2}}", "cyan")
        text.append(
            fill(words, width - margin, break_on_hyphens=False).replace("\n", "\n" + " " * margin) + "\n"
        )
    write_styled(text)


def _facts(field: Field, holds: list[str]) -> Iterator[tuple[str, str]]:
    yield "type", field.type + (", or null" if field.nullable else "")
    if field.unit:
        yield "unit", field.unit
    yield "required", _required(field)
    yield (
        "default",
        "none known" if field.default is None else f"{json.dumps(field.default)}, set by the service",
    )
    if field.known:
        others = (
            "the service most likely refuses others" if field.closed_in_requests else "others are valid too"
        )
        yield "known values", f"{', '.join(map(str, field.known))} ({others})"
    if holds:
        yield "holds", ", ".join(holds)
    for example in field.examples[:1]:
        if (words := json.dumps(example, ensure_ascii=False)) != field.type:
            yield "example", words
    elsewhere = [f"{aspect}: {source}" for aspect, source in field.origin_of.items()]
    yield "origin", "; ".join([", ".join(field.origin) or "not noted", *elsewhere])


def _required(field: Field) -> str:
    if not field.required:
        return "no"
    if field.component == "AgentConfig":
        return "in the config of a saved agent; not in one that overrides it"
    return f"in each {field.component}"
