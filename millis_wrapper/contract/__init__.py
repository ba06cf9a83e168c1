"""The contract as data: what the service takes and gives, field by field.

The functions here ask the copy of openapi/millis.yaml that is installed with the generated package.
A `Contract` made from another version of that document answers the same questions about that one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from . import _lookup
from ._contract import Contract as Contract
from ._contract import Schema as Schema
from ._values import Field as Field
from ._values import FieldMatch as FieldMatch
from ._values import UnknownKey as UnknownKey

if TYPE_CHECKING:
    VERSION: str


@cache
def installed() -> Contract:
    """Return the contract that is installed with the generated package; it is read once."""
    return Contract(load())


@cache
def load() -> Schema:
    """Return the installed contract as the OpenAPI document that it is; it is read once."""
    from millis_api.contract import TEXT  # a large module, and `millis --help` needs none of it

    document: Schema = json.loads(TEXT)
    return document


def component(name: str) -> Schema:
    """Return the schema of a component of the installed contract; see `Contract.component`."""
    return installed().component(name)


def unknown_keys(value: object, component: str) -> Iterator[UnknownKey]:
    """Find the keys in `value` that the installed contract does not name; see `Contract.unknown_keys`."""
    return installed().unknown_keys(value, component)


def fields(component: str) -> Iterator[Field]:
    """List every field of a component of the installed contract; see `Contract.fields`."""
    return installed().fields(component)


def mask_secrets(value: object, component: str = "AgentConfig") -> Any:
    """Return a deep copy of `value` in which secrets are masked as `****`.

    These values are masked:

    - the values in fields that the contract marks with `x-secret` (HTTP headers, credentials of apps), even
      if a field or the object around it has the wrong type;
    - passwords, keys and tokens inside URLs, in every field;
    - the values of unknown keys that are named like a secret, such as `x-api-key`;
    - everything below 90 levels.

    Keys, null, empty strings and all other values are kept, so a path of `value` leads to the same place in
    the copy.

    Args:
        value: the data, or a generated model.
        component: the component of the contract that describes `value`.

    Raises:
        KeyError: the contract has no such component.
    """
    from ._masking import mask_secrets  # of the generated package, which scripts/regenerate cannot rely on

    return mask_secrets(installed(), value, component)


def find_field(path: str) -> FieldMatch:
    """Return the field of the installed contract at `path`, or the paths that are most similar to it.

    Paths of an agent's config are searched first, then those of a chat request, of a duplicate response, and
    of a chunk of the stream. The search ends at the first of the four that has the path.

    Args:
        path: a path such as `flow.response_delay` or `tools[].timeout`; indexes are ignored.
    """
    return _lookup.find_field(installed(), path)


def search_fields(word: str) -> tuple[Field, ...]:
    """Return the fields of the installed contract whose path or description contains `word`.

    Args:
        word: the text to search for; upper and lower case are the same.
    """
    return _lookup.search_fields(installed(), word)


def __getattr__(name: str) -> str:
    """Return `VERSION`, the version of the installed contract (`info.version`)."""
    if name != "VERSION":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from millis_api import CONTRACT_VERSION

    return CONTRACT_VERSION
