"""The `millis` command (extra `cli`).

This file imports nothing beyond the standard library, so that it can always say what is missing.
"""

from __future__ import annotations

import sys

_EXTRA = frozenset({"rich", "typer"})


def main() -> None:
    """Run the command with the process's arguments, and exit with its code."""
    try:
        try:
            from ._app import run
        except ModuleNotFoundError as error:
            if error.name not in _EXTRA:
                raise
            print(
                f"millis: this command needs {error.name}, which is not installed:"
                " in a clone of millis-wrapper, pip install '.[cli]'",
                file=sys.stderr,
            )
            sys.exit(2)
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:  # while modules were still being imported
        sys.exit(130)
