"""Lists in JSON files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from millis_wrapper._json import is_array
from millis_wrapper.errors import ConfigurationError


def load_list(path: str | Path, example: str) -> list[Any]:
    """Return the list in a JSON file, which must not be empty.

    Raises:
        ConfigurationError: there is none; the message names the file and shows `example`.
    """
    try:
        items = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: is not JSON: {error}") from error
    if not is_array(items) or not items:
        raise ConfigurationError(f"{path}: must hold a list such as {example}")
    return items
