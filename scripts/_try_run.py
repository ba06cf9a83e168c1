"""Run the commands of the tools that `scripts/try_tools` tries."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


class ToolError(Exception):
    """A command failed; the message contains its output."""


def run(folder: Path, *command: str | Path) -> str:
    """Run a command in `folder` and return its standard output.

    Raises:
        ToolError: The command failed.
    """
    quiet = {"npm_config_update_notifier": "false", "npm_config_fund": "false", "npm_config_audit": "false"}
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **quiet}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        output = f"{done.stdout}{done.stderr}".rstrip()
        raise ToolError(f"{Path(command[0]).name}: exit status {done.returncode}\n{output}")
    return done.stdout
