"""Agent ids on the command line: they mostly begin with `-`, where options begin too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

from ._options import WITH_VALUE

# As the service makes them: 20 letters, digits, - and _. No option looks like that, which a test holds.
_ID = re.compile(r"-[A-Za-z0-9_-]{19}")

_COMMANDS = frozenset({"chat", "demo", "duplicate"})


def ids_last(arguments: Sequence[str]) -> list[str]:
    """Return `arguments` with the agent ids that begin with `-`, and what is not an option, behind a `--`.

    Only commands that take an id are changed, and an option's value stays where it is.
    """
    before, command, rest = _split_at_command(arguments)
    if command not in _COMMANDS:
        return list(arguments)
    kept: list[str] = []
    ids: list[str] = []
    waiting = iter(rest)
    for argument in waiting:
        if argument == "--":
            break
        if _ID.fullmatch(argument) or not argument.startswith("-"):
            ids.append(argument)
            continue
        kept.append(argument)
        if argument in WITH_VALUE:
            kept.extend(islice(waiting, 1))
    return [*before, command, *kept, "--", *ids, *waiting]


def _split_at_command(arguments: Sequence[str]) -> tuple[list[str], str, list[str]]:
    for number, argument in enumerate(arguments):
        if not argument.startswith("-"):
            return list(arguments[:number]), argument, list(arguments[number + 1 :])
    return list(arguments), "", []
