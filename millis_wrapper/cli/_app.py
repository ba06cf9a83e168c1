"""The commands, put together; and what a run of one ends with."""

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
from ._output import escape_what_cannot_be_encoded, exit_code_for, note, write

app = typer.Typer(
    # Plain help: it reads the same in a terminal, a pipe and a log, and costs no import of rich.
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


def _show_version(asked: bool) -> None:
    if asked:
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
    """Talk to Millis AI voice agents by text, copy them, and check their configs.

    The private key is read from MILLIS_API_KEY and is never an option. MILLIS_BASE_URL names another host
    than the service's own.

    Exit codes: 0 success; 1 the service refused or failed, or the config has errors; 2 wrong use;
    130 interrupted. Results go to
    stdout, all else to stderr.
    """
    if ctx.invoked_subcommand is None:
        note(ctx.get_help())
        raise typer.Exit(2)


def run(arguments: Sequence[str]) -> int:
    """Run `millis` with `arguments`, and return its exit code."""
    escape_what_cannot_be_encoded()
    # The command says itself what the library's log warns of.
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
