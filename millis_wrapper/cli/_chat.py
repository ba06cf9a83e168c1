"""`millis chat`: send one message, or chat interactively in the terminal."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millis_wrapper._json import is_object
from millis_wrapper._text import escape_control_characters
from millis_wrapper.errors import ConfigurationError

from ._options import AgentId, AllowHttp, Debug, Metadata, RegionOption, read_metadata
from ._output import note, print_json, terminal_text, waiting, write
from ._talk import SPEAKER, Talk

if TYPE_CHECKING:
    from millis_wrapper._sync.conversation import Conversation
    from millis_wrapper._sync.stream import ChatStream
    from millis_wrapper.results import ChatReply


def chat(
    ctx: typer.Context,
    agent_id: AgentId,
    text: Annotated[str | None, typer.Argument(metavar="[TEXT]", help="Message to send.")] = None,
    message: Annotated[
        str | None,
        typer.Option("--message", "-m", metavar="TEXT", help="Send TEXT, which may begin with `-` here."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Override the agent's config for this chat with a JSON or YAML file."
        ),
    ] = None,
    metadata: Metadata = None,
    history: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Continue a conversation saved with /save; the file is not modified."
        ),
    ] = None,
    end_session: Annotated[
        bool, typer.Option("--end-session", help="End the session with this message.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print every chunk as a line of JSON, then a summary of the reply.")
    ] = False,
    region: RegionOption = None,
    allow_http: AllowHttp = False,
    debug: Debug = False,
) -> None:
    """Chat with an agent by text.

    With TEXT, or text on stdin, send one message, print the reply as it arrives, and exit.

    Without it, chat interactively: every line is one turn, and the history is sent with each. /help lists the
    commands.
    """
    from millis_wrapper._sync.client import Millis

    values = read_metadata(metadata)
    override = None
    if config is not None:
        from millis_wrapper.config import load_config

        override = load_config(config)
    messages = None if history is None else _read_history(history)
    if text is not None and message is not None:
        raise ConfigurationError("TEXT and --message cannot be combined; pass one of them")
    prompt = _read_text(text if text is not None else message)
    show = show_json if as_json else show_text
    agent: dict[str, Any] = {"agent_id": agent_id, "agent_config": override, "metadata": values}
    with Millis(region=region, allow_http=allow_http) as millis:
        conversation = millis.chat.conversation(**agent)
        if messages is not None:
            _load(conversation, messages, history)
        if prompt is not None:
            show(conversation.stream(prompt, end_of_session=end_session))
            return
        if end_session:
            raise ConfigurationError(
                "--end-session: requires TEXT; in an interactive chat, type /end instead"
            )
        note(f"Chatting with {agent_id} at {millis.base_url}. Type /help for commands.")
        end = partial(millis.chat.stream, **agent, end_of_session=True)
        show_turn = show_json if as_json else partial(show_text, column=len(SPEAKER))
        Talk(conversation, end, show_turn, ctx.obj, history).run()


def show_text(stream: ChatStream, column: int = 0) -> None:
    """Send the request and write the text of the reply as it arrives.

    Control characters are escaped one by one, so that an escape sequence split over chunks is harmless, too.

    Args:
        stream: The reply.
        column: The column at which the text begins, counted from 0, for word wrap in a terminal.
    """
    wrap = terminal_text(column)
    last = ""
    try:
        with waiting() as timer, stream:
            for text in stream.text_stream:
                timer.cancel()
                last = text[-1]  # set before writing, which Ctrl-C may interrupt
                write(wrap(escape_control_characters(text)))
    finally:
        if last not in ("", "\n"):
            write("\n")
    if not last:
        note("millis: the reply contains no text; use --json to see its chunks")
    _note_missing_end(stream.reply)


def show_json(stream: ChatStream) -> None:
    """Send the request and write every chunk as one line of JSON, then a summary of the reply.

    The summary contains `ended` (null if the reply is incomplete), `finish_reason`, and `time_to_first_text`
    and `duration` in seconds.
    """
    from millis_wrapper.errors import StreamError

    try:
        with waiting() as timer, stream:
            for chunk in stream:
                timer.cancel()
                print_json(chunk.to_dict())
    except StreamError as error:
        _write_summary(error.reply)
        raise
    _write_summary(stream.reply)
    _note_missing_end(stream.reply)


def _write_summary(reply: ChatReply) -> None:
    names = ("ended", "finish_reason", "time_to_first_text", "duration")
    print_json({name: getattr(reply, name) for name in names})


def _note_missing_end(reply: ChatReply) -> None:
    if reply.ended == "eof":
        note("millis: the reply ended without [DONE] or a finish reason, so it may be incomplete")


def _read_text(text: str | None) -> str | None:
    """Return `text` or the text on stdin; None if stdin is a terminal, for an interactive chat."""
    if text is not None:
        return _require_text(text, "TEXT")
    if sys.stdin is None:
        raise ConfigurationError("stdin is closed; pass TEXT")
    if sys.stdin.isatty():
        return None
    try:
        piped = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"stdin: must be UTF-8 text ({error})") from None
    # `echo` adds a line break, which is not part of the message.
    return _require_text(piped.rstrip("\r\n"), "stdin")


def _require_text(text: str, source: str) -> str:
    if not text.strip():
        raise ConfigurationError(f"{source}: must not be empty; pass the message to send")
    return text


def _load(conversation: Conversation, messages: list[Any], path: Path | None) -> None:
    try:
        conversation.load(messages)
    except ConfigurationError as error:
        raise ConfigurationError(f"--history: {path}: {error}") from None


def _read_history(path: Path) -> list[Any]:
    from millis_wrapper.config._load import load_list

    try:
        messages = load_list(path.expanduser(), '[{"role": "user", "content": "Hello"}]')
        if not all(map(is_object, messages)):
            raise ConfigurationError(f"{path}: must be a list of messages, as saved with /save")
    except ConfigurationError as error:
        raise ConfigurationError(f"--history: {error}") from None
    return messages
