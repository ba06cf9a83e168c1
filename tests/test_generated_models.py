"""The generated models accept any data of the service and keep all of it."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from millis_api import models
from millis_api.types import Model, Unset
from schemas import CORPUS, EXAMPLES, Step, at, is_list, is_object, paths, read_json

AGENT = read_json(CORPUS / "pages" / "duplicate-response.json")
REQUEST = read_json(CORPUS / "pages" / "chat-request.json")
JSON_EXAMPLES: dict[str, type[Model]] = {
    "agent-full.json": models.DuplicateAgentResponse,
    "agent-minimal.json": models.DuplicateAgentResponse,
    "agent-nulls.json": models.DuplicateAgentResponse,
    "chat-request-full.json": models.ChatCompletionRequest,
    "chat-request-minimal.json": models.ChatCompletionRequest,
    "chat-request-second-turn.json": models.ChatCompletionRequest,
    "chat-request-other-forms.json": models.ChatCompletionRequest,
    "error.json": models.ErrorResponse,
    "validation-error.json": models.HTTPValidationError,
}


def read(component: str, value: Any) -> Model:
    model: Model = getattr(models, component).from_dict(value)
    return model


def replaced(value: Any, path: tuple[Step, ...], new: Any) -> Any:
    """Return a copy of `value` with `new` at `path`."""
    changed = copy.deepcopy(value)
    at(changed, path[:-1])[path[-1]] = new
    return changed


def without(value: Any, path: tuple[Step, ...]) -> Any:
    changed = copy.deepcopy(value)
    del at(changed, path[:-1])[path[-1]]
    return changed


def test_every_example_file_is_tested() -> None:
    """A new example is included automatically."""
    assert set(JSON_EXAMPLES) == {path.name for path in EXAMPLES.glob("*.json")}


@pytest.mark.parametrize("name", JSON_EXAMPLES)
def test_parsing_and_writing_keeps_the_data(name: str) -> None:
    """`from_dict(x).to_dict()` equals x, also after deepcopy and pickle, and is valid JSON."""
    value = read_json(EXAMPLES / name)
    model = JSON_EXAMPLES[name].from_dict(value)
    for one in (model, copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert one == model
        assert json.loads(json.dumps(one.to_dict())) == value


def raw_objects(value: Any, place: str) -> Iterator[str]:
    """Return the paths at which a model contains a dict instead of a model."""
    if is_object(value):
        yield place
    elif is_list(value):
        for number, item in enumerate(value):
            yield from raw_objects(item, f"{place}[{number}]")
    else:
        for field in getattr(value, "__attrs_attrs__", ()):
            if field.name != "additional_properties":
                yield from raw_objects(getattr(value, field.name), f"{place}.{field.name}")


@pytest.mark.parametrize("name", JSON_EXAMPLES)
def test_every_object_is_parsed_as_a_model(name: str) -> None:
    """This includes nested objects and objects in unions."""
    model = JSON_EXAMPLES[name].from_dict(read_json(EXAMPLES / name))
    assert list(raw_objects(model, "")) == []


@pytest.mark.parametrize("name", ["stream.txt", "stream-error.txt"])
def test_the_events_of_streams_are_kept_unchanged(name: str) -> None:
    """Each event of the example streams equals the output of its model."""
    lines = (EXAMPLES / name).read_text("utf-8").splitlines()
    data = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert data
    for value in data:
        component = "ChatCompletionChunk" if "choices" in value else "ChatStreamError"
        assert read(component, value).to_dict() == value


@pytest.mark.parametrize("junk", [None, "text", 7, 1.5, True, [], {}, ["x", None, {}], {"x": [1]}], ids=repr)
@pytest.mark.parametrize(
    ("component", "value"), [("AgentConfig", AGENT["config"]), ("ChatCompletionRequest", REQUEST)]
)
def test_any_value_at_any_place_is_accepted_and_kept(component: str, value: Any, junk: Any) -> None:
    """Any JSON value is parsed without an error and written unchanged."""
    for path in paths(value):
        changed = replaced(value, path, junk)
        assert read(component, changed).to_dict() == changed, path


@pytest.mark.parametrize(
    ("component", "value"), [("AgentConfig", AGENT["config"]), ("ChatCompletionRequest", REQUEST)]
)
def test_a_missing_key_stays_missing(component: str, value: Any) -> None:
    """Any key, even a required one, may be absent in parsed data, and is not written."""
    for path in paths(value):
        changed = without(value, path)
        assert read(component, changed).to_dict() == changed, path


def test_an_unexpected_value_does_not_affect_the_other_fields() -> None:
    """The object and its neighbors are still models."""
    tool = {
        "name": "a",
        "description": None,
        "params": [{"name": "b"}, 7],
        "method": "PATCH",
        "timeout": "soon",
    }
    config = models.AgentConfig.from_dict(
        {"voice": {"provider": "of-tomorrow"}, "tools": [tool, "a string", tool]}
    )
    assert isinstance(config.voice, models.Voice)
    assert config.voice.provider == "of-tomorrow"
    assert isinstance(config.voice.voice_id, Unset)
    assert isinstance(config.tools, list)
    parts: list[Any] = [*config.tools]
    first, kept, last = parts
    assert (type(first), kept, type(last)) == (models.Tool, "a string", models.Tool)
    assert (type(first.params[0]), first.params[1], first.method) == (models.ToolParam, 7, "PATCH")


def test_unknown_keys_are_kept_in_every_object() -> None:
    """They can be read and are written at the same place, at any depth."""
    value = copy.deepcopy(AGENT)
    for path in [(), *paths(AGENT)]:
        if is_object(at(value, path)):
            at(value, path)["of_tomorrow"] = {"deep": [1, None]}
    copied = models.DuplicateAgentResponse.from_dict(value)
    assert copied.to_dict() == value
    assert copied["of_tomorrow"] == {"deep": [1, None]}
    assert isinstance(copied.config.flow, models.Flow)
    assert "of_tomorrow" in copied.config.flow
    assert copied.config.flow.additional_keys == ["of_tomorrow"]


@pytest.mark.parametrize("key", AGENT["config"])
def test_an_override_of_one_field_sends_one_field(key: str) -> None:
    """Unset fields are not sent, so that no default overwrites a saved value."""
    assert models.AgentConfigOverride(**{key: AGENT["config"][key]}).to_dict() == {key: AGENT["config"][key]}
    assert read("AgentConfigOverride", {key: None}).to_dict() == {key: None}
    assert read("AgentConfigOverride", {key: AGENT["config"][key]}).to_dict() == {key: AGENT["config"][key]}


def test_the_role_decides_the_class_of_a_message() -> None:
    """A message with an unknown role stays unchanged data."""
    messages = [{"role": role, "content": ""} for role in ("tool", "user", "assistant", "of_tomorrow")]
    found = models.ChatCompletionRequest.from_dict({"messages": messages}).messages
    assert [type(one) for one in found] == [
        models.ToolMessage,
        models.UserMessage,
        models.AssistantMessage,
        dict,
    ]
    with pytest.raises(ValueError, match=r"UserMessage\.role"):
        models.UserMessage.from_dict({"role": "assistant", "content": ""})
