"""Serve Millis agents to OpenAI-compatible tools until Ctrl-C."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress

from millis_wrapper import ConfigurationError
from millis_wrapper._text import short_repr
from millis_wrapper.options import is_loopback


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the gateway with the options of the command line, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m millis_wrapper.gateway", description=__doc__)
    option = parser.add_argument
    option("--host", default="127.0.0.1", help="Address to listen on (default: %(default)s).")
    option("--port", type=int, default=8788, help="Port; 0 picks a free port (default: %(default)s).")
    name = "Let clients use NAME as the model (repeatable)."
    option("--model", action="append", default=[], metavar="NAME=AGENT_ID", help=name)
    origin = "Let web pages of ORIGIN use the gateway (repeatable)."
    option("--cors", action="append", default=[], metavar="ORIGIN", help=origin)
    try:
        serve_gateway(**vars(parser.parse_args(arguments)))
    except ConfigurationError as error:
        print(f"millis_wrapper.gateway: {error}", file=sys.stderr)
        return 2
    return 0


def serve_gateway(
    *, host: str = "127.0.0.1", port: int = 8788, model: Sequence[str] = (), cors: Sequence[str] = ()
) -> None:
    """Run the gateway with the options of the command line until Ctrl-C or SIGTERM.

    Raises:
        ConfigurationError: An option or an environment variable is invalid, or the address is not available.
    """
    from . import create_app

    if not is_loopback(host) and not os.environ.get("MILLIS_GATEWAY_KEY", "").strip():
        advice = "set MILLIS_GATEWAY_KEY to the key that clients must send"
        raise ConfigurationError(f"--host: {short_repr(host)} may be reachable from other machines; {advice}")
    models: dict[str, str] = {}
    for pair in model:
        name, _, agent_id = pair.partition("=")
        if not (name and agent_id):
            raise ConfigurationError(f"--model: must be NAME=AGENT_ID, got {short_repr(pair)}")
        if name in models:
            raise ConfigurationError(f"--model: {short_repr(name)} is given twice; use each name once")
        models[name] = agent_id
    app = create_app(models=models, cors=cors)
    import uvicorn

    # Proxies close idle connections earlier, so none sends a request over a connection that is being closed.
    config = uvicorn.Config(app, log_config=None, timeout_keep_alive=75, timeout_graceful_shutdown=3)
    logging.basicConfig(format="%(message)s")
    for logger in ("millis_wrapper.gateway", "uvicorn.access"):
        logging.getLogger(logger).setLevel(logging.INFO)
    with suppress(KeyboardInterrupt), _listen(host, port) as listener:
        # Containers and supervisors stop a program with SIGTERM; handle it like Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        address = f"[{host}]" if ":" in host else host
        port = listener.getsockname()[1]
        print(f"The gateway runs at http://{address}:{port}/v1 (Ctrl-C stops it).", file=sys.stderr)
        print("Set OPENAI_BASE_URL to this address, and use an agent id as the model.", file=sys.stderr)
        uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"--port: must be 0 to 65535, got {port}")
    try:
        listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        # create_server adds "(while attempting to bind on address ...)".
        reason = (error.strerror or str(error)).partition(" (")[0]
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {reason}; choose another host or port"
        ) from None
    # Connections inherit this. Without it, each chunk waits until the client acknowledges the previous one.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


if __name__ == "__main__":
    sys.exit(main())
