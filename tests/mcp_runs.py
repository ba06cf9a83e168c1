"""Connect the MCP SDK's client to `millis mcp`, over stdio or in this process."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, TextIO

import attrs
import paths
from cli_runs import KEY, MILLIS
from mcp import Client, StdioServerParameters, stdio_client
from mcp.server import MCPServer
from mcp.shared.dispatcher import ProgressFnT
from mcp.types import TextContent

from millis_wrapper import AsyncMillis
from millis_wrapper.mcp import create_server

AGENT = "-mock-agent---------"


@attrs.frozen
class Called:
    """The result of a tool call."""

    text: str
    data: dict[str, Any] | None
    is_error: bool


@attrs.frozen
class Host:
    """A client that is connected to a server."""

    client: Client

    async def call(self, tool: str, notified: ProgressFnT | None = None, **arguments: Any) -> Called:
        """Call a tool; `notified` gets its progress notifications."""
        result = await self.client.call_tool(tool, arguments, progress_callback=notified)
        (content,) = result.content
        assert isinstance(content, TextContent)
        return Called(content.text, result.structured_content, bool(result.is_error))

    async def result(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that succeeds and return its data."""
        called = await self.call(tool, **arguments)
        assert not called.is_error, called.text
        assert called.data is not None
        return called.data

    async def error(self, tool: str, notified: ProgressFnT | None = None, **arguments: Any) -> str:
        """Call a tool that fails and return its text."""
        called = await self.call(tool, notified, **arguments)
        assert called.is_error, called.text
        assert called.data is None
        assert KEY not in called.text
        return called.text


@asynccontextmanager
async def over_stdio(url: str, errors: TextIO) -> AsyncGenerator[Host]:
    """Start the server as the guide configures it, for the service at `url`.

    Args:
        url: The address of the service.
        errors: The file that gets the server's stderr.
    """
    guide = (paths.ROOT / "millis_wrapper" / "README.md").read_text("utf-8")
    (block,) = re.findall(r"^```json\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    entry = json.loads(block)["mcpServers"]["millis"]
    assert entry.keys() == {"command", "args", "env"}
    assert entry["command"].endswith("/.venv/bin/millis")
    env = dict.fromkeys(entry["env"], KEY) | {"MILLIS_BASE_URL": url}
    command = StdioServerParameters(command=MILLIS, args=entry["args"], env=env)
    async with Client(stdio_client(command, errlog=errors)) as client:
        yield Host(client)


@asynccontextmanager
async def in_process(server: MCPServer[None]) -> AsyncGenerator[Host]:
    """Connect to `server` in this process."""
    async with Client(server) as client:
        yield Host(client)


@asynccontextmanager
async def at(url: str, *, time_limit: float = 20) -> AsyncGenerator[Host]:
    """Connect to a server in this process whose client calls `url`."""
    async with AsyncMillis(KEY, base_url=url) as client:
        async with in_process(create_server(client=client, time_limit=time_limit)) as host:
            yield host
        assert not client.closed
