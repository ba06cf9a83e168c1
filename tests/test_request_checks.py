"""Invalid arguments are rejected before a request is sent, with a message that names the place."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest
from millis_api.models import AgentConfig, AgentConfigOverride, UserMessage
from request_helpers import HELLO, agent, call, refusal

from millis_wrapper._text import short_repr
from millis_wrapper.request import prepare_duplicate, write_messages
from millis_wrapper.results import ChatChunk, ChatReply, DuplicatedAgent


def test_an_agent_id_or_a_config_is_required() -> None:
    """The message names both arguments."""
    assert refusal(agent).startswith("agent_id or agent_config: ")


@pytest.mark.parametrize(
    "agent_id", ["", " ", ".", "..", "a b", "-OabC\n", "a\x00", "a\x1b[2J", "\ud800", "a" * 201]
)
def test_an_invalid_agent_id_is_rejected(agent_id: str) -> None:
    """An id must not be empty, contain whitespace or control characters, be too long, or be `.` or `..`."""
    for what in (lambda: agent(agent_id=agent_id), lambda: prepare_duplicate(agent_id)):
        assert refusal(what).startswith('agent_id: "')
        assert "not a valid agent id" in refusal(what)
        assert refusal(what).isprintable()


@pytest.mark.parametrize("agent_id", [7, b"-OabC", True, ["-OabC"]])
def test_an_agent_id_must_be_a_string(agent_id: Any) -> None:
    """The message names the type."""
    for what in (lambda: agent(agent_id=agent_id), lambda: prepare_duplicate(agent_id)):
        assert refusal(what).startswith("agent_id: ")
        assert refusal(what).endswith(f"got {type(agent_id).__name__}")


def test_duplicate_needs_an_id() -> None:
    """The method rejects None like other types."""
    missing: Any = None
    assert refusal(lambda: prepare_duplicate(missing)).startswith("agent_id: ")


class Other:
    """An object that is not a model but has its `to_dict` method."""

    def to_dict(self) -> list[str]:
        return ["prompt"]


@pytest.mark.parametrize(
    "config", ["prompt", 7, [], [("prompt", "p")], AgentConfigOverride, object(), Other()]
)
def test_a_config_must_be_a_dict_or_a_model(config: Any) -> None:
    """The message names the argument and the type."""
    message = refusal(lambda: agent(agent_config=config))
    assert message.startswith("agent_config: ")
    assert message.endswith(f"got {type(config).__name__}")


@pytest.mark.parametrize("metadata", ["x", 7, [("a", 1)]])
def test_metadata_must_be_a_dict(metadata: Any) -> None:
    """The message names the argument and the type."""
    message = refusal(lambda: agent(agent_id="x", metadata=metadata))
    assert message.startswith("metadata: ")
    assert message.endswith(f"got {type(metadata).__name__}")


@pytest.mark.parametrize("value", ["yes", 1, 0])
def test_switches_must_be_booleans(value: Any) -> None:
    """The string "no" would count as true."""
    message = refusal(lambda: agent(agent_id="x", include_metadata_in_prompt=value))
    assert message.startswith("include_metadata_in_prompt: ")
    assert message.endswith(short_repr(value))
    assert refusal(lambda: call(agent_id="x", end_of_session=value)).startswith("end_of_session: ")


@pytest.mark.parametrize("messages", [[], (), iter(())])
def test_at_least_one_message_is_required(messages: Any) -> None:
    """The message names the argument."""
    assert refusal(lambda: write_messages(messages)).startswith("messages: ")


class PydanticMessage(pydantic.BaseModel):
    role: str = "user"
    content: str = "Hi"


@pytest.mark.parametrize(
    "messages",
    [None, 7, {"role": "user", "content": "Hi"}, UserMessage(content="Hi"), PydanticMessage(), b"Hi"],
)
def test_messages_must_be_a_string_or_a_list(messages: Any) -> None:
    """A single message is not accepted as a list."""
    message = refusal(lambda: write_messages(messages))
    assert message.startswith("messages: ")
    assert message.endswith(f"got {type(messages).__name__}")


def test_the_system_role_is_rejected() -> None:
    """The message names the argument for system text."""
    message = refusal(lambda: write_messages([*HELLO, {"role": "system", "content": "Be kind"}]))
    assert message.startswith("messages[1].role: ")
    assert message.endswith('agent_config["prompt"]')


@pytest.mark.parametrize(
    ("message", "end"),
    [
        ({"role": "developer", "content": ""}, '"developer"'),
        ({"role": "User", "content": ""}, '"User"'),
        ({"role": None, "content": ""}, "None"),
        ({"content": ""}, "None"),
        ({"role": ["user"], "content": ""}, "['user']"),
        ({"role": "x" * 9000, "content": ""}, f'"{"x" * 38}…'),
    ],
)
def test_an_unknown_role_is_rejected(message: dict[str, Any], end: str) -> None:
    """The message names the place and lists the roles."""
    text = refusal(lambda: write_messages([message]))
    assert text.startswith("messages[0].role: ")
    assert '"user", "assistant" or "tool"' in text
    assert text.endswith(end)


@pytest.mark.parametrize(
    ("message", "given"),
    [
        ({"role": "user", "content": None}, "NoneType"),
        ({"role": "user", "content": [{"type": "text", "text": "x" * 9000}]}, "list"),
        ({"role": "user", "content": 7}, "int"),
        ({"role": "assistant", "content": b"x"}, "bytes"),
    ],
)
def test_content_of_another_type_is_rejected(message: dict[str, Any], given: str) -> None:
    """The message names the place and the type, but does not contain the value."""
    text = refusal(lambda: write_messages([message]))
    assert text.startswith("messages[0].content: ")
    assert text.endswith(given)


def test_the_first_message_may_have_another_index() -> None:
    """A conversation sends the messages after its history, and the error counts from the first one."""
    text = refusal(lambda: write_messages([*HELLO, {"role": "user", "content": 7}], first=4))
    assert text.startswith("messages[5].content: ")


def test_missing_content_is_rejected() -> None:
    """An assistant message with only tool calls needs empty content, as the contract requires."""
    text = refusal(lambda: write_messages([*HELLO, {"role": "assistant", "tool_calls": []}]))
    assert text.startswith("messages[1].content: is required")


@pytest.mark.parametrize("message", ["Hi", None, 7, ["user", "Hi"], UserMessage, ("role", "user")])
def test_a_message_must_be_a_dict_or_a_model(message: Any) -> None:
    """The message names the place and the type."""
    text = refusal(lambda: write_messages([message]))
    assert text.startswith("messages[0]: ")
    assert text.endswith(f"got {type(message).__name__}")


def test_a_reply_instead_of_its_message_is_rejected() -> None:
    """The message recommends `.message`."""
    reply: Any = ChatReply(text="Hi")
    text = refusal(lambda: write_messages([reply]))
    assert text.startswith("messages[0]: ")
    assert text.endswith("pass its .message")


@pytest.mark.parametrize(
    "config",
    [
        ChatReply(text="Hi"),
        ChatChunk("Hi", {}),
        DuplicatedAgent(id="-O", name=None, created_at=None, config=AgentConfig.from_dict({}), raw={}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_reply_chunk_or_copy_is_not_a_config(config: Any) -> None:
    """These objects are rejected although they have a `to_dict` method."""
    message = refusal(lambda: agent(agent_config=config))
    assert message.startswith("agent_config: ")
    assert f"got {type(config).__name__}" in message


@pytest.mark.parametrize(
    "message",
    [
        ChatChunk("Hi", {}),
        DuplicatedAgent(id="-O", name=None, created_at=None, config=None, raw={}),
        AgentConfigOverride(prompt="Hi"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_chunk_copy_or_config_is_not_a_message(message: Any) -> None:
    """These objects are rejected although they have a `to_dict` method."""
    assert refusal(lambda: write_messages([message])).startswith("messages[0]")
