"""The contract as data: the fields of requests and responses.

These functions read the copy of openapi/millis.yaml that is installed with the generated package. To read
another version, create a `Contract` from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

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
    """Return the installed contract as an OpenAPI document. Later calls return the same object."""
    from millis_api.contract import TEXT  # a large module that `millis --help` does not need

    document: Schema = json.loads(TEXT)
    return document


def component(name: str) -> Schema:
    """Return the schema of a component of the installed contract; see `Contract.component`."""
    return installed().component(name)


def unknown_keys(value: object, component: str) -> Iterator[UnknownKey]:
    """Yield the keys in `value` that the installed contract does not list; see `Contract.unknown_keys`."""
    return installed().unknown_keys(value, component)


def fields(component: str) -> Iterator[Field]:
    """Yield every field of a component of the installed contract; see `Contract.fields`."""
    return installed().fields(component)


def mask_secrets(value: object, component: str = "AgentConfig") -> Any:
    """Return a deep copy of `value` in which secrets are masked as `****`.

    These values are masked:

    - the values in fields that the contract marks with `x-secret` (HTTP headers, credentials of apps), even
      if a field or the object around it has the wrong type;
    - passwords, keys and tokens inside URLs, in every field;
    - the values of unknown keys whose name suggests a secret, such as `x-api-key`;
    - everything below 90 levels.

    Keys, null, empty strings and all other values are unchanged, so each path in `value` also exists in the
    copy.

    Args:
        value: The data, or a generated model.
        component: The component of the contract that describes `value`.

    Raises:
        KeyError: The contract does not contain the component.
    """
    # It imports the generated package, which scripts/regenerate must not need.
    from ._masking import mask_secrets

    return mask_secrets(installed(), value, component)


def find_field(path: str) -> FieldMatch:
    """Return the field of the installed contract at `path`, or the paths that are most similar to it.

    The function searches an agent's config first, then a chat request, a duplicate response and a chunk of
    the stream. It stops at the first of the four that contains the path.

    Args:
        path: A path such as `flow.response_delay` or `tools[].timeout`; indexes are ignored.
    """
    return installed().index.find(path)


def search_fields(word: str) -> tuple[Field, ...]:
    """Return the fields of the installed contract whose path or description contains `word`.

    Args:
        word: The text to search for, in any case.
    """
    return installed().index.search(word)


def __getattr__(name: str) -> str:
    """Return `VERSION`, the version of the installed contract (`info.version`)."""
    if name != "VERSION":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from millis_api import CONTRACT_VERSION

    return CONTRACT_VERSION
