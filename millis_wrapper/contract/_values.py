"""The results of the functions in `contract`: fields and unknown keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class UnknownKey(NamedTuple):
    """An unknown key, returned by `unknown_keys`."""

    path: str
    """Its path: `flow.interruption.first_message`, `tools[0].params[1].nmae`."""
    key: str
    """The key itself: `nmae`."""
    closest_match: str | None
    """The absent key of the same object that is probably meant, or None."""
    nearest: tuple[str, ...]
    """The most similar paths, as `find_field` suggests them; empty after the first 100 unknown keys."""
    steps: tuple[str | int, ...]
    """Its path as keys and list indexes: `("tools", 0, "params", 1, "nmae")`."""


class Field(NamedTuple):
    """One field of a component, returned by `fields`."""

    path: str
    """Its path, with `[]` for any item of a list: `tools[].params[].name`."""
    component: str
    """The component that contains the field, which is also the name of the generated class: `ToolParam`."""
    type: str
    """Its type without null: `integer or ResponseDelay`, `list of Tool`, `map of integer`."""
    nullable: bool
    """Whether null is a valid value."""
    required: bool
    """Whether the object must contain the field."""
    default: Any
    """The value that the service uses if the key is absent. None means that the field has no default or that
    its default is not known; see `has_known_default`."""
    unit: str | None
    """The unit of a number: `milliseconds`, `tokens`."""
    known: tuple[Any, ...]
    """The known values. The service may accept newer values, and a response may contain any value."""
    closed_in_requests: bool
    """Whether the service most likely refuses a request with a value outside `known`."""
    origin: tuple[str, ...]
    """Its sources: `chat-page`, `duplicate-page`, `published-schema`, `observed`, `vendor-docs` or
    `inferred`."""
    description: str
    """The description from the contract."""
    origin_of: Mapping[str, str]
    """Sources of single facts that differ from `origin`: `{"unit": "observed, medium"}`."""
    examples: tuple[Any, ...]
    """Realistic values."""
    keys: tuple[str, ...]
    """The keys of the object, or of the objects in the list, in this field."""
    has_known_default: bool
    """Whether a source documents the effect of an absent key: the service uses `default`, or sets nothing if
    that is None. False for required keys, which cannot be absent."""
    deprecated: bool
    """Whether another field replaces it."""
    is_secret: bool
    """Whether the field holds a credential, so that its values are masked in output for people."""


class FieldMatch(NamedTuple):
    """The result of `find_field`."""

    fields: tuple[Field, ...]
    """The field at the path. If the path leads into a union of objects (the messages of a chat request), one
    field for each object; empty if the contract does not contain the path."""
    in_override: Field | None
    """The same field of `AgentConfigOverride`, if it differs there. `prompt` and `voice` are optional and may
    be null in an override."""
    suggestions: tuple[str, ...]
    """The most similar paths, best first; empty if the path exists."""
