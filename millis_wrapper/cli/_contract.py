"""`millis contract`: look up fields of the contract."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer

from millis_wrapper._text import join_or, short_repr

from ._options import Debug
from ._output import CommandError, note, write, write_styled

if TYPE_CHECKING:
    from millis_wrapper.contract import Field, FieldMatch

_TITLES = {
    "AgentConfig": "Config of an agent",
    "ChatCompletionRequest": "Chat request",
    "DuplicateAgentResponse": "Response to duplicate",
    "ChatCompletionChunk": "Chunk of a reply",
}
_PATH_WIDTH = 48


def contract(
    path: Annotated[
        str | None,
        typer.Argument(
            metavar="[PATH]", help="Path of a field, such as tools[].timeout, or a word to search for."
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Look up a field of configs, requests or responses.

    With the path of a field, show its description, type, unit, default, known values and origin. With a word,
    list the fields whose path or description contains it. Without PATH, list all fields.

    The origin names the sources: the vendor's API pages (chat-page, duplicate-page), the schema that the
    service published (published-schema), other pages of the vendor (vendor-docs), public code and data
    (observed), or an assumption (inferred). "medium" and "low" grade the confidence in a source.
    """
    from millis_wrapper.contract import find_field, installed, search_fields

    if path is None:
        for component, fields in installed().index.roots.items():
            write(f"{_TITLES[component]}:\n")
            _list(fields)
            write("\n")
        return
    match = find_field(path)
    if match.fields:
        for field in match.fields:
            _show(field, match.in_override)
        return
    found = search_fields(path)
    if len(found) == 1:
        _show(found[0], find_field(found[0].path).in_override)
    elif found:
        _list(found)
        note(f"{len(found)} fields contain {short_repr(path, 60)}; to show one, run: millis contract PATH")
    else:
        raise CommandError(_unknown(path, match))


def _list(fields: Iterable[Field]) -> None:
    lines = {field.path: f"  {field.path:{_PATH_WIDTH}} {_type_and_unit(field)}\n" for field in fields}
    write("".join(lines.values()))


def _type_and_unit(field: Field) -> str:
    return f"{field.type}, {field.unit}" if field.unit else field.type


def _unknown(path: str, match: FieldMatch) -> str:
    problem = f"unknown field {short_repr(path, 60)}"
    if not match.suggestions:
        return f"{problem}; to list all fields, run: millis contract"
    nearest = join_or(f'"{path}"' for path in match.suggestions)
    return f"{problem}; did you mean {nearest}? (to list all fields, run: millis contract)"


def _show(field: Field, in_override: Field | None) -> None:
    from rich.text import Text

    width = max(40, get_terminal_size().columns)
    facts = list(_facts(field, in_override))
    margin = 4 + max(len(label) for label, _ in facts)
    text = Text()
    text.append(field.path, "bold")
    text.append("\n" + fill(field.description, width) + "\n\n")
    for label, fact in facts:
        text.append(f"  {label:{margin - 2}}", "cyan")
        text.append(
            fill(fact, width - margin, break_on_hyphens=False).replace("\n", "\n" + " " * margin) + "\n"
        )
    write_styled(text)


def _facts(field: Field, in_override: Field | None) -> Iterator[tuple[str, str]]:
    yield "type", field.type + (", or null" if field.nullable else "")
    if field.unit:
        yield "unit", field.unit
    yield "required", _required(field, in_override)
    if not field.required:
        yield "default", _default(field)
    if field.known:
        others = (
            "the service probably refuses others" if field.closed_in_requests else "others are valid, too"
        )
        yield "known values", f"{', '.join(map(str, field.known))} ({others})"
    if field.keys:
        yield "fields", ", ".join(field.keys)
    if field.is_secret:
        yield "secret", "yes; the value is masked in output for people"
    for example in field.examples[:1]:
        if (text := json.dumps(example, ensure_ascii=False)) != field.type:
            yield "example", text
    elsewhere = [f"{aspect}: {source}" for aspect, source in field.origin_of.items()]
    yield "origin", "; ".join([", ".join(field.origin) or "not recorded", *elsewhere])


def _default(field: Field) -> str:
    if not field.has_known_default:
        return "not known"
    if field.default is None:
        return "none; without the key, the setting stays unset"
    return f"{json.dumps(field.default)}, set by the service"


def _required(field: Field, in_override: Field | None) -> str:
    if not field.required:
        return "no"
    if field.component != "AgentConfig":
        return f"yes, in {field.component}"
    null = " and may be null" if in_override is not None and in_override.nullable else ""
    return f"yes, in the config of a saved agent; optional{null} in an override"
