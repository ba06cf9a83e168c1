"""What a check of a config found."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

Level: TypeAlias = Literal["error", "warning", "hint"]


@attrs.frozen
class Finding:
    """One problem in a config; `attrs.asdict` converts it to JSON data.

    Attributes:
        path: the place, such as `tools[0].timeout`; empty for the config as a whole.
        level: `error` for what the service refuses, `warning` for a probable mistake, `hint` for a possible
            one.
        message: what is wrong.
        fix: what to do, if that is clear. After `write`, a value is JSON.
        line: the line of the place in its file, counted from 1; None if the config was not read from a file.
    """

    path: str
    level: Level
    message: str
    fix: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        fix = f"; {self.fix}" if self.fix else ""
        line = f" (line {self.line})" if self.line is not None else ""
        return f"{self.level}: {place}{self.message}{fix}{line}"
