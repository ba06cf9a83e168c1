"""Generate the modules of millis_wrapper/_sync from those of millis_wrapper/_async.

The generator is a table of substitutions and a formatter. Code that substitutions cannot translate is in the
two `io.py`, which are written by hand.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path("millis_wrapper/_async")
TARGET = Path("millis_wrapper/_sync")
BY_HAND = {"__init__.py", "io.py"}

HEADER = """\
# Generated from {source} by scripts/regenerate: edit that file, not this one.

"""

# The order matters. Some substitutions change prose, so that the docstrings are true on both sides.
SUBSTITUTIONS = [
    (r"(?m)^        >>> (async def main\(\):|asyncio\.run\(main\(\)\))\n", ""),
    (r"(?m)^        \.\.\.     return (.*)$", r"        >>> \1"),
    (r"(?m)^        \.\.\.     (async with)", r"        >>> \1"),
    (r"(?m)^        \.\.\.     (    .*)$", r"        ... \1"),
    # The aiohttp engine is async, so the sync code does not mention it.
    (r' \| Literal\["aiohttp"\]|Literal\["aiohttp"\] \| ', ""),
    (r'(?m)^            Or "aiohttp"(?:.*\n)+?(?=        headers:)', ""),
    (
        r'None or "aiohttp": the first request creates one for that\n *engine\.',
        "None: the first request creates one.",
    ),
    (r"`async with`", "`with`"),
    (r"\basync (with|for|def) ", r"\1 "),
    (r"\bawait ", ""),
    (
        r"\bAsync(Millis|Chat|Agents|ChatStream|Conversation|OpenResponse|Transport|Client|Generator|Iterator)\b",
        r"\1",
    ),
    (r"\bAwaitable\[(None|bytes \| None)\]", r"\1"),
    (r"\bAwaitable, ", ""),
    (r"\b__a(enter|exit|iter)__\b", r"__\1__"),
    (r"\ba(closing|iter|iter_bytes)\b", r"\1"),
    (r"\banext\b", "next"),
    (r"\n    aclose = close\n", ""),
    (r"Close it with `aclose\(\)`", "Close it with `close()`"),
    (r"shared by threads and event loops", "shared by threads"),
]


def to_sync(text: str) -> str:
    """Return the source of the sync module for the source of an async module."""
    for pattern, replacement in SUBSTITUTIONS:
        text = re.sub(pattern, replacement, text)
    return text


def make(project: Path, target: Path) -> list[Path]:
    """Write the modules generated from `project` to the same paths below `target`.

    Args:
        project: the checkout.
        target: the folder to write into.

    Returns:
        The paths that were written, relative to both.
    """
    written: list[Path] = []
    for source in sorted((project / SOURCE).glob("*.py")):
        if source.name in BY_HAND:
            continue
        path = TARGET / source.name
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        header = HEADER.format(source=SOURCE / source.name)
        (target / path).write_text(header + to_sync(source.read_text("utf-8")), "utf-8")
        written.append(path)
    ruff = [sys.executable, "-m", "ruff"]
    config = ["--quiet", "--no-cache", "--config", str(project / "pyproject.toml")]
    files = [str(target / path) for path in written]
    subprocess.run([*ruff, "check", "--select", "I,F401", "--fix", *config, *files], check=True)
    subprocess.run([*ruff, "format", *config, *files], check=True)
    return written
