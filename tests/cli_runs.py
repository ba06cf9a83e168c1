"""Run the `millis` command in this process, in a subprocess or in a pseudo-terminal."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs
import pexpect
import pytest

from millis_wrapper.cli._app import run

KEY = "cli-key-0123456789abcdefghijklmn"
AGENT = "-mock-agent---------"

# The script beside this interpreter, not another one that is on PATH.
MILLIS = str(Path(sys.executable).with_name("millis"))


@attrs.frozen
class Ran:
    """The exit code and the output of one run."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The single line on stderr; fails if there is not exactly one line."""
        assert self.err.endswith("\n"), self.err
        assert self.err.count("\n") == 1, self.err
        assert "Traceback" not in self.err
        return self.err.removesuffix("\n")


@attrs.frozen
class Cli:
    """Run `millis` in this process."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def asking(self, url: str) -> Cli:
        """Use the service at `url`."""
        self.monkeypatch.setenv("MILLIS_API_KEY", KEY)
        self.monkeypatch.setenv("MILLIS_BASE_URL", url)
        return self

    def __call__(self, *arguments: str, stdin: str | bytes = "") -> Ran:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        self.monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        code = run(arguments)
        written = self.capsys.readouterr()
        return Ran(code, written.out, written.err)


def environment(url: str, **more: str) -> dict[str, str]:
    """Return the environment for a run: this process's own, the key, the host and 80 columns."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MILLIS_", "NO_COLOR"))}
    return {
        **kept,
        "MILLIS_API_KEY": KEY,
        "MILLIS_BASE_URL": url,
        "TERM": "xterm-256color",
        "COLUMNS": "80",
        **more,
    }


def run_alone(url: str, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Ran:
    """Run `millis` in a subprocess."""
    done = subprocess.run(
        [MILLIS, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        env=environment(url, **(env or {})),
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@contextmanager
def accept_ctrl_c() -> Generator[None]:
    """Let Ctrl-C end processes started here, even if this one runs in the background and ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Terminal:
    """`millis` in a pseudo-terminal of 80 columns."""

    def __init__(self, url: str, *arguments: str, command: str = MILLIS, **env: str) -> None:
        with accept_ctrl_c(), warnings.catch_warnings():
            # Python 3.12 and later warn about a fork in a process with threads; this child only calls exec.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._child: pexpect.spawn[str] = pexpect.spawn(
                command,
                list(arguments),
                env=environment(url, **env),
                dimensions=(24, 80),
                encoding="utf-8",
                timeout=20,
            )
        self._child.delaybeforesend = None  # types() waits for the prompt instead

    def sees(self, text: str) -> str:
        """Wait for `text` and return the output before it."""
        self._child.expect_exact(text)
        return str(self._child.before)

    def types(self, line: str) -> None:
        """Wait for the prompt and type a line."""
        self.sees("> ")
        self._child.sendline(line)
        self.sees("\r\n")  # the terminal's echo of it

    def sends(self, line: str) -> None:
        """Send a line to a program without a prompt."""
        self._child.sendline(line)

    def ctrl(self, key: str) -> None:
        self._child.sendcontrol(key)

    def end(self) -> tuple[int | None, str]:
        """Wait until the command ends; return its exit code and the rest of its output."""
        rest = self._child.read()
        self._child.wait()
        return self._child.exitstatus, str(rest)
