"""Arguments that are refused before anything is sent: the message names the place and says what to do."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest
from millis_api.models import AgentConfig, AgentConfigOverride, UserMessage
from request_helpers import HELLO, agent, call, refusal

from millis_wrapper.request import message_dicts, prepare_duplicate
from millis_wrapper.results import ChatChunk, ChatReply, DuplicatedAgent


def test_an_agent_has_to_be_named() -> None:
    """Neither an id nor a config: the message says to pass one."""
    assert refusal(agent) == ("agent_id or agent_config: pass at least one of them")


@pytest.mark.parametrize(
    "agent_id", ["", " ", ".", "..", "a b", "-OabC\n", "a\x00", "a\x1b[2J", "\ud800", "a" * 201]
)
def test_anything_but_an_agents_id_is_refused(agent_id: str) -> None:
    """Empty, with white space or controls, unending, or a step of a path: the same for chat and duplicate."""
    words = "is not a valid agent id; pass the id of a saved agent (20 letters, digits, - and _)"
    for what in (lambda: agent(agent_id=agent_id), lambda: prepare_duplicate(agent_id)):
        assert refusal(what).startswith("agent_id: '")
        assert refusal(what).endswith(words)
        assert refusal(what).isprintable()


@pytest.mark.parametrize("agent_id", [7, b"-OabC", True, ["-OabC"]])
def test_an_agents_id_is_text(agent_id: Any) -> None:
    """The message names the type."""
    words = f"agent_id: must be a str, got {type(agent_id).__name__}"
    assert refusal(lambda: agent(agent_id=agent_id)) == words
    assert refusal(lambda: prepare_duplicate(agent_id)) == words


def test_duplicate_needs_an_id() -> None:
    """None is refused like any other type."""
    missing: Any = None
    assert refusal(lambda: prepare_duplicate(missing)) == "agent_id: must be a str, got NoneType"


class Other:
    """Something else that has the method of a model."""

    def to_dict(self) -> list[str]:
        return ["prompt"]


@pytest.mark.parametrize(
    "config", ["prompt", 7, [], [("prompt", "p")], AgentConfigOverride, object(), Other()]
)
def test_a_config_is_a_dict_or_a_model(config: Any) -> None:
    """The message names the argument and the type."""
    assert refusal(lambda: agent(agent_config=config)) == (
        f"agent_config: must be a dict, model or dataclass, got {type(config).__name__}"
    )


@pytest.mark.parametrize("metadata", ["x", 7, [("a", 1)]])
def test_metadata_is_a_dict(metadata: Any) -> None:
    """The message names the argument and the type."""
    words = f"metadata: must be a dict, got {type(metadata).__name__}"
    assert refusal(lambda: agent(agent_id="x", metadata=metadata)) == words


@pytest.mark.parametrize("value", ["yes", 1, 0])
def test_switches_are_true_or_false(value: Any) -> None:
    """A word or a number is refused: `"no"` would count as yes."""
    assert refusal(lambda: agent(agent_id="x", include_metadata_in_prompt=value)) == (
        f"include_metadata_in_prompt: must be True or False, got {value!r}"
    )
    assert refusal(lambda: call(agent_id="x", end_of_session=value)) == (
        f"end_of_session: must be True or False, got {value!r}"
    )


@pytest.mark.parametrize("messages", [[], (), iter(())])
def test_there_have_to_be_messages(messages: Any) -> None:
    """The message says what to pass."""
    assert refusal(lambda: message_dicts(messages)) == (
        "messages: must not be empty; pass at least one message"
    )


class PydanticMessage(pydantic.BaseModel):
    role: str = "user"
    content: str = "Hi"


@pytest.mark.parametrize(
    "messages",
    [None, 7, {"role": "user", "content": "Hi"}, UserMessage(content="Hi"), PydanticMessage(), b"Hi"],
)
def test_messages_are_text_or_a_list(messages: Any) -> None:
    """A message alone is not taken for a list of them."""
    assert refusal(lambda: message_dicts(messages)) == (
        f"messages: must be a str or a list of messages, got {type(messages).__name__}"
    )


def test_there_is_no_system_role() -> None:
    """The message says where that text belongs."""
    assert refusal(lambda: message_dicts([*HELLO, {"role": "system", "content": "Be kind"}])) == (
        'messages[1].role: must not be "system"; put system text into agent_config["prompt"]'
    )


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ({"role": "developer", "content": ""}, "'developer'"),
        ({"role": "User", "content": ""}, "'User'"),
        ({"role": None, "content": ""}, "None"),
        ({"content": ""}, "None"),
        ({"role": ["user"], "content": ""}, "['user']"),
        ({"role": "x" * 9000, "content": ""}, f"'{'x' * 38}…"),
    ],
)
def test_a_role_that_the_contract_does_not_have_is_refused(message: dict[str, Any], shown: str) -> None:
    """The message names the place and lists the roles."""
    assert refusal(lambda: message_dicts([message])) == (
        f"messages[0].role: must be one of user, assistant, tool, got {shown}"
    )


@pytest.mark.parametrize(
    ("message", "given"),
    [
        ({"role": "user", "content": None}, "NoneType"),
        ({"role": "user", "content": [{"type": "text", "text": "x" * 9000}]}, "list"),
        ({"role": "user", "content": 7}, "int"),
        ({"role": "assistant", "content": b"x"}, "bytes"),
    ],
)
def test_content_of_another_type_is_refused(message: dict[str, Any], given: str) -> None:
    """The message names the place and what was there, not megabytes of it."""
    assert refusal(lambda: message_dicts([message])) == (
        f"messages[0].content: must be a str (empty if there is no text), got {given}"
    )


def test_content_that_is_missing_is_refused() -> None:
    """Also for an assistant's message with tool calls alone: the contract wants an empty text."""
    assert refusal(lambda: message_dicts([*HELLO, {"role": "assistant", "tool_calls": []}])) == (
        "messages[1].content: is missing; add a str (empty if there is no text)"
    )


@pytest.mark.parametrize("message", ["Hi", None, 7, ["user", "Hi"], UserMessage, ("role", "user")])
def test_a_message_is_a_dict_or_a_model(message: Any) -> None:
    """The message names the place and the type."""
    assert refusal(lambda: message_dicts([message])) == (
        f"messages[0]: must be a dict, model or dataclass, got {type(message).__name__}"
    )


def test_a_reply_in_place_of_its_message_is_refused() -> None:
    """The slip that everybody makes once gets the answer."""
    reply: Any = ChatReply(text="Hi")
    assert refusal(lambda: message_dicts([reply])) == (
        "messages[0]: must be a dict, model or dataclass, got ChatReply; pass its .message"
    )


@pytest.mark.parametrize(
    "config",
    [
        ChatReply(text="Hi"),
        ChatChunk("Hi", {}),
        DuplicatedAgent(id="-O", name=None, created_at=None, config=AgentConfig.from_dict({}), raw={}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_a_to_dict_is_not_a_config(config: Any) -> None:
    """Replies, chunks and copies can be written as JSON, too: they are refused, not sent as a config."""
    assert refusal(lambda: agent(agent_config=config)).startswith(
        f"agent_config: must be a dict, model or dataclass, got {type(config).__name__}"
    )


@pytest.mark.parametrize(
    "message",
    [
        ChatChunk("Hi", {}),
        DuplicatedAgent(id="-O", name=None, created_at=None, config=None, raw={}),
        AgentConfigOverride(prompt="Hi"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_a_to_dict_is_not_a_message(message: Any) -> None:
    """Neither a chunk of a reply nor a config is a message of the history."""
    assert refusal(lambda: message_dicts([message])).startswith("messages[0]")
