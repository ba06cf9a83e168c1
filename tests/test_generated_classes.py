"""The generated models as Python classes: construction, access by key, repr and help."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType
from typing import Any

import attrs
import millis_api
import pytest
from marks import NEEDS_DOCSTRINGS
from millis_api import models
from schemas import document


def test_models_can_be_constructed() -> None:
    """A message sets its role, unset fields are not sent, and a dict is accepted instead of a model."""
    request = models.ChatCompletionRequest(
        agent=models.ChatAgent(agent_config=models.AgentConfigOverride(llm=models.LLM(model="gpt-4o"))),
        messages=[models.UserMessage(content="Hi"), models.AssistantMessage(content="Hello")],
    )
    assert request.to_dict() == {
        "agent": {"agent_config": {"llm": {"model": "gpt-4o"}}},
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
    }
    mixed: Any = [{"name": "a", "description": "b"}, models.Tool(name="c", description="d")]
    assert models.AgentConfigOverride(tools=mixed).to_dict() == {
        "tools": [{"name": "a", "description": "b"}, {"name": "c", "description": "d"}]
    }


def test_a_known_key_that_is_set_as_an_item_is_sent() -> None:
    """`model["prompt"] = ...` sets the field of that name."""
    config = models.AgentConfigOverride()
    config["prompt"] = "Be kind."
    assert config.to_dict() == {"prompt": "Be kind."}
    config.prompt = "Be brief."
    assert config.to_dict() == {"prompt": "Be brief."}


def test_a_changed_copy_keeps_the_unknown_keys() -> None:
    """`attrs.evolve` keeps all data."""
    saved = models.AgentConfig.from_dict({"prompt": "Be kind.", "of_tomorrow": 1})
    assert attrs.evolve(saved, prompt="Be brief.").to_dict() == {"prompt": "Be brief.", "of_tomorrow": 1}


@pytest.mark.parametrize("module", [millis_api, models])
def test_dir_lists_lazy_names(module: ModuleType) -> None:
    """Editors and `help()` find the lazily imported names."""
    assert dir(module) == sorted(module.__all__)


def test_required_fields_are_required_by_the_constructor() -> None:
    """Parsing accepts data without them."""
    with pytest.raises(TypeError, match="voice_id"):
        models.Voice(provider="openai")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # the mistake under test


def test_a_field_can_be_accessed_by_its_key() -> None:
    """`in`, reading, setting and deleting by key work for fields and unknown keys."""
    config = models.AgentConfig.from_dict({"prompt": "Be brief.", "x_new": 1})
    assert [key in config for key in ("prompt", "x_new", "voice", "nothing")] == [True, True, False, False]
    assert (config["prompt"], config["x_new"]) == ("Be brief.", 1)
    config["prompt"], config["x_new"] = "Be kind.", 2
    assert (config.prompt, config.to_dict()) == ("Be kind.", {"prompt": "Be kind.", "x_new": 2})
    del config["prompt"], config["x_new"]
    assert config.to_dict() == {}
    for key in ("prompt", "nothing"):
        with pytest.raises(KeyError, match=key):
            _ = config[key]
        with pytest.raises(KeyError, match=key):
            del config[key]


def test_the_repr_shows_only_set_fields() -> None:
    """A printed config does not list unset fields."""
    flow = models.Flow.from_dict({"response_delay": 500, "interruption": {"allowed": None}, "x_new": 1})
    assert repr(flow) == (
        "Flow(interruption=Interruption(allowed=None), response_delay=500,"
        " additional_properties={'x_new': 1})"
    )
    assert repr(models.Flow()) == "Flow()"


def test_a_model_works_as_a_mapping() -> None:
    """Iteration, `keys`, `get`, `len` and `dict()` include exactly the set keys."""
    config = models.AgentConfig.from_dict({"x_new": 1, "prompt": "Be brief.", "timezone": None})
    assert list(config) == list(config.keys()) == ["x_new", "prompt", "timezone"]
    assert dict(config) == {"x_new": 1, "prompt": "Be brief.", "timezone": None}
    assert (len(config), len(models.Flow()), bool(models.Flow())) == (3, 0, True)
    assert (config.get("prompt"), config.get("voice"), config.get("llm", 1)) == ("Be brief.", None, 1)


def test_a_known_key_may_be_in_additional_properties() -> None:
    """The field wins if it is set. Nothing raises, and the key is written once."""
    flow = models.Flow(additional_properties={"response_delay": 1})
    assert (flow["response_delay"], flow.to_dict()) == (1, {"response_delay": 1})
    flow.response_delay = 2
    assert (flow["response_delay"], list(flow), flow.to_dict()) == (
        2,
        ["response_delay"],
        {"response_delay": 2},
    )
    del flow["response_delay"]
    assert flow.to_dict() == {}


@pytest.mark.parametrize(
    ("component", "value"),
    [
        ("AgentConfig", {"tools": [{"name": "a", "header": {"x-key": "S3CR3T"}}]}),
        ("AgentConfig", {"tools": [{"name": "a", "header": "S3CR3T"}]}),
        ("AgentConfig", {"tools": [{"name": "a", "header": ["x-key: S3CR3T"]}]}),
        ("AgentConfig", {"tools": [{"name": "a", "headers": {"x-key": "S3CR3T"}}]}),
        ("AgentConfig", {"tools": {"name": "a", "header": {"x-key": "S3CR3T"}}}),
        ("AgentConfig", {"app_functions": [{"name": "a", "credentials": {"api_key": "S3CR3T"}}]}),
        ("AgentConfig", {"session_data_webhook": {"url": "https://a", "headers": {"b": "S3CR3T"}}}),
        ("AgentConfig", {"session_data_webhook": "https://user:S3CR3T@example.com/"}),
        ("AgentConfig", {"x_new": {"password": "S3CR3T"}}),
        ("HeaderMap", {"x-key": "S3CR3T"}),
        ("Credentials", {"api_key": "S3CR3T"}),
        ("VoiceSettings", {"api_key": "S3CR3T"}),
        ("Tool", {"webhook": "https://user:S3CR3T@example.com"}),
        ("DuplicateAgentResponse", {"config": {"tools": [{"header": {"a": "S3CR3T"}}]}}),
    ],
)
def test_the_repr_masks_secrets(component: str, value: Any) -> None:
    """A log line or traceback with a config shows no header value, credential or password."""
    model = getattr(models, component).from_dict(value)
    assert "S3CR3T" not in repr(model)
    assert "****" in repr(model)
    assert model.to_dict() == value


def test_the_constructor_accepts_only_keyword_arguments() -> None:
    """A new required field does not change the meaning of existing calls."""
    make: Any = models.Voice
    with pytest.raises(TypeError, match="positional"):
        make("openai", "alloy")


@NEEDS_DOCSTRINGS
def test_help_shows_the_description_of_every_field() -> None:
    """The docstring of the class contains the descriptions of the contract."""
    text = inspect.getdoc(models.Flow) or ""
    assert "Attributes:" in text
    for field in attrs.fields(models.Flow):
        if field.name != "additional_properties":
            assert f"{field.name}: " in text


@NEEDS_DOCSTRINGS
def test_a_field_has_its_own_description_and_not_that_of_its_component() -> None:
    """A field that refers to a component has its own description."""
    found = 0
    for name, schema in document()["components"]["schemas"].items():
        for key, prop in schema.get("properties", {}).items():
            if "$ref" in prop:
                found += 1
                text = " ".join((inspect.getdoc(getattr(models, name)) or "").split())
                assert f"{key}: {prop['description']}" in text
    assert found >= 7


@NEEDS_DOCSTRINGS
def test_a_deprecated_field_is_marked() -> None:
    """Editors show the mark where the field is used."""
    assert "phone: Deprecated. " in (inspect.getdoc(models.CallTransfer) or "")


def test_no_function_rejects_a_new_value() -> None:
    """The sets of known values are open, so the models do not check them."""
    for name in models.__all__:
        module = importlib.import_module(getattr(models, name).__module__) if name.endswith("Dict") else None
        assert not [one for one in vars(module or models) if one.startswith("check_")]
