"""Ratios measured in one run: the contestants take turns, so that a busy moment of the machine hits them
all.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Ratio(NamedTuple):
    """How many times as fast as `over` the measured thing is: the median of the rounds, and their
    quartiles.
    """

    name: str
    over: str
    median: float
    low: float
    high: float
    target: float | None = None

    def __str__(self) -> str:
        target = (
            ""
            if self.target is None
            else f"   target {self.target:g}: {'met' if self.median >= self.target else 'MISSED'}"
        )
        return f"{self.name:<58} {self.median:6.2f}  ({self.low:.2f} to {self.high:.2f}){target}"


def ratio(name: str, over: str, rounds: list[tuple[float, float]], target: float | None = None) -> Ratio:
    """The ratio of what takes (our seconds, their seconds) in each round."""
    ratios = sorted(theirs / ours for ours, theirs in rounds)
    low, median, high = statistics.quantiles(ratios, n=4)
    return Ratio(name, over, median, low, high, target)


def seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def take_turns(contestants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """The seconds of each contestant in each round, after one round to warm up."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, run in contestants.items():
            gc.collect()  # what one left behind is not the next one's to clear away
            took = seconds(run)
            if number:
                times[name].append(took)
    return times


def compare(
    title: str,
    ours: Callable[[], object],
    over: str,
    theirs: Callable[[], object],
    *,
    rounds: int,
    target: float | None = None,
) -> Ratio:
    """How many times as fast `ours` is as `theirs`."""
    times = take_turns({"ours": ours, "theirs": theirs}, rounds)
    return ratio(title, over, list(zip(times["ours"], times["theirs"], strict=True)), target)
