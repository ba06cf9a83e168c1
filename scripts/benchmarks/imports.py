"""What start-up costs: fresh processes, beside `import httpx`."""

from __future__ import annotations

import subprocess
import sys

from .measure import Ratio, ratio, take_turns

READY = "from millis_wrapper import Millis; Millis('key')"


def run(rounds: int) -> list[Ratio]:
    def fresh(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    times = take_turns(
        {
            "nothing": lambda: fresh("pass"),
            "httpx": lambda: fresh("import httpx"),
            "import": lambda: fresh("import millis_wrapper"),
            "ready": lambda: fresh(READY),
        },
        rounds,
    )
    # The interpreter's own start is no part of the comparison.
    httpx, bare, ready = (
        [took - nothing for took, nothing in zip(times[name], times["nothing"], strict=True)]
        for name in ("httpx", "import", "ready")
    )
    return [
        ratio("import httpx : import millis_wrapper", "httpx", _pairs(bare, httpx), target=1 / 0.35),
        ratio("import httpx : a ready Millis(...)", "httpx", _pairs(ready, httpx), target=1 / 1.6),
    ]


def _pairs(ours: list[float], theirs: list[float]) -> list[tuple[float, float]]:
    # A difference of two short times can come out below nothing.
    return [(max(one, 1e-4), other) for one, other in zip(ours, theirs, strict=True)]
