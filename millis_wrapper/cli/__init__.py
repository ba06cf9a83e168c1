"""The `millis` command (extra `cli`).

This module imports only the standard library, so that it can report a missing extra.
"""

from __future__ import annotations

import sys

_EXTRA = frozenset({"rich", "typer"})


def main() -> None:
    """Run the command with the arguments of this process and exit with its status."""
    try:
        try:
            from ._app import run
        except ModuleNotFoundError as error:
            if error.name not in _EXTRA:
                raise
            print(
                f"millis: the command needs {error.name};"
                " in a clone of millis-wrapper, run pip install '.[cli]'",
                file=sys.stderr,
            )
            sys.exit(2)
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:  # Ctrl-C during the imports
        sys.exit(130)
