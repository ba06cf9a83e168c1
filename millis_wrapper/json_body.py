"""A request's body as JSON, or the place in it that JSON cannot say."""

from __future__ import annotations

import json
from typing import Any

from ._json import is_object
from ._text import one_line
from .contract._paths import children
from .errors import ConfigurationError

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode

_DEEPEST_NAMED = 20  # steps of the way to a value that cannot be sent


def json_body(body: dict[str, Any]) -> bytes:
    """Return `body` as JSON; raises ConfigurationError naming the place of what JSON does not have."""
    try:
        return _json_bytes(body)
    except (TypeError, ValueError, RecursionError):
        raise ConfigurationError(_unsendable(body)) from None


def _json_bytes(value: Any) -> bytes:
    return _encode(value).encode()


def _is_sendable(value: Any) -> bool:
    try:
        _json_bytes(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _unsendable(value: Any, path: str = "", depth: int = 0) -> str:
    """Name the innermost place in `value` that JSON cannot say."""
    if depth > _DEEPEST_NAMED:
        return f"{path}: is nested too deeply, or holds itself"
    for place, child in children(value, path):
        if not _is_sendable(child):
            return _unsendable(child, place, depth + 1)
    if is_object(value):
        key = next(key for key in value if not _is_sendable({key: None}))
        return f"{path}: has a key that is no text: {one_line(repr(key), 40)}"
    if isinstance(value, str):
        return f"{path}: holds half a surrogate pair, which is no text"
    what = repr(value) if isinstance(value, float) else f"a value of type {type(value).__name__}"
    return f"{path}: {what} cannot be sent as JSON"
