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
from typing import Any

from millis_wrapper import ConfigurationError
from millis_wrapper.options import is_loopback

_DRAIN_SECONDS = 3
# Proxies close idle connections earlier, so none sends a request over a connection that is being closed.
_KEEP_ALIVE_SECONDS = 75


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the gateway with the options of the command line, and return the exit status."""
    try:
        serve_gateway(**_options(arguments))
    except ConfigurationError as error:
        print(f"millis_wrapper.gateway: {error}", file=sys.stderr)
        return 2
    return 0


def serve_gateway(
    *, host: str = "127.0.0.1", port: int = 8788, model: Sequence[str] = (), cors: Sequence[str] = ()
) -> None:
    """Run the gateway until Ctrl-C or SIGTERM.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 picks a free one.
        model: Names for agents, each as NAME=AGENT_ID.
        cors: Origins of web pages that may use the gateway.

    Raises:
        ConfigurationError: An option or an environment variable is invalid, or the address is not available.
    """
    from . import create_app

    if not is_loopback(host) and not os.environ.get("MILLIS_GATEWAY_KEY", "").strip():
        raise ConfigurationError(
            f"--host: {host!r} may be reachable from other machines; set MILLIS_GATEWAY_KEY to the key that"
            " clients must send"
        )
    app = create_app(models=_models(model), cors=cors)
    import uvicorn

    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    config.access_log = False  # The argument of Config would change uvicorn's loggers everywhere.
    with suppress(KeyboardInterrupt), _listen(host, port) as listener:
        # Containers and supervisors stop a program with SIGTERM; handle it like Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        log = logging.getLogger("millis_wrapper.gateway")
        log.addHandler(logging.StreamHandler())
        log.setLevel(logging.INFO)
        name = f"[{host}]" if ":" in host else host
        log.info("The gateway runs at http://%s:%s/v1 (Ctrl-C stops it).", name, listener.getsockname()[1])
        log.info("Set OPENAI_BASE_URL to this address, and use an agent id as the model.")
        uvicorn.Server(config).run(sockets=[listener])


def _models(pairs: Sequence[str]) -> dict[str, str]:
    models: dict[str, str] = {}
    for pair in pairs:
        name, equals, agent_id = pair.partition("=")
        if not (name and equals and agent_id):
            raise ConfigurationError(f"--model: must be NAME=AGENT_ID, got {pair!r}")
        if name in models:
            raise ConfigurationError(f"--model: {name!r} is given twice; use each name once")
        models[name] = agent_id
    return models


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"--port: must be 0 to 65535, got {port}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigurationError(f"--host, --port: cannot listen on {host} port {port}: {error}") from None
    # Connections inherit this. Without it, each chunk waits until the client acknowledges the previous one.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _options(arguments: Sequence[str] | None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m millis_wrapper.gateway", description=__doc__)
    option = parser.add_argument
    option("--host", default="127.0.0.1", help="Address to listen on (default: %(default)s).")
    option("--port", type=int, default=8788, help="Port; 0 picks a free port (default: %(default)s).")
    many: Any = {"action": "append", "default": []}
    option("--model", metavar="NAME=AGENT_ID", help="Let clients use NAME as the model (repeatable).", **many)
    option("--cors", metavar="ORIGIN", help="Let web pages of ORIGIN use the gateway (repeatable).", **many)
    return vars(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
