"""`millis mock` and `millis demo`: the mock server from millis_wrapper.mock."""

from __future__ import annotations

from typing import Annotated

import typer

from ._options import AllowHttp, Debug
from ._output import writing


def mock(
    host: Annotated[str, typer.Option("--host", metavar="HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="Port to listen on; 0 picks a free one.")] = 8787,
    agents: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help='Add the agents in a JSON file: [{"id": ..., "name": ..., "config": {...}}].'
        ),
    ] = None,
    script: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help='Send the replies in a JSON file, in order: ["Hello!", "Goodbye."].'
        ),
    ] = None,
    pace: Annotated[
        float, typer.Option(metavar="SECONDS", help="Delay between two chunks of a reply, in seconds.")
    ] = 0.02,
    cors: Annotated[
        bool, typer.Option("--cors", help="Accept requests from web pages of any origin.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not log requests.")] = False,
    debug: Debug = False,
) -> None:
    """Run a mock server of the service until Ctrl-C.

    It works offline and accepts any key. To use it, set MILLIS_BASE_URL to the address that it prints.
    """
    from millis_wrapper.mock.__main__ import run_mock

    with writing():
        run_mock(host=host, port=port, agents=agents, script=script, pace=pace, cors=cors, quiet=quiet)


def demo(
    agent_id: Annotated[
        str | None,
        typer.Argument(metavar="[AGENT_ID]", help="ID of an agent on the live service."),
    ] = None,
    allow_http: AllowHttp = False,
    debug: Debug = False,
) -> None:
    """Stream a reply and duplicate an agent on a mock server.

    With AGENT_ID, do the same on the live service with the key from MILLIS_API_KEY. This may cost money and
    creates a real copy.
    """
    from millis_wrapper.mock.demo import run_demo

    with writing():
        run_demo(agent_id, allow_http=allow_http)
