"""Where the command's words go: the result to stdout, all else to stderr; none of it acts on a terminal."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from millis_wrapper._stdout import give_up
from millis_wrapper._text import escape_control_characters

if TYPE_CHECKING:
    from rich.text import Text


class Failure(Exception):
    """A command cannot do what it was asked; its text is the line that says so."""


class ReaderGone(Exception):
    """Whoever read stdout has closed it (`| head -1`), and so has had what it wanted."""


def write(text: str) -> None:
    """Write `text`, a part of the result, to stdout at once; raises what `writing` raises."""
    stdout = _stdout()
    with writing():
        stdout.write(text)
        stdout.flush()


@contextmanager
def writing() -> Generator[None]:
    """Take care of a stdout that cannot be written to.

    Raises ReaderGone when its reader has closed it, and Failure when it fails for another reason.
    """
    try:
        yield
    except BrokenPipeError:
        give_up()
        raise ReaderGone from None
    except OSError as error:
        give_up()
        raise Failure(f"stdout cannot be written to: {error.strerror}") from error


def write_json(value: Any) -> None:
    """Write `value` as one line of JSON, all ASCII, so that no character of it acts on a terminal."""
    write(json.dumps(value) + "\n")


def write_styled(text: Text) -> None:
    """Write `text` to stdout as it is; with its colours on a terminal, unless NO_COLOR is set."""
    from rich.console import Console

    colour = _stdout().isatty() and not os.environ.get("NO_COLOR")
    console = Console(color_system="auto" if colour else None, force_terminal=colour)
    with console.capture() as written:
        console.print(text, soft_wrap=True)
    write(written.get())


def note(text: str) -> None:
    """Write `text` as a line to stderr."""
    if sys.stderr is None:  # it was closed (`2>&-`), and print would take stdout in its place
        return
    with suppress(OSError):  # nobody is there to be told
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
