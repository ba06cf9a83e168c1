"""`python -m millis_wrapper.mock`: the service in a box, until Ctrl-C."""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from millis_wrapper._stdout import give_up
from millis_wrapper.errors import ConfigurationError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the mock as the command line says; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        serve(**vars(options))
    except ConfigurationError as error:
        print(f"millis_wrapper.mock: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        give_up()
        print(f"millis_wrapper.mock: stdout cannot be written to: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8787,
    agents: str | None = None,
    script: str | None = None,
    pace: float = 0.02,
) -> None:
    """Run the mock, and say where on stdout, until Ctrl-C or SIGTERM; also called by `millis mock`.

    `port`: 0 is any free one. `agents`, `script`: JSON files. `pace`: seconds between two words. Raises
    ConfigurationError for an address that cannot be had, and for a file that cannot be read.
    """
    from . import DEFAULT_AGENT_ID, MockMillis

    if not 0 <= pace < math.inf:
        raise ConfigurationError(f"--pace: {pace} is no number of seconds, 0 or more")
    mock = MockMillis(pace=pace)
    if agents is not None:
        mock.load_agents(agents)
    if script is not None:
        mock.load_script(script)
    # So that a container, or a supervisor, stops it as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), mock.start(host=host, port=port):
        print(f"The mock of Millis AI is at {mock.url} (Ctrl-C ends it).")
        print(f"Any key will do. An agent to talk to: {DEFAULT_AGENT_ID}")
        print(f"The ids of agents that fail on purpose: {mock.url}/", flush=True)
        while True:
            time.sleep(3600)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m millis_wrapper.mock", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8787, help="0 is any free one (default: %(default)s)")
    parser.add_argument("--agents", metavar="FILE", help='JSON: [{"id": ..., "name": ..., "config": {...}}]')
    parser.add_argument("--script", metavar="FILE", help='JSON: what to say in turn, ["Hello!", "Goodbye."]')
    parser.add_argument(
        "--pace",
        type=_seconds,
        default=0.02,
        metavar="SECONDS",
        help="between two words (default: %(default)s)",
    )
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, 0 or more")
    return value


if __name__ == "__main__":
    sys.exit(main())
