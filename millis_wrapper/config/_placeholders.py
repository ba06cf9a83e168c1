"""`{name}` placeholders in prompts and messages, and the metadata that fills them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from millis_wrapper._json import is_mapping

# Variables that the service itself fills in, in telephone calls (the vendor's page about variables).
_PREDEFINED = ("FromPhone", "ToPhone")
_PLACEHOLDER = re.compile(r"\{([^\W\d][\w.-]*)\}(?!\})")
_MISSING: Final = object()


def unfilled_names(text: str, names: Collection[object]) -> list[str]:
    """Return the names of the placeholders in `text` that no metadata key in `names` fills, each once."""
    known = {*names, *_PREDEFINED}
    found = dict.fromkeys(_PLACEHOLDER.findall(text))
    return [name for name in found if not {name, name.partition(".")[0]} & known]


def fill(text: str, metadata: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Fill in the placeholders of `text` from `metadata`, as the service is assumed to.

    Strings are inserted as they are, other values as JSON. `{user.city}` stands for the key `city` of the
    object `user`, unless the metadata has a key of that very name.

    Returns:
        The text, and the names without a value, each once; their placeholders stay in the text.
    """
    unfilled: dict[str, None] = {}

    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        value = metadata.get(name, _MISSING)
        if value is _MISSING and "." in name:
            value = metadata
            for step in name.split("."):
                value = value.get(step, _MISSING) if is_mapping(value) else _MISSING
        if value is _MISSING:
            if name not in _PREDEFINED:
                unfilled[name] = None
            return match[0]
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    return _PLACEHOLDER.sub(value_of, text), list(unfilled)
