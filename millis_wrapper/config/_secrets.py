"""Find the secrets of a config, which messages must not show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from millis_wrapper._paths import children
from millis_wrapper.contract import mask_secrets


class MaskedValue(NamedTuple):
    """A value that is masked in output for people."""

    path: str
    value: Any
    masked: Any
    """The value to show instead: `****`, or a URL without its password."""


def secrets_in(config: Any) -> list[MaskedValue]:
    """Return the secrets of a config in the order of the config."""
    return list(_differences(config, mask_secrets(config), ""))


def _differences(value: Any, masked: Any, path: str) -> Iterator[MaskedValue]:
    within, masked_within = children(value, path), children(masked, path)
    if within and len(within) == len(masked_within):
        for (place, child), (_, masked_child) in zip(within, masked_within, strict=True):
            yield from _differences(child, masked_child, place)
    elif value != masked:
        yield MaskedValue(path, value, masked)
