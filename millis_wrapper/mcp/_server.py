"""The MCP server, which turns errors of the library into tool errors with advice for a model."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from inspect import cleandoc
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, InputRequiredResult, Tool, ToolAnnotations
from pydantic import ValidationError

from millis_wrapper import AsyncMillis, AuthenticationError, MillisError, StreamError, __version__
from millis_wrapper.errors import plain_message

from ._tools import SET_IT, Tools, check_config, describe_field

TIME_LIMIT = 50.0  # seconds; the Node SDK gives up after 60 s by default

_INSTRUCTIONS = (
    "Try, check and copy Millis AI voice agents. chat and duplicate_agent call the live service: chat costs"
    " money, and duplicate_agent creates an agent. check_config and describe_field are offline and free."
)
# Some clients repeat failed calls of read-only or idempotent tools, so a wrong hint costs money.
_ACTS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)
_READS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)


def create_server(*, client: AsyncMillis | None = None, time_limit: float = TIME_LIMIT) -> MCPServer[None]:
    """Return the MCP server; `run()` serves it on stdin and stdout.

    Args:
        client: The client that the tools use. It stays open. None creates one from the environment
            variables at the first call that needs it.
        time_limit: Seconds until `chat` and `duplicate_agent` give up.
    """
    tools = Tools(client, time_limit)

    @asynccontextmanager
    async def lifespan(_: MCPServer[None]) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await tools.close()

    server = _Server(
        "millis",
        version=__version__,
        instructions=_INSTRUCTIONS,
        lifespan=lifespan,
        log_level="WARNING",
    )
    for tool, hints in (
        (tools.chat, _ACTS),
        (tools.duplicate_agent, _ACTS),
        (check_config, _READS),
        (describe_field, _READS),
    ):
        server.add_tool(tool, description=cleandoc(tool.__doc__ or ""), annotations=hints)
    return server


class _Server(MCPServer[None]):
    """An MCP server that rejects unknown arguments and shows our errors; the SDK hides both."""

    async def list_tools(self) -> list[Tool]:
        """Return the tools, with schemas that do not allow unknown arguments."""
        tools = await super().list_tools()
        for tool in tools:
            tool.input_schema["additionalProperties"] = False
        return tools

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[None, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool.

        Raises:
            ToolError: The call failed; the text advises the model.
        """
        known = {tool.name: tool.input_schema["properties"] for tool in await self.list_tools()}
        for argument in arguments:
            if name in known and argument not in known[name]:
                raise ToolError(f"{argument}: unknown argument; {name} accepts {', '.join(known[name])}")
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if isinstance(cause := error.__cause__, MillisError):
                raise ToolError(_explain(cause)) from None
            if isinstance(cause, ValidationError) and type(error) is ToolError:
                problems = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in cause.errors())
                raise ToolError("; ".join(problems)) from None
            raise


def _explain(error: MillisError) -> str:
    """Return the text of an error, with the facts that a model needs before it repeats the call."""
    text = plain_message(error)
    if isinstance(error, AuthenticationError):
        text += SET_IT
    if isinstance(error, StreamError):
        text += "; the conversation does not contain this turn"
    if error.maybe_processed:
        text += "; the service may have processed this call, so ask the user before you repeat it"
    if isinstance(error, StreamError) and error.reply.text:
        text += f"\nIncomplete reply: {error.reply.text}"
    return text
