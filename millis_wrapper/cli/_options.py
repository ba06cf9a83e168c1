"""Arguments and options that more than one command takes; and what a run keeps."""

from __future__ import annotations

from typing import Annotated

import attrs
import typer

from millis_wrapper.options import Region


@attrs.define
class Session:
    """What one run of the command was told before its own arguments."""

    debug: bool = False


def _set_debug(ctx: typer.Context, asked: bool) -> bool:
    if asked and isinstance(ctx.obj, Session):
        ctx.obj.debug = True
    return asked


MESSAGE = ("--message", "-m")
CONFIG = ("--config",)
METADATA = ("--metadata",)
REGION = ("--region",)

# What takes the argument after it as its value, whatever that looks like.
WITH_VALUE = frozenset({*MESSAGE, *CONFIG, *METADATA, *REGION})

AgentId = Annotated[str, typer.Argument(metavar="AGENT_ID", help="The agent's id; it may begin with `-`.")]
RegionOption = Annotated[
    Region | None,
    typer.Option(*REGION, help="Where the service is asked. [default: MILLIS_BASE_URL, else us]"),
]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Show the traceback of an error.", callback=_set_debug, is_eager=True),
]
