"""JSON as data: what a value is, and lists of things in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeGuard

from millis_wrapper.errors import ConfigurationError


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether `value`, which was read from JSON, is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[object]]:
    """Whether `value`, which was read from JSON, is a list."""
    return isinstance(value, list)


def load_list(path: str | Path, example: str) -> list[object]:
    """Return the list in a JSON file, which has to hold something.

    Raises ConfigurationError, naming the file and showing `example`.
    """
    try:
        items = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: is not JSON: {error}") from error
    if not is_list(items) or not items:
        raise ConfigurationError(f"{path}: must hold a list such as {example}")
    return items
