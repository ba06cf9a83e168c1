"""The four tools; their docstrings are the descriptions that a model reads."""

from __future__ import annotations

import json
import secrets
from typing import Annotated, Any, Literal

import attrs
from anyio import Lock, fail_after
from mcp.server.mcpserver import Context
from pydantic import Field

from millis_wrapper import (
    APITimeoutError,
    AsyncMillis,
    ConfigurationError,
    RetryPolicy,
    StreamInterruptedError,
    contract,
)
from millis_wrapper.config import check_config as findings

MOST_TALKS = 100
SET_IT = "; set it in the `env` block of this server's entry in the MCP client's configuration"

_CONFIG = (
    "With agent_id: only the settings to override; each top-level key replaces the saved one. Without"
    " agent_id: the complete config of the agent."
)
_KIND = '"agent": the complete config of a saved agent; "override": agent_config of chat.'
_PATH = "Path of the field, such as flow.response_delay or tools[].timeout; or a word."


@attrs.define
class _Talk:
    """One conversation: the agent of every turn, and the history of complete turns."""

    agent: dict[str, Any]
    messages: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]])
    turn: Lock = attrs.field(factory=Lock)


class Tools:
    """The tools that call the service, with the client and the conversations of one server."""

    def __init__(self, client: AsyncMillis | None, time_limit: float) -> None:
        self.client = client
        self._time_limit = time_limit
        self._talks: dict[str, _Talk] = {}  # least recently used first

    async def chat(
        self,
        context: Context[None, Any],
        message: Annotated[str, Field(description="The user's message, which is sent unchanged.")],
        agent_id: Annotated[str | None, Field(description="ID of a saved agent; starts with `-`.")] = None,
        agent_config: Annotated[dict[str, Any] | None, Field(description=_CONFIG)] = None,
        metadata: Annotated[
            dict[str, Any] | None, Field(description="Values for the {name} placeholders in the prompt.")
        ] = None,
        conversation_id: Annotated[
            str | None, Field(description="Continues the conversation of an earlier result.")
        ] = None,
    ) -> dict[str, Any]:
        """Send one message to a Millis voice agent by text and return its complete reply.

        Use it to try out an agent or a changed config. Every call is a paid call to the live service. Start
        with agent_id, agent_config or both; to continue, pass the returned conversation_id instead. The
        server keeps the latest 100 conversations until it stops.

        Returns text, tool_calls, conversation_id, time_to_first_text (seconds) and ended: "done" or
        "finish_reason"; "eof" means that the service sent no end mark, so the reply may be incomplete.
        A reply that is known to be incomplete is an error that holds the partial text.
        """
        agent = {"agent_id": agent_id, "agent_config": agent_config, "metadata": metadata}
        talk = _Talk(agent) if conversation_id is None else self._talk(conversation_id, agent)
        # A Conversation would keep the received part of a reply when the call is canceled.
        messages = [*talk.messages, {"role": "user", "content": message}]
        stream = self._millis().chat.stream(messages, **talk.agent)
        try:
            with fail_after(self._time_limit):
                async with talk.turn, stream:
                    length = 0
                    async for text in stream.text_stream:
                        length += len(text)
                        await context.report_progress(length, message=text)
                    reply = await stream.get_final_reply()
        except TimeoutError:
            problem = f"no complete reply within {self._time_limit:g} s"
            raise StreamInterruptedError(problem, reply=stream.reply) from None
        talk.messages = [*messages, reply.message]
        conversation_id = conversation_id or secrets.token_hex(8)
        self._talks[conversation_id] = self._talks.pop(conversation_id, talk)
        while len(self._talks) > MOST_TALKS:
            del self._talks[next(iter(self._talks))]
        return {
            "text": reply.text,
            "conversation_id": conversation_id,
            "tool_calls": reply.tool_calls,
            "time_to_first_text": reply.time_to_first_text,
            "ended": reply.ended,
        }

    async def duplicate_agent(
        self, agent_id: Annotated[str, Field(description="ID of the agent to copy.")]
    ) -> dict[str, Any]:
        """Create a copy of a saved Millis agent in the user's account and return it.

        Use it only when the user asks for a copy. Every call creates another agent, and this server cannot
        delete agents: after an error, ask the user to check for a copy before you call it again.

        Returns id, name and config of the copy. Secrets in the config are masked as "****", so do not pass
        it to chat; pass the copy's id, and only the settings to override.
        """
        client = self._millis()
        try:
            with fail_after(self._time_limit):
                copy = await client.agents.duplicate(agent_id)
        except TimeoutError:
            problem = f"no response within {self._time_limit:g} s; a copy may exist"
            raise APITimeoutError(problem) from None
        config = contract.mask_secrets(copy.raw.get("config"))
        text = json.dumps({"id": copy.id, "name": copy.name, "config": config}, ensure_ascii=False)
        # The SDK cannot encode half of a surrogate pair; U+FFFD replaces it.
        result: dict[str, Any] = json.loads(
            text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        )
        return result

    def _millis(self) -> AsyncMillis:
        """Return the client; the first call creates it, so that the free tools work without a key."""
        if self.client is None:
            try:
                # Unknown keys are errors: a model does not see warnings, and the call costs money. A long
                # Retry-After is an error at once, well within the time limit.
                self.client = AsyncMillis(strict=True, max_retries=RetryPolicy(max_elapsed=20))
            except ConfigurationError as error:
                raise ConfigurationError(f"{error}{SET_IT}") from None
        return self.client

    def _talk(self, conversation_id: str, agent: dict[str, Any]) -> _Talk:
        """Return the conversation, checked that it can have another turn with `agent`."""
        talk = self._talks.get(conversation_id)
        if talk is None:
            raise ConfigurationError(
                f'conversation_id: no conversation "{conversation_id[:40]}"; this server keeps the latest'
                f" {MOST_TALKS} until it stops; start a new one with agent_id or agent_config"
            )
        for name, value in agent.items():
            if value is not None and value != talk.agent[name]:
                problem = "cannot change in a conversation; leave out conversation_id"
                raise ConfigurationError(f"{name}: {problem}")
        if talk.turn.locked():
            raise ConfigurationError("conversation_id: a turn is still in progress; wait for its result")
        return talk


async def check_config(
    config: Annotated[dict[str, Any], Field(description="The config to check.")],
    kind: Annotated[Literal["agent", "override"], Field(description=_KIND)] = "override",
) -> dict[str, Any]:
    """Check a Millis agent config for mistakes; free and offline.

    Use it before every chat with a changed config and before the user saves a config. Returns findings, each
    with path, level, message and fix (or null). Levels: "error" (the service rejects the
    config), "warning" (most likely a mistake), "hint". An empty list means that the check found no problem.
    """
    keys = ("path", "level", "message", "fix")
    return {"findings": [{key: getattr(each, key) for key in keys} for each in findings(config, kind)]}


async def describe_field(path: Annotated[str, Field(description=_PATH)]) -> dict[str, Any]:
    """Describe a field of a Millis agent config, chat request or response; free and offline.

    Use it before you write a setting, instead of guessing its name, unit or values. Returns fields: the type,
    unit, default, known values, description and origin (source) of the field, once for each component in
    which it differs. For an unknown path, fields is empty and nearest lists similar paths.
    """
    match = contract.find_field(path)
    if match.fields:
        fields = [*match.fields, *([match.in_override] if match.in_override else [])]
        return {"fields": [field._asdict() for field in fields], "nearest": []}
    nearest = [*match.suggestions, *(field.path for field in contract.search_fields(path))]
    return {"fields": [], "nearest": list(dict.fromkeys(nearest))[:20]}
