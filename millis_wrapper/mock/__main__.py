"""`python -m millis_wrapper.mock`: the mock server, until Ctrl-C."""

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
    """Run the mock as the command line says; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        serve(**vars(options))
    except ConfigurationError as error:
        print(f"millis_wrapper.mock: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        discard_stdout()
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
    cors: bool = False,
    quiet: bool = False,
) -> None:
    """Run the mock, and say where on stdout, until Ctrl-C or SIGTERM; also called by `millis mock`.

    The arguments are the options, as their help has them.

    Raises:
        ConfigurationError: the address cannot be had, or a file cannot be read.
    """
    from . import DEFAULT_AGENT_ID, MockMillis

    if not 0 <= pace < math.inf:
        raise ConfigurationError(f"--pace: must be a number of seconds, 0 or more, not {pace}")
    mock = MockMillis(pace=pace, cors=cors)
    if agents is not None:
        mock.load_agents(agents)
    if script is not None:
        mock.load_script(script)
    # So that a container, or a supervisor, stops it as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), mock.start(host=host, port=port):
        if not quiet:
            log = logging.getLogger("millis_wrapper.mock")
            log.addHandler(logging.StreamHandler())
            log.setLevel(logging.INFO)
        print(f"A mock of Millis AI runs at {mock.url} (Ctrl-C ends it).")
        print(f"Its agent is {DEFAULT_AGENT_ID}; those that fail on purpose are listed at {mock.url}/")
        print("In another terminal:")
        print(f"export MILLIS_BASE_URL={mock.url}")
        print("export MILLIS_API_KEY=any-key", flush=True)
        while True:
            time.sleep(3600)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m millis_wrapper.mock", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8787, help="0 is any free one (default: %(default)s)")
    parser.add_argument("--agents", metavar="FILE", help='JSON: [{"id": ..., "name": ..., "config": {...}}]')
    parser.add_argument("--script", metavar="FILE", help='JSON: what to say in turn, ["Hello!", "Goodbye."]')
    words = "between two words (default: %(default)s)"
    parser.add_argument("--pace", type=float, default=0.02, metavar="SECONDS", help=words)
    parser.add_argument("--cors", action="store_true", help="let web pages of any origin call the mock")
    parser.add_argument("--quiet", action="store_true", help="no line on stderr for each request")
    return parser


if __name__ == "__main__":
    sys.exit(main())
