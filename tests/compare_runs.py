"""Run `scripts/compare` in this process."""

from __future__ import annotations

import json
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from paths import CORPUS

from scripts import _compare

SMALL = CORPUS / "compare"
"""The folder of a small contract, for tests of the comparison itself."""
PUBLISHED = SMALL / "published-2025-09.json"


def compare(file: Any, *arguments: str, openapi: Path = SMALL) -> tuple[int, str, str]:
    """Compare a file, or the given content of one, with the contract in a folder.

    Returns:
        The exit status, stdout and stderr.
    """
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()) as out:
        if not isinstance(file, Path):
            content = file if isinstance(file, str) else json.dumps(file)
            file = Path(folder) / "file"
            file.write_text(content, "utf-8")
        with redirect_stderr(StringIO()) as error:
            status = _compare.main([str(file), *arguments], openapi)
    return status, out.getvalue(), error.getvalue()


def small() -> dict[str, Any]:
    """Return the small contract."""
    data: dict[str, Any] = _compare.read(SMALL / "millis.yaml")
    return data


def without(*paths: str) -> Any:
    """Return the small contract without some of its paths."""
    other = small()
    for path in paths:
        del other["paths"][path]
    return other
