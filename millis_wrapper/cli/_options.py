"""Arguments and options shared by several commands."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Any

import attrs
import typer
from typer.core import TyperCommand

from millis_wrapper._text import short_repr, shorten
from millis_wrapper.errors import ConfigurationError
from millis_wrapper.options import Region


@attrs.define
class Session:
    """Settings of one run that apply to every command."""

    debug: bool = False


def _set_debug(ctx: typer.Context, requested: bool) -> bool:
    if requested and isinstance(ctx.obj, Session):
        ctx.obj.debug = True
    return requested


# The form of the ids that the service creates. A test checks that no option has this form.
_ID = re.compile(r"-[A-Za-z0-9_-]{19}")


class Command(TyperCommand):
    """A command whose usage line shows required arguments without braces."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]


class AgentCommand(Command):
    """A command that accepts an agent id, which usually begins with `-`, as options do."""

    # Any, because the context class lives in a different module in each version of typer.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments after moving agent ids and all other operands behind `--`."""
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
                value = list(islice(waiting, 1))
                if not value:  # Otherwise, the "--" below would become the value.
                    ctx.fail(f'option "{argument}" requires a value')
                kept += [argument, *value]
            elif argument.startswith("--") or len(argument) == 2:
                kept.append(argument)
            elif others and "-m" in with_value:
                # The id is given already, and this may be `-m` and its text written as one argument.
                ctx.fail(f"{shorten(argument, 60)} is not an option; to send it as text, put -m before it")
            else:
                # One-letter options are never combined, so this is an id. One that begins with `-m` and has a
                # letter too many must not become a message.
                others.append(argument)
        return super().parse_args(ctx, [*kept, "--", *others])


AgentId = Annotated[str, typer.Argument(metavar="AGENT_ID", help="ID of the agent; it may begin with `-`.")]
RegionOption = Annotated[
    Region | None,
    typer.Option("--region", help="Region of the service; overrides MILLIS_BASE_URL. [default: us]"),
]
AllowHttp = Annotated[
    bool,
    typer.Option(
        "--allow-http",
        help="Allow http:// to another machine, which sends the key unencrypted; MILLIS_ALLOW_HTTP=1 does the"
        " same.",
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
        help="Set a value for a {NAME} placeholder; repeat as needed. NAME=TEXT passes text, NAME:=JSON any"
        " other value.",
    ),
]


def read_metadata(pairs: Sequence[str] | None) -> dict[str, Any] | None:
    """Return the metadata from the `--metadata` options, or None without such an option.

    Raises:
        ConfigurationError: A pair is not NAME=TEXT or NAME:=JSON, its JSON is invalid, or a name is repeated.
    """
    if not pairs:
        return None
    metadata: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        is_json = name.endswith(":")
        name = name.removesuffix(":")
        if not equals or not name:
            raise ConfigurationError(f"--metadata: must be NAME=TEXT or NAME:=JSON, got {short_repr(pair)}")
        if name in metadata:
            raise ConfigurationError(f"--metadata: the name {short_repr(name)} is given twice; pass it once")
        metadata[name] = _parse_value(name, text) if is_json else text
    return metadata


def _parse_value(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"--metadata: the value of {short_repr(name)} is not valid JSON ({error});"
            " for text, use NAME=TEXT"
        ) from None
