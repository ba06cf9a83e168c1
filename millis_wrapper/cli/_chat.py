"""`millis chat`: one turn from the command line or stdin, or a conversation in the terminal."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millis_wrapper._json import is_array
from millis_wrapper._text import escape_control_characters
from millis_wrapper.errors import ConfigurationError

from ._options import AgentId, AllowHttp, Debug, Metadata, RegionOption, read_metadata
from ._output import note, terminal_text, waiting, write, write_json
from ._talk import SPEAKER, Talk

if TYPE_CHECKING:
    from millis_wrapper._sync.stream import ChatStream
    from millis_wrapper.results import ChatReply


def chat(
    ctx: typer.Context,
    agent_id: AgentId,
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="Say TEXT, print the reply, and leave.")
    ] = None,
    message: Annotated[
        str | None, typer.Option("--message", "-m", metavar="TEXT", help="The same as TEXT.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="JSON or YAML that overrides the saved agent's config, for this chat only."
        ),
    ] = None,
    metadata: Metadata = None,
    history: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Go on with a history that /save wrote; the file is not changed."),
    ] = None,
    end_session: Annotated[
        bool, typer.Option("--end-session", help="Tell the service that this one turn ends the session.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each chunk of the reply as one line of JSON.")
    ] = False,
    region: RegionOption = None,
    allow_http: AllowHttp = False,
    debug: Debug = False,
) -> None:
    """Talk to an agent by text.

    The reply streams in. With TEXT, or with a text on stdin, it is one turn. Else you talk in the
    terminal: each line is a turn, and the history is kept and sent along; /help shows what you can type.
    """
    from millis_wrapper._sync.client import Millis

    values = read_metadata(metadata)
    override = None
    if config is not None:
        from millis_wrapper.config import load_config

        override = load_config(config)
    messages = None if history is None else _saved(history)
    if text is not None and message is not None:
        raise ConfigurationError("TEXT and --message: pass one of them")
    said = _said(text if text is not None else message)
    show = show_json if as_json else show_text
    agent: dict[str, Any] = {"agent_id": agent_id, "agent_config": override, "metadata": values}
    with Millis(region=region, allow_http=allow_http) as millis:
        conversation = millis.chat.conversation(**agent)
        if messages is not None:
            conversation.load(messages)
        if said is not None:
            show(conversation.stream(said, end_of_session=end_session))
            return
        if end_session:
            raise ConfigurationError("--end-session: goes with one turn; in a conversation, type /end")
        note(f"Talking to {agent_id} at {millis.base_url}. /help shows what you can type.")
        end = partial(millis.chat.stream, **agent, end_of_session=True)
        show_turn = show_json if as_json else partial(show_text, column=len(SPEAKER))
        Talk(conversation, end, show_turn, ctx.obj, history).run()


def show_text(stream: ChatStream, column: int = 0) -> None:
    """Send the request, and write the text of the reply as it arrives.

    Each control character is escaped on its own, so that a sequence split over chunks is harmless, too.

    Args:
        stream: the reply.
        column: the column where the text begins, for word wrap in a terminal.
    """
    shaped = terminal_text(column)
    last = ""
    try:
        with waiting() as timer, stream:
            for text in stream.text_stream:
                timer.cancel()
                last = text[-1]  # before it is written: Ctrl-C may come in between
                write(shaped(escape_control_characters(text)))
    finally:
        if last not in ("", "\n"):
            write("\n")
    if not last:
        note("millis: the reply has no text; --json shows its chunks")
    _note_missing_end(stream.reply)


def show_json(stream: ChatStream) -> None:
    """Send the request, and write each chunk as one line of JSON, then a line about the whole reply.

    The last line has `ended`, which is null if the reply is incomplete, `finish_reason`, and two times in
    seconds, `time_to_first_text` and `duration`.
    """
    from millis_wrapper.errors import StreamError

    try:
        with waiting() as timer, stream:
            for chunk in stream:
                timer.cancel()
                write_json(chunk.to_dict())
    except StreamError as error:
        _write_summary(error.reply)
        raise
    _write_summary(stream.reply)
    _note_missing_end(stream.reply)


def _write_summary(reply: ChatReply) -> None:
    names = ("ended", "finish_reason", "time_to_first_text", "duration")
    write_json({name: getattr(reply, name) for name in names})


def _note_missing_end(reply: ChatReply) -> None:
    if reply.ended == "eof":
        note("millis: the reply ended without an end mark, so it may be incomplete")


def _said(text: str | None) -> str | None:
    """Return what to say in one turn: `text`, else what stdin holds; None when stdin is a terminal."""
    if text is not None:
        return _not_empty(text, "TEXT")
    if sys.stdin is None:
        raise ConfigurationError("stdin: is closed; pass TEXT")
    if sys.stdin.isatty():
        return None
    try:
        piped = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"stdin: is not UTF-8 text: {error}") from None
    # `echo Hello |` ends its text like a line; the agent gets the text.
    return _not_empty(piped.rstrip("\r\n"), "stdin")


def _not_empty(text: str, source: str) -> str:
    if not text.strip():
        raise ConfigurationError(f"{source}: is empty, so there is nothing to say")
    return text


def _saved(path: Path) -> list[Any]:
    try:
        messages = json.loads(path.expanduser().read_bytes())
    except OSError as error:
        raise ConfigurationError(f"--history: {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"--history: {path}: is not JSON: {error}") from error
    if not is_array(messages):
        raise ConfigurationError(f"--history: {path}: must hold a list of messages, as /save writes it")
    return messages
