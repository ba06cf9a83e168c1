"""`millis mock` and `millis demo`: the mock server, from millis_wrapper.mock."""

from __future__ import annotations

from typing import Annotated

import typer

from ._options import AllowHttp, Debug
from ._output import writing


def mock(
    host: Annotated[str, typer.Option("--host", metavar="HOST", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="0 is any free one.")] = 8787,
    agents: Annotated[
        str | None, typer.Option(metavar="FILE", help='JSON: [{"id": ..., "name": ..., "config": {...}}]')
    ] = None,
    script: Annotated[
        str | None, typer.Option(metavar="FILE", help='JSON: what to say in turn, ["Hello!", "Goodbye."]')
    ] = None,
    pace: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="Between two words.")] = 0.02,
    cors: Annotated[bool, typer.Option("--cors", help="Let web pages of any origin call the mock.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No line on stderr for each request.")] = False,
    debug: Debug = False,
) -> None:
    """Run a mock of the service, until Ctrl-C.

    It needs no key and no network. Point MILLIS_BASE_URL at the address that it prints.
    """
    from millis_wrapper.mock.__main__ import serve

    with writing():
        serve(host=host, port=port, agents=agents, script=script, pace=pace, cors=cors, quiet=quiet)


def demo(
    agent_id: Annotated[
        str | None,
        typer.Argument(metavar="[AGENT_ID]", help="An agent of the live service, with MILLIS_API_KEY set."),
    ] = None,
    allow_http: AllowHttp = False,
    debug: Debug = False,
) -> None:
    """Stream a reply and copy an agent, on a mock.

    With AGENT_ID it is the live service, which may cost you, and the copy is real.
    """
    from millis_wrapper.mock.demo import run

    with writing():
        run(agent_id, allow_http=allow_http)
