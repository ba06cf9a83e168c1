"""`millis chat`: one turn from -m or stdin, or a talk in the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from millis_wrapper.errors import ConfigurationError

from ._failures import say
from ._metadata import Metadata, read_metadata
from ._options import CONFIG, MESSAGE, AgentId, Debug, RegionOption
from ._replies import show_json, show_text
from ._talk import Talk


def chat(
    ctx: typer.Context,
    agent_id: AgentId,
    message: Annotated[
        str | None, typer.Option(*MESSAGE, metavar="TEXT", help="Say TEXT, print the reply, and leave.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            *CONFIG,
            metavar="FILE",
            help="JSON or YAML that overrides the saved agent's config, for this chat only.",
        ),
    ] = None,
    metadata: Metadata = None,
    end_session: Annotated[
        bool, typer.Option("--end-session", help="Tell the service that this one turn ends the session.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each chunk of the reply as one line of JSON.")
    ] = False,
    region: RegionOption = None,
    debug: Debug = False,
) -> None:
    """Talk to an agent by text.

    The reply streams in. With -m TEXT, or with a text on stdin, it is one turn. Else you talk in the
    terminal: each line is a turn, and the history is kept and sent along.

    \b
      /end [TEXT]  end the session: says TEXT, or else sends the history once
                   more as it is, with end_of_session; then leaves
      /save FILE   write the history to a new FILE, as JSON
      Ctrl-C       stop the reply; at the prompt, twice: leave
      Ctrl-D       leave, and send nothing
    """  # noqa: D301  (click's mark for lines that it must not wrap)
    from millis_wrapper._sync.client import Millis

    values = read_metadata(metadata)
    override = None
    if config is not None:
        from millis_wrapper.config import load_config

        override = load_config(config)
    show = show_json if as_json else show_text
    with Millis(region=region) as millis:
        conversation = millis.chat.conversation(agent_id=agent_id, agent_config=override, metadata=values)
        if message is None and not (sys.stdin and sys.stdin.isatty()):
            message = _stdin_text()
        if message is not None:
            show(conversation.stream(message, end_of_session=end_session))
            return
        if end_session:
            raise ConfigurationError("--end-session: is for one turn; in a talk, /end does it")
        Talk(
            conversation,
            lambda messages: millis.chat.stream(
                messages, agent_id=agent_id, agent_config=override, metadata=values, end_of_session=True
            ),
            show,
            lambda error: say(
                error, ctx.obj, " (nothing of this turn is kept: say it again, or something else)"
            ),
        ).run()


def _stdin_text() -> str:
    if sys.stdin is None:
        raise ConfigurationError("stdin: is closed; -m TEXT says TEXT")
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"stdin: is no UTF-8 text: {error}") from None
    # `echo Hello |` ends its text like a line; the agent is told the text.
    text = text.rstrip("\r\n")
    if not text:
        raise ConfigurationError("stdin: is empty, so there is nothing to say; -m TEXT says TEXT")
    return text
