"""Run the mock server until Ctrl-C: `python -m millis_wrapper.mock`."""

from __future__ import annotations

import argparse
import logging
import math
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from millis_wrapper._stdout import discard_stdout
from millis_wrapper.errors import ConfigurationError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the mock server with the options of the command line and return the exit status."""
    options = new_parser().parse_args(arguments)
    try:
        run_mock(**vars(options))
    except ConfigurationError as error:
        print(f"millis_wrapper.mock: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        discard_stdout()
        print(f"millis_wrapper.mock: could not write to stdout: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def run_mock(
    *,
    host: str,
    port: int,
    agents: str | None,
    script: str | None,
    pace: float,
    cors: bool,
    quiet: bool,
) -> None:
    """Run the mock server until Ctrl-C or SIGTERM, and print its URL on stdout; `millis mock` uses it, too.

    The arguments correspond to the options of the command line.

    Raises:
        ConfigurationError: The server cannot listen on the address, or a file is invalid.
    """
    from . import DEFAULT_AGENT_ID, MockMillis

    if not 0 <= pace < math.inf:
        raise ConfigurationError(f"--pace: must be a number of seconds, 0 or more, got {pace}")
    mock = MockMillis(pace=pace, cors=cors)
    mock.is_command = True
    if agents is not None:
        mock.load_agents(agents)
    if script is not None:
        mock.load_script(script)
    # SIGTERM, which containers and supervisors send, then has the same effect as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), mock.start(host=host, port=port):
        if not quiet:
            log = logging.getLogger("millis_wrapper.mock")
            log.addHandler(logging.StreamHandler())
            log.setLevel(logging.INFO)
        print(f"The mock server is running at {mock.url} (press Ctrl-C to stop it).")
        print(f"Its agent is {DEFAULT_AGENT_ID}; {mock.url}/ lists the failure scenarios.")
        print("In another terminal:")
        print(f"export MILLIS_BASE_URL={mock.url}")
        print("export MILLIS_API_KEY=any-key", flush=True)
        while True:
            time.sleep(3600)


def new_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m millis_wrapper.mock", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    port = "port to listen on; 0 picks a free port (default: %(default)s)"
    parser.add_argument("--port", type=int, default=8787, help=port)
    parser.add_argument(
        "--agents", metavar="FILE", help='JSON file with agents: [{"id": ..., "name": ..., "config": {...}}]'
    )
    parser.add_argument(
        "--script", metavar="FILE", help='JSON file with the replies, in order: ["Hello!", "Goodbye."]'
    )
    pace = "delay between two chunks of a reply, in seconds (default: %(default)s)"
    parser.add_argument("--pace", type=float, default=0.02, metavar="SECONDS", help=pace)
    parser.add_argument(
        "--cors", action="store_true", help="let web pages of any origin call the mock server"
    )
    parser.add_argument("--quiet", action="store_true", help="do not log requests on stderr")
    return parser


if __name__ == "__main__":
    sys.exit(main())
