"""A request contains exactly the arguments of the caller, unchanged."""

from __future__ import annotations

import copy
import dataclasses
import enum
import json
import unittest.mock
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pydantic
import pytest
from millis_api.api.agents import duplicate_agent
from millis_api.api.chat import create_chat_completion
from millis_api.models import (
    AgentConfig,
    AgentConfigOverride,
    AssistantMessage,
    ChatCompletionRequest,
    ToolMessage,
    UserMessage,
    Voice,
)
from millis_api.types import UNSET
from paths import EXAMPLES
from request_helpers import HELLO, agent, call, refusal, sent

from millis_wrapper import ToolCallDict
from millis_wrapper._json import is_array, is_object
from millis_wrapper.config import as_override, merge_configs
from millis_wrapper.errors import UnknownFieldWarning
from millis_wrapper.request import PreparedRequest, prepare_duplicate
from millis_wrapper.results import ChatReply

REQUESTS: list[dict[str, Any]] = [
    json.loads((EXAMPLES / f"chat-request-{name}.json").read_text())
    for name in ("full", "minimal", "other-forms")
]


def test_a_minimal_request_has_only_its_arguments() -> None:
    """The body does not contain defaults, nulls or empty objects for arguments that were not passed."""
    assert call(agent_id="-OabC") == PreparedRequest(
        "chat",
        "POST",
        "/chat/completions",
        b'{"agent":{"agent_id":"-OabC"},"messages":[{"role":"user","content":"Hello"}]}',
    )


def test_every_argument_is_sent_in_its_field() -> None:
    """The body contains exactly the passed arguments."""
    assert sent(
        [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": ""}],
        agent_id="-OabC",
        agent_config={"prompt": "p"},
        metadata={"name": "Ada", "none": None},
        include_metadata_in_prompt=False,
        end_of_session=True,
    ) == {
        "agent": {
            "agent_id": "-OabC",
            "agent_config": {"prompt": "p"},
            "metadata": {"name": "Ada", "none": None},
            "include_metadata_in_prompt": False,
        },
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": ""}],
        "end_of_session": True,
    }


def test_empty_values_are_sent() -> None:
    """An argument counts as not passed if it is None."""
    assert sent("", agent_config={}, metadata={}) == {
        "agent": {"agent_config": {}, "metadata": {}},
        "messages": [{"role": "user", "content": ""}],
    }


def test_text_is_sent_as_utf8() -> None:
    """The body contains characters instead of escapes."""
    content = call("Grüße \N{GRINNING FACE}", agent_id="x").content
    assert content is not None
    assert "Grüße \N{GRINNING FACE}".encode() in content


@pytest.mark.parametrize("request_", REQUESTS, ids=["full", "minimal", "other forms"])
def test_the_examples_of_the_contract_are_sent_unchanged(request_: dict[str, Any]) -> None:
    """The models do not lose or add a value."""
    given = copy.deepcopy(request_)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnknownFieldWarning)
        body = sent(given["messages"], end_of_session=given.get("end_of_session", False), **given["agent"])
    if not request_.get("end_of_session"):
        request_ = {key: value for key, value in request_.items() if key != "end_of_session"}
    assert body == {**request_, "agent": {k: v for k, v in request_["agent"].items() if v is not None}}


def one_at_a_time(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield, for each place in `value`, an object that contains only that place."""
    if is_object(value):
        children = [(f".{key}", child, _keyed(key)) for key, child in value.items()]
    else:
        children = [("[]", child, _listed) for child in value] if is_array(value) else []
    for step, child, wrap in children:
        yield step, wrap(child)
        yield f"{step}=null", wrap(None)
        for path, alone in one_at_a_time(child):
            yield step + path, wrap(alone)


def _listed(value: Any) -> Any:
    return [value]


def _keyed(key: str) -> Callable[[Any], Any]:
    return lambda value: {key: value}


OVERRIDES = dict(one_at_a_time(REQUESTS[0]["agent"]["agent_config"]))


@pytest.mark.parametrize("override", OVERRIDES.values(), ids=OVERRIDES)
def test_an_override_of_one_field_sends_only_that_field(override: dict[str, Any]) -> None:
    """Neighboring fields and defaults are not sent. Null is sent if the caller passed None."""
    assert sent(agent_id="x", agent_config=override)["agent"]["agent_config"] == override


def test_the_overrides_cover_the_entire_config() -> None:
    """The test above covers more than 200 places."""
    assert len(OVERRIDES) > 200


def test_generated_models_are_sent_like_dicts() -> None:
    """Unset fields are not sent, also for a model inside a dict."""
    assert sent(agent_config=AgentConfigOverride(prompt="p", language=None)) == sent(
        agent_config={"prompt": "p", "language": None}
    )
    voice = Voice(provider="openai", voice_id="v")
    assert sent(agent_config={"voice": voice}) == sent(
        agent_config={"voice": {"provider": "openai", "voice_id": "v"}}
    )
    history = [
        UserMessage(content="Hi"),
        AssistantMessage(content="Yes?"),
        ToolMessage(content="{}", tool_call_id="call_1"),
    ]
    assert sent(history, agent_id="x")["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "tool", "content": "{}", "tool_call_id": "call_1"},
    ]


def test_an_unset_value_in_a_plain_dict_is_rejected() -> None:
    """UNSET is a value of the generated models; a dict is sent unchanged."""
    assert refusal(lambda: sent(agent_config={"prompt": UNSET})).startswith("agent.agent_config.prompt: ")


class Provider(enum.StrEnum):
    OPENAI = "openai"


class PydanticVoice(pydantic.BaseModel):
    provider: Provider
    voice_id: str


class PydanticConfig(pydantic.BaseModel):
    prompt: str
    voice: PydanticVoice
    language: str = "de"
    webhook: pydantic.HttpUrl | None = pydantic.Field(None, alias="session_data_webhook")


class Dumpable:
    """Another kind of object with a `model_dump` method without arguments."""

    def model_dump(self) -> dict[str, Any]:
        return {"role": "user", "content": "Hi"}


@dataclasses.dataclass
class DataclassMessage:
    content: str
    role: str = "user"


@dataclasses.dataclass
class DataclassConfig:
    prompt: str
    voice: PydanticVoice


VOICE = PydanticVoice(provider=Provider.OPENAI, voice_id="v")
VOICE_DATA = {"provider": "openai", "voice_id": "v"}


def test_a_pydantic_model_is_sent_as_its_dump() -> None:
    """Defaults, nulls and aliases are included."""
    config = PydanticConfig(prompt="p", voice=VOICE, session_data_webhook=pydantic.HttpUrl("https://x.test/"))
    data = {"prompt": "p", "voice": VOICE_DATA, "language": "de", "session_data_webhook": "https://x.test/"}
    assert sent(agent_config=config)["agent"]["agent_config"] == data
    config.webhook = None
    assert sent(agent_config=config)["agent"]["agent_config"] == data | {"session_data_webhook": None}


def test_messages_may_be_dataclasses_and_objects_with_model_dump() -> None:
    """A history may mix them with dicts and generated models."""
    history = [
        DataclassMessage("Hi"),
        Dumpable(),
        UserMessage(content="Hi"),
        {"role": "user", "content": "Hi"},
    ]
    assert sent(history, agent_id="x")["messages"] == [{"role": "user", "content": "Hi"}] * 4


def test_models_and_dataclasses_may_be_nested() -> None:
    """Objects inside a dict or a dataclass are sent as their data."""
    data = {"prompt": "p", "voice": VOICE_DATA}
    assert sent(agent_config=DataclassConfig("p", VOICE))["agent"]["agent_config"] == data
    assert sent(agent_config={"prompt": "p", "voice": VOICE})["agent"]["agent_config"] == data
    assert sent(agent_id="x", metadata={"who": DataclassMessage("Hi")})["agent"]["metadata"] == {
        "who": {"role": "user", "content": "Hi"}
    }


def test_unknown_keys_of_models_are_reported() -> None:
    """The service ignores a misspelled field of a model the same way as a misspelled key."""

    class Misspelled(pydantic.BaseModel):
        first_mesage: str = "Hello"

    with pytest.warns(UnknownFieldWarning, match="first_mesage"):
        sent(agent_config=Misspelled())


def test_the_role_of_a_model_is_checked() -> None:
    """A model is checked like a dict."""
    message = DataclassMessage("Hi", role="system")
    assert refusal(lambda: sent([message], agent_id="x")).startswith("messages[0].role: ")


@pytest.mark.parametrize("value", [DataclassMessage, PydanticVoice, Dumpable, unittest.mock.Mock()])
def test_classes_and_mocks_are_not_messages(value: Any) -> None:
    """Something that only looks like a model is rejected."""
    assert refusal(lambda: sent([value], agent_id="x")).startswith("messages[0]: ")


def test_the_config_tools_accept_the_same_objects() -> None:
    """Configs that a chat accepts can also be checked and merged."""
    config = DataclassConfig("p", VOICE)
    assert merge_configs(config, PydanticVoice(provider=Provider.OPENAI, voice_id="w"))["voice_id"] == "w"
    assert as_override(config).config == {"prompt": "p", "voice": VOICE_DATA}


def test_the_config_of_a_copy_can_be_sent_unchanged() -> None:
    """Nulls and unknown keys are kept."""
    config = json.loads((EXAMPLES / "agent-nulls.json").read_text())["config"]
    assert sent(agent_config=AgentConfig.from_dict(config))["agent"]["agent_config"] == config


def test_a_reply_can_be_sent_as_a_message() -> None:
    """`reply.message` is a message for the next turn, including tool calls."""
    calls: list[ToolCallDict] = [
        {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    ]
    message = ChatReply(text="", tool_calls=calls).message
    assert sent([*HELLO, message], agent_id="x")["messages"][1] == {
        "role": "assistant",
        "content": "",
        "tool_calls": calls,
    }


def test_unknown_keys_of_messages_are_sent() -> None:
    """New keys of the service can be used at once."""
    message = {"role": "user", "content": "Hi", "name": "Ada", "new": [{"x": None}]}
    assert sent([message], agent_id="x")["messages"] == [message]


@pytest.mark.parametrize("messages", [tuple(HELLO), iter(HELLO), (message for message in HELLO)])
def test_messages_may_be_any_iterable(messages: Any) -> None:
    """A list, a tuple, an iterator and a generator are accepted."""
    assert sent(messages, agent_id="x")["messages"] == HELLO


def test_the_callers_arguments_are_not_changed() -> None:
    """The request is built from copies."""
    config: dict[str, Any] = {"prompt": "p", "voice": {"provider": "openai", "voice_id": "v"}, "tools": [{}]}
    messages = [{"role": "user", "content": "Hi"}]
    metadata = {"a": {"b": 1}}
    before = copy.deepcopy((config, messages, metadata))
    call(messages, agent_config=config, metadata=metadata)
    assert (config, messages, metadata) == before
    agent(agent_config=config)["agent_config"]["prompt"] = "changed"
    assert (config, messages, metadata) == before


def test_the_repr_of_a_request_does_not_show_its_content() -> None:
    """Prompts and messages do not appear in logs."""
    assert "Hello" not in repr(call(agent_id="x"))


# duplicate.


@pytest.mark.parametrize(
    ("agent_id", "path"),
    [
        ("-OabC_12", "/agents/-OabC_12/duplicate"),
        ("a/b", "/agents/a%2Fb/duplicate"),
        ("../x", "/agents/..%2Fx/duplicate"),
        ("a?b#c%2e", "/agents/a%3Fb%23c%252e/duplicate"),
        ("ä", "/agents/%C3%A4/duplicate"),
        ("a" * 200, f"/agents/{'a' * 200}/duplicate"),
    ],
)
def test_duplicate_has_the_agent_id_in_its_path(agent_id: str, path: str) -> None:
    """Any id stays a single segment of the path, and the body is None."""
    assert prepare_duplicate(agent_id) == PreparedRequest("duplicate", "POST", path, None)


def test_method_and_path_are_those_of_the_contract() -> None:
    """The values in the code equal those that the generator produces from the contract."""
    chat, duplicate = call(agent_id="x"), prepare_duplicate("a/b%c")
    generated = create_chat_completion._get_kwargs(body=ChatCompletionRequest.from_dict({}))  # pyright: ignore[reportPrivateUsage]
    assert (chat.method, chat.path) == (generated["method"].upper(), generated["url"])
    generated = duplicate_agent._get_kwargs("a/b%c")  # pyright: ignore[reportPrivateUsage]
    assert (duplicate.method, duplicate.path) == (generated["method"].upper(), generated["url"])
    assert set(generated) == {"method", "url"}, "the request has a body"
