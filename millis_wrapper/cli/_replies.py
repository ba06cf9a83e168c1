"""A reply, shown as it arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from millis_wrapper._text import escape_control_characters

from ._output import note, write, write_json

if TYPE_CHECKING:
    from millis_wrapper._sync.stream import ChatStream


def show_text(stream: ChatStream) -> None:
    """Send the request, and write each piece of the agent's text as soon as it is there.

    Each control character is written out on its own, so a sequence that is split over pieces is harmless too.
    """
    last = ""
    try:
        with stream:
            for text in stream.text_stream:
                last = text[-1]  # before it is written: Ctrl-C may come in between
                write(escape_control_characters(text))
    finally:
        if last not in ("", "\n"):
            write("\n")
    if not last:
        note("millis: the reply holds no text; --json shows what came")


def show_json(stream: ChatStream) -> None:
    """Send the request, and write each chunk as one line of JSON: text, event, finish_reason and data."""
    with stream:
        for chunk in stream:
            write_json(attrs.asdict(chunk, recurse=False))
