"""Generated models, pydantic models and dataclasses are sent like dicts."""

from __future__ import annotations

import dataclasses
import enum
import json
import unittest.mock
from typing import Any

import pydantic
import pytest
from millis_api.models import (
    AgentConfig,
    AgentConfigOverride,
    AssistantMessage,
    ToolMessage,
    UserMessage,
    Voice,
)
from millis_api.types import UNSET
from paths import EXAMPLES
from request_helpers import refusal, sent

from millis_wrapper.config import as_override, merge_configs
from millis_wrapper.errors import UnknownFieldWarning


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
