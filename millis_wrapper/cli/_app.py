"""The `millis` application: its commands, and how a run ends."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.main import get_command

from millis_wrapper._version import __version__
from millis_wrapper.errors import UnknownFieldWarning

from . import _config as config
from ._chat import chat
from ._contract import contract
from ._duplicate import duplicate
from ._gateway import gateway
from ._mcp import mcp
from ._mock import demo, mock
from ._options import AgentCommand, Debug, Session
from ._output import escape_unencodable_characters, exit_code_for, note, write

app = typer.Typer(
    # Plain help reads the same in a terminal, a pipe and a log, and does not import rich.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(cls=AgentCommand)(chat)
app.command(cls=AgentCommand)(duplicate)
app.add_typer(config.app, name="config")
app.command()(contract)
app.command()(mock)
app.command(cls=AgentCommand)(demo)
app.command()(gateway)
app.command()(mcp)


def _show_version(requested: bool) -> None:
    if requested:
        from millis_wrapper.contract import VERSION

        write(f"millis-wrapper {__version__} (contract {VERSION})\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def millis(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
    debug: Debug = False,
) -> None:
    """Chat with Millis AI voice agents by text, duplicate them, and check their configs.

    Set MILLIS_API_KEY to your private key. It cannot be passed as an option, which would show it in process
    lists and shell histories. Set MILLIS_BASE_URL to use another host, such as a mock server.

    Results are written to stdout, everything else to stderr.

    Exit status: 0 on success; 1 if the service refused the request or failed, or a config has errors; 2 if an
    argument, an option or a file is invalid; 130 after Ctrl-C.
    """
    if ctx.invoked_subcommand is None:
        note(ctx.get_help())
        raise typer.Exit(2)


def run(arguments: Sequence[str]) -> int:
    """Run `millis` with `arguments` and return the exit status."""
    escape_unencodable_characters()
    # The command reports these warnings itself.
    logging.getLogger("millis_wrapper").addHandler(logging.NullHandler())
    session = Session()
    with warnings.catch_warnings():
        warnings.simplefilter("default", UnknownFieldWarning)
        warnings.showwarning = _show_warning
        try:
            result = get_command(app).main(
                list(arguments), prog_name="millis", standalone_mode=False, obj=session
            )
        except (Exception, KeyboardInterrupt) as error:
            return exit_code_for(error, session)
    return result if isinstance(result, int) else 0


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    note(f"millis: warning: {message}")
