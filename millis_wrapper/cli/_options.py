"""What more than one command takes: agent ids, options, metadata; and what a run keeps."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Any

import attrs
import typer
from typer.core import TyperCommand

from millis_wrapper._text import shorten
from millis_wrapper.errors import ConfigurationError
from millis_wrapper.options import Region


@attrs.define
class Session:
    """What one run of the command was given before its own arguments."""

    debug: bool = False


def _set_debug(ctx: typer.Context, asked: bool) -> bool:
    if asked and isinstance(ctx.obj, Session):
        ctx.obj.debug = True
    return asked


# As the service makes them. No option looks like that, which a test holds.
_ID = re.compile(r"-[A-Za-z0-9_-]{19}")


class Command(TyperCommand):
    """A command whose usage line shows required arguments without braces."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]


class AgentCommand(Command):
    """A command that takes an agent id: most ids begin with `-`, as options do."""

    # Any: typer's versions take their contexts from different modules.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments with agent ids and all other operands moved behind a `--`."""
        params: list[Any] = self.get_params(ctx)
        options = [param for param in params if param.param_type_name == "option"]
        with_value = {name for option in options if not option.is_flag for name in option.opts}
        kept: list[str] = []
        others: list[str] = []
        waiting = iter(args)
        for argument in waiting:
            if argument == "--":
                others += waiting
            elif argument == "-" or not argument.startswith("-") or _ID.fullmatch(argument):
                others.append(argument)
            elif argument in with_value:
                kept += [argument, *islice(waiting, 1)]
            elif argument.startswith("--") or len(argument) == 2:
                kept.append(argument)
            else:
                # Options of one letter are not combined, neither with each other nor with a value: an id that
                # begins with `-m` and has a letter too many would silently become a message.
                ctx.fail(f"{shorten(argument, 60)} is not an agent id (20 characters)")
        return super().parse_args(ctx, [*kept, "--", *others])


AgentId = Annotated[str, typer.Argument(metavar="AGENT_ID", help="The agent's id; it may begin with `-`.")]
RegionOption = Annotated[
    Region | None, typer.Option("--region", help="Where the service is. [default: MILLIS_BASE_URL, else us]")
]
AllowHttp = Annotated[
    bool,
    typer.Option(
        "--allow-http", help="Send the key unencrypted to another machine; also MILLIS_ALLOW_HTTP=1."
    ),
]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Show the traceback of an error.", callback=_set_debug, is_eager=True),
]
Metadata = Annotated[
    list[str] | None,
    typer.Option(
        "--metadata",
        metavar="NAME=TEXT",
        help="A value for a {NAME} placeholder, as often as needed. NAME=TEXT is always text;"
        " NAME:=JSON is any other value.",
    ),
]


def read_metadata(pairs: Sequence[str] | None) -> dict[str, Any] | None:
    """Return the metadata that the options give, None where there are none.

    Raises:
        ConfigurationError: a pair is not NAME=TEXT, is not valid JSON, or has a name that is given twice.
    """
    if not pairs:
        return None
    metadata: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        is_json = name.endswith(":")
        name = name.removesuffix(":")
        if not equals or not name:
            raise ConfigurationError(f"--metadata: {pair!r} is not of the form NAME=TEXT")
        if name in metadata:
            raise ConfigurationError(f"--metadata: {name!r} is given twice")
        metadata[name] = _json(name, text) if is_json else text
    return metadata


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"--metadata: the value of {name!r} is not JSON: {error}") from None
