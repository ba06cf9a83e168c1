"""Read the components of an OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

from millis_wrapper._json import is_mapping, is_sequence
from millis_wrapper._paths import closest_match, format_path, is_other_spelling
from millis_wrapper._text import short_repr

from ._lookup import OVERRIDE, ROOTS, FieldIndex, last_key, plain
from ._values import Field, UnknownKey

Schema: TypeAlias = Mapping[str, Any]

# Look up at most this many different unknown keys of one value: a hostile config has 100,000 of them.
_MOST_LOOKUPS = 100


class Contract:
    """The components of an OpenAPI document.

    Args:
        document: The OpenAPI document as data.
    """

    def __init__(self, document: Schema) -> None:
        self.document = document
        self._components: Schema = document["components"]["schemas"]

    def component(self, name: str) -> Schema:
        """Return the schema of the component `name`.

        Raises:
            KeyError: The document does not contain the component. The message suggests a similar name.
        """
        if name not in self._components:
            near = closest_match(name, self._components)
            raise KeyError(
                f"the contract has no component {short_repr(name)}"
                + (f"; did you mean {near}?" if near else "")
            )
        schema: Schema = self._components[name]
        return schema

    def unknown_keys(self, value: object, component: str) -> Iterator[UnknownKey]:
        """Yield the keys in `value`, at every level, that `component` does not list.

        Free-form objects, maps, and values whose type differs from the contract do not have unknown keys.
        """
        return self._with_nearest(self._unknown(value, [self.component(component)], ()))

    @cached_property
    def index(self) -> FieldIndex:
        """Return the index of the fields, for searches by path and by word."""
        return FieldIndex(
            {name: tuple(self.fields(name)) for name in (*ROOTS, OVERRIDE) if name in self._components}
        )

    def fields(self, component: str) -> Iterator[Field]:
        """Yield every field of `component` at every level. The fields of an object follow the field itself.

        A path in a union of objects (a message) is repeated for each object that contains it.
        """
        return self._fields(self.component(component), component, None, ())

    def type_of(self, schema: Schema) -> str:
        """Return the type of a schema in the form of `Field.type`, including null: `list of Tool or null`."""
        leaves = list(self.leaves(schema))
        null = " or null" if any("null" in _types(leaf) for _, leaf in leaves) else ""
        return self._types_text(leaves) + null

    def _with_nearest(self, found: Iterable[tuple[tuple[str | int, ...], set[str]]]) -> Iterator[UnknownKey]:
        """Add the most similar fields to unknown keys, which come with the absent known keys beside them."""
        lookups: dict[str, tuple[str, ...]] = {}
        for steps, absent in found:
            key, path = str(steps[-1]), format_path(steps)
            place = plain(path)
            if place not in lookups and len(lookups) < _MOST_LOOKUPS:
                lookups[place] = self.index.find(place).suggestions
            nearest = lookups.get(place, ())
            keys = (last_key(near) for near in nearest)
            match = next((near for near in keys if near in absent and is_other_spelling(key, near)), None)
            yield UnknownKey(path, key, match, nearest, steps)

    def _unknown(
        self, value: object, schemas: Sequence[Schema], above: tuple[str | int, ...]
    ) -> Iterator[tuple[tuple[str | int, ...], set[str]]]:
        leaves = [leaf for schema in schemas for _, leaf in self.leaves(schema)]
        if is_mapping(value):
            objects = [leaf["properties"] for leaf in leaves if "properties" in leaf]
            if not objects or any(_is_free(leaf) for leaf in leaves):
                return
            objects = [properties for properties in objects if _fits(value, properties)] or objects
            absent = {name for properties in objects for name in properties} - value.keys()
            for key, child in value.items():
                steps = (*above, str(key))
                if known := [properties[key] for properties in objects if key in properties]:
                    yield from self._unknown(child, known, steps)
                else:
                    yield steps, absent
        elif is_sequence(value):
            items = [leaf["items"] for leaf in leaves if "items" in leaf]
            if not items:
                return  # The value may be nested without limit, or contain itself.
            for number, item in enumerate(value):
                yield from self._unknown(item, items, (*above, number))

    def _fields(
        self, schema: Schema, component: str | None, holder: Field | None, above: tuple[str | None, ...]
    ) -> Iterator[Field]:
        for name, leaf in self.leaves(schema, component):
            if name is not None and name in above:
                continue  # An object that can contain itself would never end.
            for key, child in leaf.get("properties", {}).items():
                field = self._field(key, child, name or "", key in leaf.get("required", ()), holder)
                yield field
                yield from self._fields(child, None, field, (*above, name))
            if "items" in leaf and holder:
                yield from self._fields(leaf["items"], None, holder._replace(path=f"{holder.path}[]"), above)

    def _field(self, key: str, schema: Schema, component: str, required: bool, holder: Field | None) -> Field:
        leaves = list(self.leaves(schema))
        origin = tuple(schema.get("x-origin", ()))
        if holder:  # A page that omits an object omits its fields, too.
            origin = tuple(one for one in origin if one in holder.origin or not one.endswith("-page"))
            origin = origin or holder.origin
        return Field(
            path=f"{holder.path}.{key}" if holder else key,
            component=component,
            type=self._types_text(leaves),
            nullable=any("null" in _types(leaf) for _, leaf in leaves),
            required=required,
            default=schema.get("x-service-default"),
            unit=schema.get("x-unit"),
            known=tuple(value for _, leaf in leaves for value in leaf.get("enum", ())),
            closed_in_requests=any(leaf.get("x-closed-in-requests") is True for _, leaf in leaves),
            origin=origin,
            description=str(schema.get("description", "")).strip(),
            origin_of=schema.get("x-origin-of", {}),
            examples=tuple(schema.get("examples", ())),
            keys=tuple(dict.fromkeys(self._keys(schema))),
            has_known_default="x-service-default" in schema and not required,
            deprecated=any(one.get("deprecated") is True for one in (schema, *(leaf for _, leaf in leaves))),
            is_secret=any(one.get("x-secret") is True for one in (schema, *(leaf for _, leaf in leaves))),
        )

    def _keys(self, schema: Schema) -> Iterator[str]:
        for _, leaf in self.leaves(schema):
            yield from leaf.get("properties", ())
            if "items" in leaf:
                yield from self._keys(leaf["items"])

    def leaves(self, schema: Schema, name: str | None = None) -> Iterator[tuple[str | None, Schema]]:
        """Yield the component name and the resolved schema of each form in a union."""
        if "$ref" in schema:
            name = _name(schema["$ref"])
            schema = self.component(name)
        alternatives = (*schema.get("anyOf", ()), *schema.get("oneOf", ()))
        for one in alternatives:
            yield from self.leaves(one)
        if not alternatives:
            yield name, schema

    def _types_text(self, leaves: Sequence[tuple[str | None, Schema]]) -> str:
        types = [
            self._type_text(name, leaf, kind)
            for name, leaf in leaves
            for kind in _types(leaf)
            if kind != "null"
        ]
        return " or ".join(dict.fromkeys(types)) or "null"

    def _type_text(self, name: str | None, leaf: Schema, kind: str) -> str:
        if "const" in leaf:
            return json.dumps(leaf["const"])
        if kind == "array":
            items = self._types_text(list(self.leaves(leaf.get("items", {}))))
            return f"list of ({items})" if " or " in items else f"list of {items}"
        if kind != "object":
            return kind
        if "properties" in leaf:
            return name or "object"
        values: Schema | bool = leaf.get("additionalProperties", True)
        if isinstance(values, bool):
            return "free-form object"
        return f"map of {self._types_text(list(self.leaves(values)))}"


def _name(ref: str) -> str:
    return ref.removeprefix("#/components/schemas/")


def _types(leaf: Schema) -> Sequence[str]:
    kind: str | Sequence[str] = leaf.get("type", "any value")
    return (kind,) if isinstance(kind, str) else kind


def _is_free(leaf: Schema) -> bool:
    return "properties" not in leaf and ("object" in _types(leaf) or "any value" in _types(leaf))


def _fits(value: Mapping[Any, Any], properties: Schema) -> bool:
    """Return whether `value` has the constants that distinguish this object in a union (a message)."""
    return all(value.get(key) == schema["const"] for key, schema in properties.items() if "const" in schema)
