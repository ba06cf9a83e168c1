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
def test_what_fits_the_contract_has_no_violation(name: str, component: str) -> None:
    """The contract's own examples fit it, values that nobody knows yet among them."""
    assert list(violations(json.loads((EXAMPLES / f"{name}.json").read_text()), component)) == []


def test_a_missing_key_is_a_place_of_its_own() -> None:
    """Each missing key is told once, at its own place, with the object that lacks it."""
    found = config_violations({"voice": {}, "tools": [{"name": "book"}]})
    assert [(violation.path, violation.kind, violation.value) for violation in found] == [
        (("voice", "provider"), "missing", {}),
        (("voice", "voice_id"), "missing", {}),
        (("tools", 0, "description"), "missing", {"name": "book"}),
    ]


def test_a_refused_key_is_a_place_of_its_own() -> None:
    """Each key that an object refuses is told once, with its value."""
    found = config_violations({"prompt": "Be kind.", "promt": 1, "x": None})
    assert [violation[:4] for violation in found] == [
        (("promt",), "extra", (), 1),
        (("x",), "extra", (), None),
    ]


def test_a_saved_config_refuses_no_key() -> None:
    """What the service answers with may hold keys that nobody knows."""
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
def test_a_wrong_type_names_all_right_ones(config: Any, place: Any, wanted: Any) -> None:
    """Where no form of a union fits the type, one violation names the types of all forms, once each."""
    assert [violation[:3] for violation in config_violations(config)] == [(place, "type", wanted)]


def test_null_is_refused_where_the_contract_says_so() -> None:
    """Five fields that need not be there are not null all the same: the service would refuse the request."""
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


def test_a_union_tells_the_violations_of_the_form_that_was_meant() -> None:
    """A value that has the type of one form is held against that form alone."""
    found = config_violations(
        {"session_data_webhook": {"url": 1}, "flow": {"response_delay": {"generic_delay": "x"}}}
    )
    assert [violation[:3] for violation in found] == [
        (("flow", "response_delay", "generic_delay"), "type", ("integer", "null")),
        (("session_data_webhook", "url"), "type", ("string",)),
    ]


def test_a_message_is_held_against_the_kind_that_its_role_names() -> None:
    """A tool's message lacks what tools' messages need, not what others need."""
    found = message_violations({"role": "tool", "content": "7"})
    assert [violation[:3] for violation in found] == [(("messages", 0, "tool_call_id"), "missing", ())]


def test_a_message_without_a_role_lacks_that_and_nothing_else() -> None:
    """Where several forms are equally right, the one that is nearest to the value tells the violations."""
    found = message_violations({"content": "Hello"})
    assert [violation[:2] for violation in found] == [(("messages", 0, "role"), "missing")]


def test_an_unknown_role_names_the_known_ones() -> None:
    """A constant that no form has is one violation, with the constants of all forms."""
    found = message_violations({"role": "system", "content": "Be kind."})
    assert [violation[:4] for violation in found] == [
        (("messages", 0, "role"), "constant", ("user", "assistant", "tool"), "system")
    ]


def test_a_lone_constant_and_any_other_rule_have_words() -> None:
    """A violation of a kind without a name of its own is told in jsonschema's words."""
    assert [violation[1:3] for violation in violations("DONE", "ChatStreamEnd")] == [
        ("constant", ("[DONE]",))
    ]
    assert [violation[1:3] + violation[4:] for violation in violations("x", "KnownVoicemailAction")] == [
        ("other", (), "'x' is not one of ['hangup', 'message']")
    ]


def test_without_jsonschema_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lacks the library is told what to install."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(ConfigurationError, match=r"jsonschema.* in a clone .* pip install '\.\[contract\]'"):
        config_violations({})
