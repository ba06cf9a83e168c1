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
from ._output import note, waiting, write, write_json
from ._talk import Talk

if TYPE_CHECKING:
    from millis_wrapper._sync.stream import ChatStream


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
        Talk(conversation, end, show, ctx.obj, history).run()


def show_text(stream: ChatStream) -> None:
    """Send the request, and write each piece of the agent's text as soon as it is there.

    Each control character is written out on its own, so a sequence that is split over pieces is harmless too.
    """
    last = ""
    try:
        with waiting() as timer, stream:
            for text in stream.text_stream:
                timer.cancel()
                last = text[-1]  # before it is written: Ctrl-C may come in between
                write(escape_control_characters(text))
    finally:
        if last not in ("", "\n"):
            write("\n")
    if not last:
        note("millis: the reply holds no text; --json shows what came")


def show_json(stream: ChatStream) -> None:
    """Send the request, and write each chunk as one line of JSON: text, event, finish_reason and data."""
    with waiting() as timer, stream:
        for chunk in stream:
            timer.cancel()
            write_json(chunk.to_dict())


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
