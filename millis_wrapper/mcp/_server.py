"""The MCP server, which turns errors of the library into tool errors with advice for a model."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from inspect import getdoc
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, InputRequiredResult, ToolAnnotations
from pydantic import ValidationError

from millis_wrapper import AsyncMillis, AuthenticationError, MillisError, StreamError, __version__
from millis_wrapper.errors import plain_message

from ._tools import SET_IT, Tools, check_config, describe_field

_INSTRUCTIONS = (
    "Try, check and copy Millis AI voice agents. chat and duplicate_agent call the live service: chat costs"
    " money, and duplicate_agent creates an agent. check_config and describe_field are offline and free."
)


def create_server(*, client: AsyncMillis | None = None, time_limit: float = 50.0) -> MCPServer[None]:
    """Return the MCP server; `run()` serves it on stdin and stdout.

    Args:
        client: The client that the tools use. It stays open. None creates one from the environment
            variables at the first call that needs it.
        time_limit: Seconds until `chat` and `duplicate_agent` give up. The Node SDK does so after 60 s.
    """
    tools = Tools(client, time_limit)

    @asynccontextmanager
    async def lifespan(_: MCPServer[None]) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            if client is None and tools.client is not None:
                await tools.client.close()

    listed: list[Tool] = []
    for function in (tools.chat, tools.duplicate_agent, check_config, describe_field):
        # Some clients repeat failed calls of read-only or idempotent tools, so a wrong hint costs money.
        is_free = function in (check_config, describe_field)
        hints = ToolAnnotations(
            read_only_hint=is_free,
            destructive_hint=False,
            idempotent_hint=is_free,
            open_world_hint=not is_free,
        )
        tool = Tool.from_function(function, description=getdoc(function), annotations=hints)
        tool.parameters["additionalProperties"] = False
        listed.append(tool)
    return _Server(
        "millis",
        version=__version__,
        instructions=_INSTRUCTIONS,
        tools=listed,
        lifespan=lifespan,
        log_level="WARNING",
    )


class _Server(MCPServer[None]):
    """An MCP server that rejects unknown arguments and shows our errors; the SDK hides both."""

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[None, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool.

        Raises:
            ToolError: The call failed; the text advises the model.
        """
        properties = {tool.name: tool.input_schema["properties"] for tool in await self.list_tools()}
        accepted = properties.get(name, arguments)  # The SDK rejects an unknown tool.
        for argument in arguments:
            if argument not in accepted:
                raise ToolError(f"{argument}: unknown argument; {name} accepts {', '.join(accepted)}")
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
    if error.maybe_processed:
        text += "; the service may have processed this call, so ask the user before you repeat it"
    if isinstance(error, StreamError):
        text += "; the conversation does not contain this turn"
        if error.reply.text:
            text += f"\nIncomplete reply: {error.reply.text}"
    return text
