"""Memory over a stream of 200 MB: what is kept must not grow with what has passed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from millis_wrapper import sse

MEGABYTES = 200


def run() -> dict[str, float]:
    """MiB by which the peak of a fresh process grows while it decodes the stream, and while it decodes a
    first megabyte of it.
    """
    return {"first 1 MB": _peak(1), f"{MEGABYTES} MB": _peak(MEGABYTES)}


def decode(megabytes: int) -> int:
    """Decode a stream of so many megabytes; returns its number of events."""

    def chunks() -> Iterator[bytes]:
        chunk = b'data: {"choices":[{"delta":{"content":"Hello, this is a word or two."}}]}\n\n' * 50
        for _ in range(megabytes * 1_000_000 // len(chunk)):
            yield chunk

    return sum(1 for _ in sse.decode(chunks()))


def _peak(megabytes: int) -> float:
    code = (
        "import resource; from scripts.benchmarks.memory import decode\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"before = peak(); decode({megabytes}); print(peak() - before)"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes there, KiB elsewhere
    return int(result.stdout) * unit / 2**20
