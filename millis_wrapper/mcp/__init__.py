"""An MCP server for coding assistants: chat with an agent, duplicate it, check configs (extra `mcp`).

The command `millis mcp` runs it on stdin and stdout. A call that the client cancels closes its connection to
the service.
"""

from __future__ import annotations

from importlib.util import find_spec

from millis_wrapper.errors import missing_extra

if find_spec("mcp") is None:
    raise missing_extra("the MCP server", "mcp", "mcp")

from ._server import create_server

__all__ = ["create_server"]
