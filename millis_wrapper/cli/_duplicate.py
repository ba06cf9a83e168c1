"""`millis duplicate`."""

from __future__ import annotations

from typing import Annotated

import typer

from millis_wrapper._text import escape_control_characters

from ._options import AgentId, AllowHttp, Debug, RegionOption
from ._output import Failure, ReaderGone, write, write_json


def duplicate(
    agent_id: AgentId,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the whole answer of the service as one line of JSON.")
    ] = False,
    region: RegionOption = None,
    allow_http: AllowHttp = False,
    debug: Debug = False,
) -> None:
    """Copy a saved agent, and print the copy's id.

    The copy has the agent's whole config. Each request that arrives makes a copy, so it is not sent again
    when it is in doubt whether it arrived: the error then says that a copy may exist.
    """
    from millis_wrapper._sync.client import Millis

    with Millis(region=region, allow_http=allow_http) as millis:
        copy = millis.agents.duplicate(agent_id)
    try:
        if as_json:
            write_json(copy.raw)
        else:
            write(escape_control_characters(copy.id) + "\n")
    except (ReaderGone, Failure) as error:
        # The copy is there, and this is the only place that knows its id.
        raise Failure(f"the copy {copy.id} was made, but stdout cannot be written to") from error
