"""The findings of a config check."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

Level: TypeAlias = Literal["error", "warning", "hint"]


@attrs.frozen
class Finding:
    """One problem in a config; `attrs.asdict` converts it to JSON data."""

    path: str
    """The path of the value, such as `tools[0].timeout`; empty for the config itself."""
    level: Level
    """`error`: the service refuses the value; `warning`: a likely mistake; `hint`: a possible mistake."""
    message: str
    """The description of the problem."""
    fix: str | None = None
    """The suggested change, or None. A value after `write` is JSON."""
    line: int | None = None
    """The line of the value in its file, counted from 1; None if the config was not read from a file."""

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        fix = f"; {self.fix}" if self.fix else ""
        line = f" (line {self.line})" if self.line is not None else ""
        return f"{self.level}: {place}{self.message}{fix}{line}"
