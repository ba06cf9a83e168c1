"""Handle a stdout that can no longer be written to."""

from __future__ import annotations

import os
import sys


def discard_stdout() -> None:
    """Redirect stdout to the null device, because flushing its buffer at exit would fail again."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
