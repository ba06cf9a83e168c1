"""The tables of the reference page: one for each object, with the sources of its fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from millis_wrapper.contract import Contract, Field

from ._document import inner_schemas

# The page has one section for the fields of both.
CONFIGS = ("AgentConfig", "AgentConfigOverride")
FEW = 8  # known values shown beside their field; a longer set has its own list


class Tables:
    """Renders each component once and collects the sets of values that are too long for a table."""

    def __init__(self, contract: Contract, schemas: Mapping[str, Any]) -> None:
        self.contract = contract
        self.schemas = schemas
        # Components that have a table or a section already, so that no table appears twice.
        self.rendered: set[str] = set()
        self.long_sets: dict[str, tuple[Any, ...]] = {}

    def of_schema(self, schema: Mapping[str, Any]) -> Iterator[str]:
        """Yield the tables of every component that the schema of a body names, also in lists and unions."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if "properties" in self.schemas[name]:
                yield from self.of_component(name)
            else:
                yield from self.of_schema(self.schemas[name])
        for one in inner_schemas(schema):
            yield from self.of_schema(one)

    def of_component(self, component: str, *, by_path: bool = False) -> Iterator[str]:
        """Yield one table for each object in `component`, under its path or the name of its class."""
        groups: dict[tuple[str, str], list[Field]] = {}
        for field in self.contract.fields(component):
            if by_path or field.component not in self.rendered:
                groups.setdefault((field.path.rpartition(".")[0], field.component), []).append(field)
        self.rendered.update(field for _, field in groups)
        titles = {key: (key[0] or "Agent config") if by_path else key[1] for key in groups}
        done: set[str] = set()
        for key, fields in groups.items():
            if titles[key] in done:  # the same component at two paths
                continue
            done.add(titles[key])
            if key[0] or not by_path:
                yield f"### `{titles[key]}`" if by_path else f"### {titles[key]}"
                yield self.contract.component(key[1])["description"]
            with_defaults = any(field.has_known_default for field in fields)
            head = ["Field", "Type", *(["Default"] if with_defaults else []), "Meaning"]
            rows = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
            rows += [
                f"| {' | '.join(self._cells(field, titles, with_defaults=with_defaults))} |"
                for field in fields
            ]
            yield "\n".join(rows)
            yield _known_from(fields)

    def _cells(
        self, field: Field, titles: Mapping[tuple[str, str], str], *, with_defaults: bool
    ) -> Iterator[str]:
        kind = self.linked(
            field.type, {name: title for (path, name), title in titles.items() if _is_at(path, field)}
        )
        yield f"`{field.path.rpartition('.')[2]}`"
        yield _presence(kind, field) + self._in_override(kind, field)
        if with_defaults:
            yield _default(field)
        yield ("**Deprecated.** " if field.deprecated else "") + cell(field.description) + self._known(field)

    def _in_override(self, kind: str, field: Field) -> str:
        if field.component != CONFIGS[0] or CONFIGS[1] not in self.schemas:
            return ""
        for other in self.contract.fields(CONFIGS[1]):
            if other.path == field.path and _presence(kind, other) != _presence(kind, field):
                return f"; in an override: {_presence(kind, other)}" + (
                    "" if other.required else ", optional"
                )
        return ""

    def linked(self, text: str, titles: Mapping[str, str] | None = None) -> str:
        def linked(match: re.Match[str]) -> str:
            name = match[0]
            title = (titles or {}).get(name) or ("Agent config" if name in CONFIGS else name)
            return f"[{name}]({anchor(title)})"

        return re.sub(r"\b[A-Z]\w+", linked, text)

    def _known(self, field: Field) -> str:
        if not field.known:
            return ""
        where = "Known in requests" if field.closed_in_requests else "Known"
        if len(field.known) <= FEW:
            return f" {where}: " + ", ".join(f"`{value}`" for value in field.known) + "."
        name = next(name for name, schema in self.schemas.items() if schema.get("enum") == list(field.known))
        self.long_sets[name] = field.known
        return f" {where}: {len(field.known)}, see {link(name)}."


def _presence(kind: str, field: Field) -> str:
    return kind + (" or null" if field.nullable else "") + (", **required**" if field.required else "")


def _default(field: Field) -> str:
    if field.required:
        return ""
    if not field.has_known_default:
        return "not known"
    return "none" if field.default is None else f"`{json.dumps(field.default)}`"


def _known_from(fields: Sequence[Field]) -> str:
    """Return the line below a table: the most common source, then the fields and facts with other sources."""
    counts: dict[tuple[str, ...], list[str]] = {}
    for field in fields:
        counts.setdefault(field.origin, []).append(f"`{field.path.rpartition('.')[2]}`")
    most = max(counts, key=lambda origin: len(counts[origin]))
    sentences = [f"*Source:* {sources_of(most)}."]
    sentences += [
        f"{', '.join(names)}: {sources_of(origin)}." for origin, names in counts.items() if origin != most
    ]
    sentences += [
        f"{aspect.capitalize()} of `{field.path.rpartition('.')[2]}`: {_source(source)}."
        for field in fields
        for aspect, source in field.origin_of.items()
    ]
    return " ".join(sentences)


def sources_of(names: Sequence[str]) -> str:
    return ", ".join(map(plain, names)) or "not recorded"


def _source(source: str) -> str:
    name, _, sure = source.partition(", ")
    return plain(name) + (f" ({sure} confidence)" if sure else "")


def _is_at(path: str, field: Field) -> bool:
    return path in (field.path, f"{field.path}[]")


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def plain(origin: str) -> str:
    return origin.replace("-", " ")


def link(title: str) -> str:
    return f"[{title}]({anchor(title)})"


def anchor(title: str) -> str:
    """Return the link target that Markdown viewers create for a heading."""
    return "#" + re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
