"""millis_wrapper.contract.find_field and search_fields: a field by its path, or by a word."""

from __future__ import annotations

import pytest

from millis_wrapper.contract import find_field, search_fields


@pytest.mark.parametrize(
    ("path", "found", "component"),
    [
        ("flow.response_delay", "flow.response_delay", "Flow"),
        ("tools[0].params", "tools[].params", "Tool"),
        ("tools.params", "tools[].params", "Tool"),
        (" voice ", "voice", "AgentConfig"),
        ("agent.agent_config.flow.response_delay", "agent.agent_config.flow.response_delay", "Flow"),
        ("created_at", "created_at", "DuplicateAgentResponse"),
        ("choices[0].delta.content", "choices[].delta.content", "ChunkDelta"),
    ],
)
def test_a_path_leads_to_its_field(path: str, found: str, component: str) -> None:
    """Indexes are ignored, and each of the four roots is searched."""
    match = find_field(path)
    assert [(one.path, one.component) for one in match.fields] == [(found, component)]
    assert match.suggestions == ()


def test_a_path_into_a_union_returns_the_field_of_each_form() -> None:
    """The role exists in each kind of message."""
    found = find_field("messages[0].role").fields
    assert [one.component for one in found] == ["UserMessage", "AssistantMessage", "ToolMessage"]


@pytest.mark.parametrize(
    ("path", "suggestion"),
    [
        ("flow.respons_delay", "flow.response_delay"),
        ("user_start_first", "flow.user_start_first"),
        ("maxDuration", "session_timeout.max_duration"),
        ("tools[0].parms", "tools[].params"),
        ("voice.voice", "voice.voice_id"),
        ("Prompt", "prompt"),
        ("voice.settings.zzzz", "voice.settings"),
        ("tools.parms.name", "tools[].params[].name"),
        ("max_idel", "session_timeout.max_idle"),
        ("voiceId", "voice.voice_id"),
    ],
)
def test_an_unknown_path_returns_similar_paths(path: str, suggestion: str) -> None:
    """The best suggestion comes first, and there are at most three."""
    match = find_field(path)
    assert match.fields == ()
    assert match.suggestions[0] == suggestion
    assert len(match.suggestions) <= 3


@pytest.mark.parametrize("path", ["", "zzzzzz", "qqqq.zzzz", "prompt" * 100])
def test_an_unrelated_path_has_no_suggestions(path: str) -> None:
    """A wrong suggestion is worse than no suggestion."""
    assert find_field(path) == ((), None, ())


def test_a_field_that_differs_in_an_override_is_given_twice() -> None:
    """`prompt` and `voice` may be null and absent in an override; other fields are the same in both."""
    for path in ("prompt", "voice"):
        match = find_field(path)
        assert match.in_override is not None
        assert [(one.required, one.nullable) for one in (*match.fields, match.in_override)] == [
            (True, False),
            (False, True),
        ]
    assert find_field("flow").in_override is None
    assert find_field("voice.provider").in_override is None
    assert find_field("id").in_override is None


def test_a_field_names_the_keys_it_holds() -> None:
    """The keys are those of the object, or of each object in a list."""
    assert find_field("voice").fields[0].keys == ("provider", "voice_id", "model", "settings")
    assert find_field("tools[].params").fields[0].keys == ("name", "required", "type", "description")
    assert find_field("prompt").fields[0].keys == ()
    assert find_field("session_data_webhook").fields[0].keys == ("url", "headers")


@pytest.mark.parametrize("word", ["delay", "DELAY", " delay "])
def test_a_word_is_found_in_paths_and_descriptions(word: str) -> None:
    """A field is listed once, with its shortest path."""
    found = [one.path for one in search_fields(word)]
    assert {"flow.response_delay", "flow.response_delay.generic_delay"} <= set(found)
    assert not [path for path in found if path.startswith(("agent.agent_config", "config."))]
    assert len(set(found)) == len(found)
    assert "timezone" in [one.path for one in search_fields("time zone")]


def test_no_field_contains_a_word_that_is_nowhere() -> None:
    """An empty result, and no error; blank text matches nothing, either."""
    assert search_fields("zzzz") == ()
    assert search_fields("  ") == ()
