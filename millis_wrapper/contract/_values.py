"""What the contract is asked for: fields, and keys that it does not list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class UnknownKey(NamedTuple):
    """A key that the contract does not name, found by `unknown_keys`."""

    path: str
    """Where it is: `flow.interruption.first_message`, `tools[0].params[1].nmae`."""
    key: str
    """The key itself: `nmae`."""
    closest_match: str | None
    """The known key of the same object that is most like it, if any is."""
    steps: tuple[str | int, ...]
    """The way to it, by keys and list indexes: `("tools", 0, "params", 1, "nmae")`."""


class Field(NamedTuple):
    """One field of a component, found by `fields`."""

    path: str
    """Where it is, with `[]` for any item of a list: `tools[].params[].name`."""
    component: str
    """The component whose field it is, and so the generated class: `ToolParam`."""
    type: str
    """Its type in words, without null: `integer or ResponseDelay`, `list of Tool`, `map of integer`."""
    nullable: bool
    required: bool
    """Whether the object that holds it has to hold it."""
    default: Any
    """The value that the service uses when the key is absent. None if there is no default, or if the default
    is not known; `has_known_default` tells the two apart."""
    unit: str | None
    """What a number counts: `milliseconds`, `tokens`."""
    known: tuple[Any, ...]
    """The known values; the service may know others by now, and what is read may hold any."""
    closed_in_requests: bool
    """Whether the service most likely refuses a request with a value that it does not know."""
    origin: tuple[str, ...]
    """Where it is known from: `chat-page`, `duplicate-page`, `published-schema`, `observed`, `vendor-docs`
    or `inferred`."""
    description: str
    """What it does."""
    origin_of: Mapping[str, str]
    """Where one thing about it is known from, when that is another source: `{"unit": "observed, medium"}`."""
    examples: tuple[Any, ...]
    """Values that could be real."""
    keys: tuple[str, ...]
    """The keys of the object, or of the objects in the list, that the field holds."""
    has_known_default: bool
    """Whether it is known what the service does when the key is absent: it uses `default`, or sets nothing.
    False for required keys, which cannot be absent."""
    deprecated: bool
    """Whether another field replaces it."""
    is_secret: bool
    """Whether the field holds a credential, so that its values are masked in output for people."""


class FieldMatch(NamedTuple):
    """What `find_field` found for a path."""

    fields: tuple[Field, ...]
    """The field at the path. Several where the path leads into one of several objects (the messages of a chat
    request); empty where the contract has no such field."""
    in_override: Field | None
    """The same field of `AgentConfigOverride`, if it differs there. `prompt` and `voice` are optional and may
    be null in an override."""
    suggestions: tuple[str, ...]
    """The paths that are most like the one asked for, best first; empty where a field was found."""
