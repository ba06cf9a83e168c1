"""Freeze a program with the default options of PyInstaller, for `scripts/try_tools`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from millis_wrapper.mock import MockMillis
from scripts._try_run import run

ROOT = Path(__file__).resolve().parent.parent
PYINSTALLER = "pyinstaller==6.16.0"

# The misspelled key makes the client read the contract.
PROGRAM = """
import sys
import warnings

from millis_wrapper import Millis

with warnings.catch_warnings(record=True) as caught, Millis("key", base_url=sys.argv[1]) as millis:
    warnings.simplefilter("always")
    reply = millis.chat.send("Hello", agent_config={"flow": {"user_start_frist": True}})
    copy = millis.agents.duplicate("-mock-agent---------")
    print(reply.text, copy.id, *(str(one.message) for one in caught))
"""


def frozen(folder: Path) -> Iterable[str]:
    """Freeze and run a program that uses both endpoints."""
    home = folder / "frozen"
    home.mkdir()
    (home / "program.py").write_text(PROGRAM, "utf-8")
    run(home, sys.executable, "-m", "venv", "env")
    run(home, "env/bin/python", "-m", "pip", "install", "--quiet", PYINSTALLER, ROOT)
    run(home, "env/bin/pyinstaller", "--log-level", "ERROR", "program.py")
    with MockMillis() as mock:
        mock.reply_with("We have a table at seven.")
        printed = run(home, "dist/program/program", mock.url)
    for expected in ("table at seven", "user_start_first"):
        if expected not in printed:
            yield f"the frozen program printed {printed!r} without {expected!r}"
