"""`--metadata name=value`, as often as wanted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from millis_wrapper.errors import ConfigurationError

from ._options import METADATA

Metadata = Annotated[
    list[str] | None,
    typer.Option(
        *METADATA,
        metavar="NAME=TEXT",
        help="A value for a {NAME} placeholder, as often as needed. NAME=TEXT is always text;"
        " NAME:=JSON is any other value.",
    ),
]


def read_metadata(pairs: Sequence[str] | None) -> dict[str, Any] | None:
    """Return the metadata that the options give, None where there are none.

    Raises ConfigurationError for what is no pair, for broken JSON, and for a name that is given twice.
    """
    if not pairs:
        return None
    metadata: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        is_json = name.endswith(":")
        name = name.removesuffix(":")
        if not equals or not name:
            raise ConfigurationError(f"--metadata: {pair!r} is no NAME=TEXT")
        if name in metadata:
            raise ConfigurationError(f"--metadata: {name!r} is given twice")
        metadata[name] = _json(name, text) if is_json else text
    return metadata


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"--metadata: the value of {name!r} is no JSON: {error}") from None
