from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from paths import EXAMPLES

from millis_wrapper.contract._validation import Violation, violations
from millis_wrapper.errors import ConfigurationError

REQUIRED = {"prompt": "", "voice": {"provider": "openai", "voice_id": "alloy"}}


def config_violations(config: object) -> list[Violation]:
    return list(violations(config, "AgentConfigOverride"))


def message_violations(*messages: object) -> list[Violation]:
    return list(violations({"agent": {}, "messages": list(messages)}, "ChatCompletionRequest"))


@pytest.mark.parametrize(
    ("name", "component"),
    [
        ("agent-full", "DuplicateAgentResponse"),
        ("agent-minimal", "DuplicateAgentResponse"),
        ("chat-request-full", "ChatCompletionRequest"),
        ("chat-request-minimal", "ChatCompletionRequest"),
        ("chat-request-second-turn", "ChatCompletionRequest"),
        ("chat-request-other-forms", "ChatCompletionRequest"),
        ("validation-error", "HTTPValidationError"),
    ],
)
def test_valid_data_has_no_violation(name: str, component: str) -> None:
    """The contract's own examples are valid, including values that are not known yet."""
    assert list(violations(json.loads((EXAMPLES / f"{name}.json").read_text()), component)) == []


def test_a_missing_key_is_one_violation() -> None:
    """Its path ends with the key, and its value is the object without the key."""
    found = config_violations({"voice": {}, "tools": [{"name": "book"}]})
    assert [(violation.path, violation.kind, violation.value) for violation in found] == [
        (("voice", "provider"), "missing", {}),
        (("voice", "voice_id"), "missing", {}),
        (("tools", 0, "description"), "missing", {"name": "book"}),
    ]


def test_a_refused_key_is_one_violation() -> None:
    """Its path ends with the key, and its value is the value of the key."""
    found = config_violations({"prompt": "Be kind.", "promt": 1, "x": None})
    assert [violation[:4] for violation in found] == [
        (("promt",), "extra", (), 1),
        (("x",), "extra", (), None),
    ]


def test_a_saved_config_may_have_unknown_keys() -> None:
    """A response of the service may contain keys that the contract does not list."""
    assert list(violations({**REQUIRED, "x": 1}, "AgentConfig")) == []


@pytest.mark.parametrize(
    ("config", "place", "wanted"),
    [
        ([], (), ("object",)),
        ({"prompt": 1}, ("prompt",), ("string", "null")),
        ({"llm": "gpt-4o"}, ("llm",), ("object", "null")),
        ({"language": True}, ("language",), ("string", "null")),
        ({"flow": {"response_delay": 0.5}}, ("flow", "response_delay"), ("integer", "object", "null")),
        ({"knowledge_base": {"files": ["a", 1]}}, ("knowledge_base", "files", 1), ("string",)),
    ],
)
def test_a_wrong_type_lists_all_accepted_types(config: Any, place: Any, wanted: Any) -> None:
    """For a union, one violation lists the types of all its forms, each one once."""
    assert [violation[:3] for violation in config_violations(config)] == [(place, "type", wanted)]


def test_null_is_refused_for_optional_fields_that_are_not_nullable() -> None:
    """The service refuses a request with null in any of these five fields."""
    config: dict[str, Any] = {
        "llm": {"model": "gpt-4o", "temperature": None},
        "flow": {"dtmf_dial": {"enabled": None, "instruction": None}},
        "privacy_settings": {"opt_out_data_collection": False, "do_not_call_detection": None},
        "call_settings": {"enable_recording": None},
        "memory": {"user_identifier_key": None},
    }
    assert [violation[:3] for violation in config_violations(config)] == [
        (("flow", "dtmf_dial", "enabled"), "type", ("boolean",)),
        (("llm", "temperature"), "type", ("number",)),
        (("privacy_settings", "do_not_call_detection"), "type", ("boolean",)),
        (("call_settings", "enable_recording"), "type", ("boolean",)),
        (("memory", "user_identifier_key"), "type", ("string",)),
    ]
    request: dict[str, Any] = {"agent": {"agent_config": config}, "messages": []}
    assert len(list(violations(request, "ChatCompletionRequest"))) == 5


def test_a_union_reports_the_violations_of_the_matching_form() -> None:
    """A value with the type of one form is validated against that form only."""
    found = config_violations(
        {"session_data_webhook": {"url": 1}, "flow": {"response_delay": {"generic_delay": "x"}}}
    )
    assert [violation[:3] for violation in found] == [
        (("flow", "response_delay", "generic_delay"), "type", ("integer", "null")),
        (("session_data_webhook", "url"), "type", ("string",)),
    ]


def test_a_message_is_validated_against_the_kind_of_its_role() -> None:
    """A message of the role "tool" lacks only the keys that tool messages need."""
    found = message_violations({"role": "tool", "content": "7"})
    assert [violation[:3] for violation in found] == [(("messages", 0, "tool_call_id"), "missing", ())]


def test_a_message_without_a_role_has_one_violation() -> None:
    """If several forms match equally well, the violations are those of the closest form."""
    found = message_violations({"content": "Hello"})
    assert [violation[:2] for violation in found] == [(("messages", 0, "role"), "missing")]


def test_an_unknown_role_lists_the_known_roles() -> None:
    """A constant of no form is one violation, with the constants of all forms."""
    found = message_violations({"role": "system", "content": "Be kind."})
    assert [violation[:4] for violation in found] == [
        (("messages", 0, "role"), "constant", ("user", "assistant", "tool"), "system")
    ]


def test_a_constant_and_any_other_rule_are_reported() -> None:
    """A violation of any other rule has the message of jsonschema."""
    assert [violation[1:3] for violation in violations("DONE", "ChatStreamEnd")] == [
        ("constant", ("[DONE]",))
    ]
    assert [violation[1:3] + violation[4:] for violation in violations("x", "KnownVoicemailAction")] == [
        ("other", (), "'x' is not one of ['hangup', 'message']")
    ]


def test_the_message_for_a_missing_jsonschema_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message contains the command that installs the extra."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(ConfigurationError, match=r"jsonschema.* in a clone .* pip install '\.\[contract\]'"):
        config_violations({})
