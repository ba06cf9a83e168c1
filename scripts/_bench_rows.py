"""Ratios of contestants that take turns, for `scripts/bench`."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

Run: TypeAlias = Callable[[], object]


class Row(NamedTuple):
    """One figure: the ratios of all rounds, and its target."""

    name: str
    ratios: Sequence[float]
    at_least: float = -math.inf
    at_most: float = math.inf

    @property
    def is_missed(self) -> bool:
        """Whether the median misses the target."""
        return not self.at_least <= statistics.median(self.ratios) <= self.at_most

    def __str__(self) -> str:
        low, median, high = statistics.quantiles(self.ratios, n=4)
        line = f"{self.name:<72} {median:7.2f} ({low:.2f} to {high:.2f})"
        for sign, target in ((">=", self.at_least), ("<=", self.at_most)):
            if math.isfinite(target):
                line += f"  target {sign} {target:g}: {'MISSED' if self.is_missed else 'met'}"
        return line


def take_turns(
    rounds: int, *contestants: Run, clock: Callable[[], float] = time.process_time
) -> list[list[float]]:
    """Return the seconds of each contestant in each round, after a warm-up round."""
    times: list[list[float]] = []
    for _ in range(rounds + 1):
        took: list[float] = []
        for run in contestants:
            gc.collect()  # so that no contestant pays for the garbage of another
            start = clock()
            run()
            took.append(clock() - start)
        times.append(took)
    return times[1:]


def compare(name: str, ours: Run, theirs: Run, rounds: int, **target: float) -> Row:
    """Return the time of `theirs` as a multiple of the time of `ours`."""
    return Row(name, [b / a for a, b in take_turns(rounds, ours, theirs)], **target)
