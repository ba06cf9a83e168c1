"""Output of the command: results on stdout, everything else on stderr, and every error as one line."""

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
from millis_wrapper._text import escape_control_characters, join_or, shorten
from millis_wrapper.errors import (
    ConfigurationError,
    MillisError,
    UnprocessableEntityError,
    plain_message,
)

from ._options import Session

if TYPE_CHECKING:
    from rich.text import Text


FAILED = 1
WRONG_USE = 2
INTERRUPTED = 130

WAITING_SECONDS = 2.0  # wait for the first text before a terminal shows a note
_LONGEST_LINE = 1_000
# Wording of typer -> ours.
_TYPER_WORDING = (
    (re.compile(r"'([^']*)'"), r'"\1"'),
    (
        re.compile(r"^Got unexpected extra argument\S* \((.*)\)$"),
        r"unexpected argument: \1; put text with spaces in quotes",
    ),
    (re.compile(r"is not a valid int\b"), "is not a valid integer"),
    (re.compile(r"is not a valid float\b"), "is not a valid number"),
)
_COLORS = {"cyan": 36, "green": 32}  # name -> ANSI code


class CommandError(Exception):
    """The command failed; the text of the exception is the message to print."""


class ReaderClosed(Exception):
    """The reader of stdout closed the pipe (`| head -1`), which is not an error."""


def write(text: str) -> None:
    """Write `text` to stdout without delay.

    Raises:
        ReaderClosed: The reader closed the pipe.
        CommandError: stdout is closed or cannot be written to.
    """
    stdout = _stdout()
    with writing():
        stdout.write(text)
        stdout.flush()


@contextmanager
def writing() -> Generator[None]:
    """Convert errors of writing to stdout.

    Raises:
        ReaderClosed: The reader closed the pipe.
        CommandError: Writing failed for another reason.
    """
    try:
        yield
    except BrokenPipeError:
        discard_stdout()
        raise ReaderClosed from None
    except OSError as error:
        discard_stdout()
        raise CommandError(f"could not write to stdout: {error.strerror}") from error


def print_json(value: Any) -> None:
    """Write `value` as one line of JSON in ASCII, which has no effect on a terminal."""
    write(json.dumps(value) + "\n")


def write_styled(text: Text) -> None:
    """Write `text` to stdout: wrapped and colored on a terminal, as plain lines elsewhere.

    NO_COLOR turns the colors off.
    """
    from rich.console import Console

    terminal = _stdout().isatty()
    color = terminal and not os.environ.get("NO_COLOR")
    console = Console(color_system="auto" if color else None, force_terminal=color, highlight=False)
    with console.capture() as output:
        console.print(text, soft_wrap=not terminal)
    write(output.get())


def terminal_text(column: int) -> Callable[[str], str]:
    """Return a function that adds line breaks between words to the chunks of a text.

    If stdout is not a terminal, the function returns its argument.

    Args:
        column: The column at which the text begins, counted from 0.
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
    """Show a note on a terminal unless the yielded timer is canceled within `WAITING_SECONDS`."""
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
    if sys.stderr is None:  # Closed (`2>&-`); print would write to stdout instead.
        return
    with suppress(OSError):  # The reader of stderr closed the pipe.
        print(escape_control_characters(text), file=sys.stderr, flush=True)


def escape_unencodable_characters() -> None:
    """Make stdout and stderr escape characters that their encoding (LANG=C) does not support."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _stdout() -> TextIO:
    if sys.stdout is None:  # closed with `>&-`
        raise CommandError("stdout is closed, so the result cannot be written")
    return sys.stdout


def exit_code_for(error: BaseException, session: Session) -> int:
    """Report `error` on stderr and return the exit status."""
    if isinstance(error, ReaderClosed):
        return 0
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return INTERRUPTED
    report(error, session)
    return WRONG_USE if isinstance(error, ConfigurationError) or _usage_error(error) else FAILED


def report(error: BaseException, session: Session, hint: str = "") -> None:
    """Write `error` to stderr as one line that ends with `hint`; with --debug, after its traceback."""
    if session.debug:
        note("".join(traceback.format_exception(error)).rstrip())
    note((_usage_error(error) or f"millis: {error_line(error)}") + hint)


def error_line(error: BaseException) -> str:
    """Return the message of `error` as one line for a terminal."""
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        return one_line(f"{error.filename}: {reason}" if error.filename else reason)
    if not isinstance(error, MillisError | CommandError):
        return one_line(f"internal error: {type(error).__name__}: {error}; use --debug to see the traceback")
    line = one_line(plain_message(error))
    if isinstance(error, UnprocessableEntityError) and "agent.agent_config" in line:
        line += "; to check the config, run: millis config check FILE"
    return line


def one_line(text: str) -> str:
    """Return `text` as one line without control characters, shortened if it is very long."""
    return shorten(text, _LONGEST_LINE)


def _usage_error(error: BaseException) -> str | None:
    """Return the line for arguments that typer rejected; None for any other error."""
    # Their class lives in a different module in each version of typer, so look for its method.
    format_message = getattr(error, "format_message", None)
    if format_message is None:
        return None
    command = getattr(getattr(error, "ctx", None), "command_path", "millis")
    # typer 0.26 shows the possible options as a Python tuple.
    similar = sorted(getattr(error, "possibilities", None) or ())
    text = f"{error.args[0]}; did you mean {join_or(similar)}?" if similar else format_message()
    problem = one_line(text).rstrip(".").replace(". Did you", "; did you")
    for pattern, replacement in _TYPER_WORDING:
        problem = pattern.sub(replacement, problem)
    reference = f" (see {command} --help)" if problem.endswith("?") else f"; see {command} --help"
    return f"{command}: {problem[:1].lower()}{problem[1:]}{reference}"
