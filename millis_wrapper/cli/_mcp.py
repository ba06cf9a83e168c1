"""`millis mcp`: the MCP server from millis_wrapper.mcp."""

from __future__ import annotations

import logging
import signal
import sys

from ._options import Debug
from ._output import note


def mcp(debug: Debug = False) -> None:
    """Run an MCP server for coding assistants on stdin and stdout.

    An MCP client starts this command; the guide shows its configuration. MILLIS_API_KEY and MILLIS_BASE_URL
    belong in the client's `env` block, since clients do not pass on other variables.
    """
    from millis_wrapper.mcp import create_server

    # Plain lines on stderr; otherwise the SDK logs in boxes, which log files of clients break apart.
    logging.basicConfig()
    server = create_server()
    if sys.stdin.isatty():
        note("millis mcp: waiting for an MCP client on stdin; press Ctrl-C to stop")
    # The SDK reads stdin in a thread, for which Python's own handler waits until the next line.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    server.run()
