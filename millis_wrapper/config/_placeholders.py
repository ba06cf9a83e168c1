"""`{name}` placeholders in prompts and messages, and the metadata with their values."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from millis_wrapper._json import is_mapping

# The service fills these in itself in phone calls (documented on its page about variables).
_PREDEFINED = ("FromPhone", "ToPhone")
_PLACEHOLDER = re.compile(r"\{([^\W\d][\w.-]*)\}(?!\})")
_MISSING: Final = object()


def unfilled_names(text: str, names: Collection[object]) -> list[str]:
    """Return the names of the placeholders in `text` without a metadata key in `names`, each once."""
    known = {*names, *_PREDEFINED}
    found = dict.fromkeys(_PLACEHOLDER.findall(text))
    return [name for name in found if not {name, name.partition(".")[0]} & known]


def fill(text: str, metadata: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Fill in the placeholders of `text` from `metadata`, the way the service is assumed to.

    Strings are inserted unchanged, other values as JSON. `{user.city}` refers to the key `city` of the object
    `user`, unless the metadata has the key `user.city`.

    Returns:
        The filled text, and the names without a value, each once. Their placeholders remain in the text.
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
