"""The calls in the cassettes. scripts/record records them; test_cassettes.py plays them, sync and async."""

from __future__ import annotations

from typing import Any

import attrs

from millis_wrapper import AsyncMillis, ChatReply, DuplicatedAgent, Millis, MillisError, RetryPolicy
from millis_wrapper.mock import DEFAULT_AGENT_ID

Result = ChatReply | DuplicatedAgent | MillisError

# Retries do not wait, so that recording and playing are fast.
NO_WAITING = RetryPolicy(initial_delay=0, jitter=lambda: 0.0)


@attrs.frozen
class Chat:
    """One call of `chat.send`."""

    messages: Any = "Hello"
    arguments: dict[str, Any] = attrs.field(factory=dict[str, Any])


@attrs.frozen
class Talk:
    """One conversation; with `end_of_session`, its last turn ends the session."""

    turns: tuple[str, ...]
    end_of_session: bool = False


@attrs.frozen
class Duplicate:
    """One call of `agents.duplicate`."""


PreparedRequest = Chat | Talk | Duplicate


@attrs.frozen
class Scenario:
    """One cassette: a call to an agent, and the number of requests that the call makes.

    `live`: whether scripts/record --live can also record it from the live service, with the user's own
    agent.
    """

    name: str
    call: PreparedRequest
    agent_id: str = DEFAULT_AGENT_ID
    requests: int = 1
    live: bool = False


_TOOL_HISTORY: list[dict[str, Any]] = [
    {"role": "user", "content": "What is the weather in Berlin?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city":"Berlin"}'},
            }
        ],
    },
    {"role": "tool", "content": '{"celsius": 21}', "tool_call_id": "call_1"},
    {"role": "user", "content": "And in words?"},
]
_OVERRIDE = {
    "agent_config": {"prompt": "Answer {name} in one word.", "language": None},
    "metadata": {"name": "Ada"},
}

FULL_AGENT, SPARSE_AGENT = "-recorded-full-agent", "-recorded-sparse-one"

SCENARIOS = (
    Scenario("chat-plain", Chat(), live=True),
    Scenario("chat-three-turns", Talk(("Hello", "And tomorrow?", "Good bye")), requests=3, live=True),
    Scenario("chat-config-override", Chat(arguments=_OVERRIDE), live=True),
    Scenario("chat-tool-history", Chat(_TOOL_HISTORY), live=True),
    Scenario("chat-end-of-session", Talk(("Good bye",), end_of_session=True), live=True),
    Scenario("chat-401", Chat(), "-mock-401-----------"),
    Scenario("chat-404", Chat(), "-nobody-has-this-id-"),
    Scenario("chat-422", Chat(arguments={"agent_config": {"flow": {"response_delay": 1.5}}}), live=True),
    Scenario("chat-429-then-fine", Chat(), "-mock-429-1-then-ok-", requests=2),
    Scenario("chat-500", Chat(), "-mock-500-----------"),
    Scenario("duplicate-full", Duplicate(), FULL_AGENT, live=True),
    Scenario("duplicate-sparse", Duplicate(), SPARSE_AGENT),
    Scenario("duplicate-nulls", Duplicate(), "-mock-nulls---------"),
    Scenario("duplicate-unknown-fields", Duplicate(), "-mock-unknown-fields"),
    Scenario("duplicate-401", Duplicate(), "-mock-401-----------"),
    Scenario("duplicate-404", Duplicate(), "-nobody-has-this-id-"),
    Scenario("duplicate-422", Duplicate(), "-mock-422-----------"),
    Scenario("duplicate-429-then-fine", Duplicate(), "-mock-429-1-then-ok-", requests=2),
    Scenario("duplicate-500", Duplicate(), "-mock-500-----------"),
)


def play(scenario: Scenario, millis: Millis) -> Result:
    """Make the scenario's call and return its last reply, the copy or the error."""
    agent_id, call = scenario.agent_id, scenario.call
    try:
        if isinstance(call, Duplicate):
            return millis.agents.duplicate(agent_id)
        if isinstance(call, Chat):
            return millis.chat.send(call.messages, agent_id=agent_id, **call.arguments)
        with millis.chat.conversation(agent_id=agent_id) as talk:
            for text in call.turns[:-1]:
                talk.send(text)
            return talk.send(call.turns[-1], end_of_session=call.end_of_session)
    except MillisError as error:
        return error


async def aplay(scenario: Scenario, millis: AsyncMillis) -> Result:
    """The async form of `play`."""
    agent_id, call = scenario.agent_id, scenario.call
    try:
        if isinstance(call, Duplicate):
            return await millis.agents.duplicate(agent_id)
        if isinstance(call, Chat):
            return await millis.chat.send(call.messages, agent_id=agent_id, **call.arguments)
        async with millis.chat.conversation(agent_id=agent_id) as talk:
            for text in call.turns[:-1]:
                await talk.send(text)
            return await talk.send(call.turns[-1], end_of_session=call.end_of_session)
    except MillisError as error:
        return error
