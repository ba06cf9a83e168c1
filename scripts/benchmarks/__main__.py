"""Measures, prints and writes JSON; see scripts/bench."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from . import client, crowd, imports, memory, models, sse
from .measure import Ratio

PARTS = {
    "sse": sse.run,
    "client": client.run,
    "imports": imports.run,
    "crowd": crowd.run,
    "models": models.run,
}
COMPARED = ("httpx", "httpx-sse", "openai", "anthropic", "pydantic")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Ratios above 1 mean: that many times as fast."
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)}, memory (default: all)"
    )
    parser.add_argument(
        "--rounds", type=int, default=15, help="how often the contestants take turns (default: 15)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    arguments = parser.parse_args()
    parts: list[str] = arguments.parts or [*PARTS, "memory"]
    if unknown := set(parts) - {*PARTS, "memory"}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")

    machine = _machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    ratios: list[Ratio] = []
    for part in parts:
        if part in PARTS:
            for measured in PARTS[part](arguments.rounds):
                ratios.append(measured)
                print(measured, flush=True)
    grown = memory.run() if "memory" in parts else {}
    for what, mebibytes in grown.items():
        print(f"{'memory: peak growth while decoding ' + what:<58} {mebibytes:6.1f}  MiB")
    if arguments.json:
        figures: dict[str, Any] = {
            "machine": machine,
            "ratios": [measured._asdict() for measured in ratios],
            "memory": grown,
        }
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    missed = [
        measured for measured in ratios if measured.target is not None and measured.median < measured.target
    ]
    return 1 if missed else 0


def _machine() -> dict[str, str]:
    found = {
        "Python": platform.python_version(),
        "on": platform.platform(),
        "cores": str(os.cpu_count()),
    }
    for package in COMPARED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


if __name__ == "__main__":
    sys.exit(main())
