"""millis_wrapper.contract: components, fields and unknown keys."""

from __future__ import annotations

import subprocess
import sys

import pytest
from schemas import CORPUS, at, document, is_object, paths, read_json

from millis_wrapper import contract
from millis_wrapper._paths import format_path
from millis_wrapper.contract import Contract, Field, UnknownKey

AGENT = read_json(CORPUS / "pages" / "duplicate-response.json")
REQUEST = read_json(CORPUS / "pages" / "chat-request.json")


def unknown(value: object, component: str = "AgentConfigOverride") -> list[UnknownKey]:
    return list(contract.unknown_keys(value, component))


def field(path: str, component: str = "AgentConfig") -> Field:
    (found,) = [one for one in contract.fields(component) if one.path == path]
    return found


def test_the_installed_contract_is_that_of_the_project() -> None:
    """The generated package contains a copy of openapi/millis.yaml, which is parsed once."""
    assert contract.load() == document()
    assert contract.load() is contract.load()
    assert contract.load()["info"]["version"] == contract.VERSION


def test_a_component_is_found_by_name() -> None:
    """`component` returns the schema with that name."""
    assert contract.component("Voice")["required"] == ["provider", "voice_id"]


def test_the_message_for_an_unknown_component_suggests_a_similar_one() -> None:
    """`component`, `fields` and `unknown_keys` raise KeyError."""
    with pytest.raises(KeyError, match='no component "Voise"; did you mean Voice'):
        contract.component("Voise")
    with pytest.raises(KeyError, match='"Voise"'):
        contract.unknown_keys({}, "Voise")
    with pytest.raises(KeyError, match='"Voise"'):
        contract.fields("Voise")


@pytest.mark.parametrize(
    ("value", "component"), [(AGENT, "DuplicateAgentResponse"), (REQUEST, "ChatCompletionRequest")]
)
def test_the_vendors_examples_have_no_unknown_keys(value: object, component: str) -> None:
    """The contract lists every key of the complete examples."""
    assert unknown(value, component) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"promt": 1}, ("promt", "promt", "prompt")),
        (
            {"flow": {"interruption": {"first_message": True}}},
            ("flow.interruption.first_message", "first_message", "first_messsage"),
        ),
        (
            {"tools": [{"params": [{}, {"nmae": 1}]}]},
            ("tools[0].params[1].nmae", "nmae", "name"),
        ),
        ({"sessionTimeout": {}}, ("sessionTimeout", "sessionTimeout", "session_timeout")),
        ({"zzzzzz": 1}, ("zzzzzz", "zzzzzz", None)),
        (
            {"flow": {"response_delay": {"generic_dellay": 1}}},
            ("flow.response_delay.generic_dellay", "generic_dellay", "generic_delay"),
        ),
        ({"session_data_webhook": {"uri": ""}}, ("session_data_webhook.uri", "uri", "url")),
        ({"a.b\x1b": 1}, ('["a.b\\u001b"]', "a.b\x1b", None)),
        ({"voice": {"x y": 1}}, ('voice["x y"]', "x y", None)),
        ({7: 1}, ('["7"]', "7", None)),
    ],
)
def test_an_unknown_key_is_reported_with_its_path_and_the_closest_match(
    value: object, expected: tuple[str, str, str | None]
) -> None:
    """Unknown keys are found at any depth. Special characters in a key are quoted and escaped."""
    (found,) = unknown(value)
    assert (found.path, found.key, found.closest_match) == expected
    assert format_path(found.steps) == found.path


def test_at_most_a_hundred_different_unknown_keys_are_looked_up() -> None:
    """All unknown keys are found, but each lookup is slow."""
    found = unknown({f"prompt_{number}": 1 for number in range(150)})
    assert [one.closest_match for one in found] == ["prompt"] * 100 + [None] * 50
    found = unknown({"tools": [{f"name_{number}": 1} for number in range(150)]})
    assert [one.nearest for one in found] == [("tools[].name",)] * 100 + [()] * 50


def test_an_unknown_key_of_every_list_item_is_looked_up_once() -> None:
    """A list of 1,000 tools with the same misspelled key has 1,000 suggestions."""
    found = unknown({"tools": [{"nmae": 1} for _ in range(1000)]})
    assert {one.closest_match for one in found} == {"name"}
    assert len(found) == 1000


@pytest.mark.parametrize("path", [path for path in paths(AGENT) if is_object(at(AGENT, path))], ids=str)
def test_an_unknown_key_is_found_in_every_object(path: tuple[str | int, ...]) -> None:
    """Objects that accept any key are the exception."""
    holder = at(AGENT, path)
    holder["of_tomorrow"] = 1
    try:
        found = [one.key for one in unknown(AGENT, "DuplicateAgentResponse")]
    finally:
        del holder["of_tomorrow"]
    assert found == ([] if path[-1] in {"settings", "header", "credentials", "keywords"} else ["of_tomorrow"])


@pytest.mark.parametrize("value", [None, "text", 7, 1.5, True, [], {}, [{"a": 1}], ("x",), object()])
def test_values_of_another_type_have_no_unknown_keys(value: object) -> None:
    """A string instead of an object, or an object instead of a list, does not raise an error."""
    assert unknown({"voice": value, "flow": {"voicemail": value}, "llm": {"model": value}}) == []
    assert unknown({"prompt": value, "timezone": value, "first_message": [value]}) == []


@pytest.mark.parametrize("value", [None, "text", 7, ["text", 7, ("x",)], object()])
def test_a_value_that_is_not_a_config_has_no_unknown_keys(value: object) -> None:
    """The config, or a list in it, may be any value."""
    assert unknown(value) == []
    assert unknown({"tools": value, "switch_language": value}) == []


def test_a_tuple_counts_as_a_list() -> None:
    """Python callers may pass a tuple where JSON has a list."""
    assert [one.path for one in unknown({"tools": ({"nmae": 1},)})] == ["tools[0].nmae"]


def test_an_object_that_may_be_free_form_has_no_unknown_keys() -> None:
    """If one form of a union accepts any key, no key is unknown."""
    known = {"type": "object", "properties": {"a": {"type": "string"}}}
    either = {"anyOf": [known, {"type": "object"}]}
    document = {"components": {"schemas": {"Known": known, "Either": either}}}
    assert [one.key for one in Contract(document).unknown_keys({"b": 1}, "Known")] == ["b"]
    assert list(Contract(document).unknown_keys({"b": 1}, "Either")) == []


def test_the_known_keys_of_a_message_depend_on_its_role() -> None:
    """`tool_call_id` is known in a tool message and unknown in a user message."""
    messages = [
        {"role": role, "content": "", "tool_call_id": "1"} for role in ("user", "tool", "of_tomorrow")
    ]
    assert [one.path for one in unknown({"messages": messages}, "ChatCompletionRequest")] == [
        "messages[0].tool_call_id"
    ]
    assert unknown({"messages": [{"tool_call_id": "1"}]}, "ChatCompletionRequest") == []


def test_a_field_has_all_facts_of_the_contract() -> None:
    """A field has its path, type, null, unit, default, known values, origin and description."""
    delay = field("flow.response_delay")
    assert delay[:7] == (
        "flow.response_delay",
        "Flow",
        "integer or ResponseDelay",
        True,
        False,
        None,
        "milliseconds",
    )
    assert (delay.known, delay.origin) == ((), ("chat-page", "duplicate-page", "published-schema"))
    assert (delay.origin_of, delay.examples) == ({}, (400,))
    assert field("vad_threshold").origin_of == {"unit": "vendor-docs, medium"}
    assert delay.description.startswith("How long the agent waits")
    assert field("voice.provider").required
    assert not field("voice.provider").nullable
    assert field("voice.provider").known[:2] == ("elevenlabs", "openai")
    assert field("language").default == "en-US"
    assert field("call_settings.enable_recording").default is False
    assert field("tools[].header").type == "map of string"
    assert field("tools").type == "list of Tool"
    assert field("voice.settings").type == "free-form object"
    assert field("detail[].loc", "HTTPValidationError").type == "list of (string or integer)"
    assert field("detail[].input", "HTTPValidationError").type == "any value"


def test_the_fields_of_an_object_follow_the_object() -> None:
    """The order of the list is that of a reader: an object, then its fields."""
    listed = [one.path for one in contract.fields("AgentConfig")]
    start = listed.index("voice")
    assert listed[start : start + 5] == [
        "voice",
        "voice.provider",
        "voice.voice_id",
        "voice.model",
        "voice.settings",
    ]


def test_a_field_that_may_be_one_of_several_objects_lists_the_fields_of_each() -> None:
    """Each of the three kinds of messages has a role."""
    roles = [one for one in contract.fields("ChatCompletionRequest") if one.path == "messages[].role"]
    assert [(one.component, one.type) for one in roles] == [
        ("UserMessage", '"user"'),
        ("AssistantMessage", '"assistant"'),
        ("ToolMessage", '"tool"'),
    ]


def test_the_origin_belongs_to_the_place_of_an_object() -> None:
    """A page may show the same object in one place but not in another."""
    assert field("tools[].params[].name").origin == ("chat-page", "duplicate-page", "published-schema")
    assert field("millis_functions[].params[].name").origin == ("published-schema",)
    assert field("session_data_webhook.url").origin == ("published-schema",)
    assert field("agent.agent_config.prompt", "ChatCompletionRequest").origin == (
        "chat-page",
        "published-schema",
    )


def test_a_recursive_object_is_listed_once() -> None:
    """A contract with a cycle lists every field once."""
    tree = {
        "type": "object",
        "properties": {"child": {"$ref": "#/components/schemas/Tree"}, "leaf": {"type": "string"}},
    }
    cyclic = Contract({"components": {"schemas": {"Tree": tree}}})
    assert [one.path for one in cyclic.fields("Tree")] == ["child", "leaf"]
    assert [one.path for one in cyclic.unknown_keys({"child": {"child": {"x": 1}}}, "Tree")] == [
        "child.child.x"
    ]


def test_the_contract_module_needs_only_the_standard_library() -> None:
    """It imports no httpx, no attrs and no generated model."""
    code = """
import sys
from millis_wrapper import contract
list(contract.unknown_keys({"promt": 1}, "AgentConfigOverride"))
print([name for name in ("httpx", "attrs", "millis_api.models", "yaml") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
