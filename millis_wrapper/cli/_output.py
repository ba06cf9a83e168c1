"""What the command writes: the result to stdout, all else to stderr, and errors as one readable line."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, TextIO

import typer

from millis_wrapper._stdout import discard_stdout
from millis_wrapper._text import escape_control_characters, shorten
from millis_wrapper.errors import ConfigurationError, MillisError

from ._options import Session

if TYPE_CHECKING:
    from rich.text import Text


REFUSED = 1
WRONG_USE = 2
INTERRUPTED = 130

WAITING_SECONDS = 2.0  # after which a terminal is shown that a reply is waited for
_LONGEST_LINE = 1_000
_COLORS = {"cyan": 36, "green": 32}  # as ANSI numbers
# Clauses and names in the library's messages that only help someone who writes Python -> their replacements.
_PYTHON = (
    (re.compile(r"[;,] [^;,]*(?<![\w.])\.(?:reply|body|raw|headers)\b[^;]*"), ""),
    (re.compile(r"\bpass \w+= or "), ""),
    (re.compile(r"(?<![\w.])\w+= or "), ""),
)


class Failure(Exception):
    """A command cannot do what it was asked; its text is the line that says so."""


class ReaderGone(Exception):
    """Whoever read stdout has closed it (`| head -1`), and so has had what it wanted."""


def write(text: str) -> None:
    """Write `text`, a part of the result, to stdout at once.

    Raises:
        ReaderGone: its reader has closed it.
        Failure: it cannot be written to.
    """
    stdout = _stdout()
    with writing():
        stdout.write(text)
        stdout.flush()


@contextmanager
def writing() -> Generator[None]:
    """Turn the errors of a stdout that cannot be written to into ours.

    Raises:
        ReaderGone: its reader has closed it.
        Failure: it fails for another reason.
    """
    try:
        yield
    except BrokenPipeError:
        discard_stdout()
        raise ReaderGone from None
    except OSError as error:
        discard_stdout()
        raise Failure(f"stdout cannot be written to: {error.strerror}") from error


def write_json(value: Any) -> None:
    """Write `value` as one line of JSON, all ASCII, so that no character of it acts on a terminal."""
    write(json.dumps(value) + "\n")


def write_styled(text: Text) -> None:
    """Write `text` to stdout.

    On a terminal it wraps between words, and has its colours unless NO_COLOR is set; else it is plain lines.
    """
    from rich.console import Console

    terminal = _stdout().isatty()
    colour = terminal and not os.environ.get("NO_COLOR")
    console = Console(color_system="auto" if colour else None, force_terminal=colour, highlight=False)
    with console.capture() as written:
        console.print(text, soft_wrap=not terminal)
    write(written.get())


def terminal_text(column: int) -> Callable[[str], str]:
    """Return the function that wraps the chunks of a text at words for stdout.

    Args:
        column: the column where the text begins, counted from 0.
    """
    if not _stdout().isatty():
        return str
    from ._wrap import WordWrap

    return WordWrap(get_terminal_size().columns, column).feed


def colored(text: str, color: str, stream: TextIO) -> str:
    """Return `text` in a color of `_COLORS` if `stream` is a terminal and NO_COLOR is not set."""
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{_COLORS[color]}m{text}\x1b[0m"


@contextmanager
def waiting() -> Generator[threading.Timer]:
    """Say on a terminal that the agent is waited for, if the timer is not cancelled soon."""
    timer = threading.Timer(WAITING_SECONDS, note, ["(waiting for the agent ...)"])
    timer.daemon = True
    if sys.stderr is not None and sys.stderr.isatty():
        timer.start()
    try:
        yield timer
    finally:
        timer.cancel()


def note(text: str) -> None:
    """Write `text` as a line to stderr."""
    if sys.stderr is None:  # it was closed (`2>&-`), and print would take stdout in its place
        return
    with suppress(OSError):  # nobody reads it
        print(escape_control_characters(text), file=sys.stderr, flush=True)


def escape_what_cannot_be_encoded() -> None:
    """Let a character that the output's encoding lacks (LANG=C) be written as an escape, not raise."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _stdout() -> TextIO:
    if sys.stdout is None:  # it was closed (`>&-`)
        raise Failure("stdout is closed, so the result cannot be written")
    return sys.stdout


def exit_code_for(error: BaseException, session: Session) -> int:
    """Say on stderr what went wrong, and return the exit code."""
    if isinstance(error, ReaderGone):
        return 0
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return INTERRUPTED
    say(error, session)
    return WRONG_USE if isinstance(error, ConfigurationError) or _usage(error) else REFUSED


def say(error: BaseException, session: Session, hint: str = "") -> None:
    """Say on stderr what went wrong: in one line, with `hint` behind it, and with --debug whole before it."""
    if session.debug:
        note("".join(traceback.format_exception(error)).rstrip())
    note((_usage(error) or f"millis: {line_for(error)}") + hint)


def line_for(error: BaseException) -> str:
    """Return one line that says what went wrong."""
    if isinstance(error, OSError):
        words = error.strerror or str(error)
        return as_line(f"{error.filename}: {words}" if error.filename else words)
    if not isinstance(error, MillisError | Failure):
        return as_line(f"a bug in this program, {type(error).__name__}: {error} (--debug shows where)")
    line = str(error)
    for pattern, words in _PYTHON:
        line = pattern.sub(words, line)
    return as_line(line)


def as_line(text: str) -> str:
    """Return `text` as one line without control characters."""
    return shorten(text, _LONGEST_LINE)


def _usage(error: BaseException) -> str | None:
    """Return the line for arguments that typer refused; None for any other error."""
    # Such errors are known by what they can do: their class has had several places in typer's versions.
    words = getattr(error, "format_message", None)
    if words is None:
        return None
    command = getattr(getattr(error, "ctx", None), "command_path", "millis")
    return f"{command}: {as_line(words())} (see {command} --help)"
