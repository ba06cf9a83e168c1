"""An exception -> one readable line on stderr, and the exit code."""

from __future__ import annotations

import traceback

import typer

from millis_wrapper._text import shorten
from millis_wrapper.errors import ConfigurationError, MillisError

from ._options import Session
from ._output import Failure, ReaderGone, note

SAID_NO = 1
WRONG_USE = 2
INTERRUPTED = 130

_LONGEST_LINE = 1_000

# What the library's messages say to programs -> what it is to somebody at a terminal.
_FOR_PROGRAMS = {
    "pass api_key= or set MILLIS_API_KEY": "set MILLIS_API_KEY",
    "api_key= or MILLIS_API_KEY": "MILLIS_API_KEY",
    "goes in api_key": "goes in MILLIS_API_KEY",
    ", or allow_http=True if you mean it": "",
    "the region or base_url": "--region or MILLIS_BASE_URL",
    "check base_url": "check MILLIS_BASE_URL",
    "; .reply holds what had come": "",
    "; .body holds what had come": "",
}


def exit_code_for(error: BaseException, session: Session) -> int:
    """Say on stderr what went wrong, and return the exit code."""
    if isinstance(error, ReaderGone):
        return 0
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return INTERRUPTED
    say(error, session)
    return WRONG_USE if isinstance(error, ConfigurationError) or _usage(error) else SAID_NO


def say(error: BaseException, session: Session, hint: str = "") -> None:
    """Say on stderr what went wrong: in one line, with `hint` behind it, and with --debug whole before it."""
    if session.debug:
        note("".join(traceback.format_exception(error)).rstrip())
    note((_usage(error) or f"millis: {line_for(error)}") + hint)


def line_for(error: BaseException) -> str:
    """Return one line that tells a person at a terminal what went wrong."""
    if isinstance(error, OSError):
        words = error.strerror or str(error)
        return as_line(f"{error.filename}: {words}" if error.filename else words)
    if not isinstance(error, MillisError | Failure):
        return as_line(f"a fault of this program, {type(error).__name__}: {error} (--debug shows where)")
    text = str(error)
    for programs, people in _FOR_PROGRAMS.items():
        text = text.replace(programs, people)
    return as_line(text)


def as_line(text: str) -> str:
    """Return `text` as one line without control characters."""
    return shorten(text, _LONGEST_LINE)


def _usage(error: BaseException) -> str | None:
    """Return the line for arguments that typer did not take; None for any other error."""
    # Such errors are told by what they can do: their class has had several homes in typer's versions.
    words = getattr(error, "format_message", None)
    if words is None:
        return None
    command = getattr(getattr(error, "ctx", None), "command_path", "millis")
    return f"{command}: {as_line(words())} (see {command} --help)"
