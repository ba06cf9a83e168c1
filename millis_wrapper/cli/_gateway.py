"""`millis gateway`: the OpenAI-compatible server from millis_wrapper.gateway."""

from __future__ import annotations

from typing import Annotated

import typer

from ._options import Debug


def gateway(
    host: Annotated[str, typer.Option("--host", metavar="HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="Port to listen on; 0 picks a free one.")] = 8788,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=AGENT_ID", help="Let clients use NAME as the model; repeat as needed."),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Let web pages of ORIGIN use the gateway; repeat as needed."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Serve agents to OpenAI-compatible tools.

    A tool sends its requests to the address that this command prints, with an agent id as the model. The
    gateway uses MILLIS_API_KEY and MILLIS_BASE_URL. With MILLIS_GATEWAY_KEY set, tools must send that key;
    without it, the gateway listens on this machine only.
    """
    from millis_wrapper.gateway.__main__ import serve_gateway

    serve_gateway(host=host, port=port, model=model or (), cors=cors or ())
