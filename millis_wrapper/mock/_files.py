"""Load lists from JSON files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from millis_wrapper._json import is_array
from millis_wrapper.errors import ConfigurationError


def load_list(path: str | Path, example: str) -> list[Any]:
    """Return the list in a JSON file.

    Raises:
        ConfigurationError: The file does not contain a list with at least one item. The message names the
            file and shows `example`.
    """
    try:
        items = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: is not valid JSON: {error}") from error
    if not is_array(items) or not items:
        raise ConfigurationError(f"{path}: must contain a list such as {example}")
    return items
