from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from config_cases import any_json, bounded, containers, full_config, odd_configs
from hypothesis import given
from hypothesis import strategies as st
from millis_api.models import AgentConfig, AgentConfigOverride, Flow, Metadata
from schemas import CORPUS, read_json

from millis_wrapper import ConfigurationError
from millis_wrapper.config import (
    Change,
    ConfigDiff,
    Override,
    as_override,
    check_config,
    diff_configs,
    merge_configs,
)

ANSWER = {"id": "-O", "name": "Copy", "config": {"prompt": "Be kind."}, "created_at": 1}
configs = st.dictionaries(st.sampled_from(["prompt", "flow", "voice", "of_tomorrow"]), any_json)


# check_config


def test_a_whole_config_is_the_usual_kind() -> None:
    """Without a kind, a config is held against what a saved agent has."""
    assert [finding.path for finding in check_config({})] == ["prompt", "voice"]
    assert check_config({}, kind="override") == []


@pytest.mark.parametrize("model", [AgentConfig, AgentConfigOverride])
def test_a_model_is_checked_as_its_dict_is(model: type[AgentConfig] | type[AgentConfigOverride]) -> None:
    """A generated model gives the findings of the JSON that it was read from, odd values and all."""
    config = {**full_config(), "llm": "gpt-4o", "of_tomorrow": 1, "timezone": "Mars/Base"}
    for kind in ("agent", "override"):
        assert check_config(model.from_dict(config), kind) == check_config(config, kind) != []


def test_a_dict_may_hold_models() -> None:
    """Models are data at any depth of a dict."""
    (finding,) = check_config({"flow": Flow(response_delay=2)}, "override")
    assert finding.path == "flow.response_delay"


@pytest.mark.parametrize("metadata", [{"name": "Ada"}, Metadata.from_dict({"name": "Ada"})])
def test_placeholders_are_held_against_the_metadata(metadata: dict[str, Any] | Metadata) -> None:
    """Metadata is taken as a dict or as the generated model; without it, placeholders are not looked at."""
    config = {"prompt": "Hello {name} of {city}."}
    assert [finding.fix for finding in check_config(config, "override", metadata)] == [
        "add city to the metadata"
    ]
    assert check_config(config, "override") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "saved"}, r'^kind: .*"agent" or "override".*saved'),
        ({"metadata": "name"}, "^metadata: .*a string"),
    ],
)
def test_wrong_arguments_are_told(arguments: Any, message: str) -> None:
    """What is no finding but a wrong call is an error that says what to pass."""
    with pytest.raises(ConfigurationError, match=message):
        check_config({}, **arguments)


# as_override


def test_a_saved_config_becomes_one_that_chat_accepts() -> None:
    """Top-level keys that the request would be refused for are left out, and handed over."""
    saved = {**full_config(), "of_tomorrow": {"a": [1]}, "owner": None}
    assert as_override(saved) == Override(full_config(), {"of_tomorrow": {"a": [1]}, "owner": None})


def test_all_else_stays_in_an_override() -> None:
    """Nulls, unknown keys further down and odd values are what the caller has, and are not lost."""
    saved = {"prompt": None, "flow": {"of_tomorrow": 1}, "llm": "gpt-4o"}
    assert as_override(saved) == Override(saved, {})


@bounded
@given(odd_configs)
def test_no_override_is_refused_for_a_key(config: dict[str, Any]) -> None:
    """No finding of an override made from any config is about a key at its top."""
    errors = check_config(as_override(config).config, "override")
    assert not [finding for finding in errors if "refuses a key" in finding.message]


# merge_configs


def test_the_override_wins_by_top_level_key() -> None:
    """A key of the override replaces the saved one whole, and so does a null; other keys stay."""
    base = {
        "prompt": "Be kind.",
        "flow": {"user_start_first": True, "response_delay": 400},
        "timezone": "UTC",
    }
    override = {"flow": {"response_delay": 100}, "timezone": None, "language": "de"}
    assert merge_configs(base, override) == {
        "prompt": "Be kind.",
        "flow": {"response_delay": 100},
        "timezone": None,
        "language": "de",
    }


@bounded
@given(configs, configs)
def test_merging_loses_no_key(base: dict[str, Any], override: dict[str, Any]) -> None:
    """Each key comes from the override if it is there, and from the base if not."""
    merged = merge_configs(base, override)
    assert merged == {key: override.get(key, base.get(key)) for key in {**base, **override}}


# diff_configs


def test_a_copy_differs_in_nothing() -> None:
    """The same config, as a dict and as a model, is no difference, and no difference is false."""
    diff = diff_configs(AgentConfig.from_dict(full_config()), full_config())
    assert diff == ConfigDiff({}, {}, {})
    assert not diff


def test_differences_are_told_by_path() -> None:
    """What one has and the other has not is told whole, what both have is told where it differs."""
    a = {"prompt": "A", "flow": {"response_delay": 400}, "tools": [{"name": "x"}, {"name": "y"}]}
    b = {"prompt": "B", "flow": {"dtmf_dial": {"enabled": True}}, "tools": [{"name": "x", "timeout": 5}]}
    diff = diff_configs(a, b)
    assert diff
    assert diff == ConfigDiff(
        added={"flow.dtmf_dial": {"enabled": True}, "tools[0].timeout": 5},
        removed={"flow.response_delay": 400, "tools[1]": {"name": "y"}},
        changed={"prompt": Change("A", "B")},
    )


def test_differences_can_be_shown_line_by_line() -> None:
    """What was added or removed comes leaf by leaf, an empty list or object as itself."""
    a: dict[str, Any] = {"prompt": "A", "tools": [{"name": "x", "params": []}], "llm": {}}
    b: dict[str, Any] = {
        "prompt": "B",
        "flow": {"call_transfer": {"phones": [{"phone": "+1415"}], "messages": []}},
    }
    assert list(diff_configs(a, b).entries()) == [
        ("-", "tools[0].name", "x"),
        ("-", "tools[0].params", []),
        ("-", "llm", {}),
        ("+", "flow.call_transfer.phones[0].phone", "+1415"),
        ("+", "flow.call_transfer.messages", []),
        ("~", "prompt", Change("A", "B")),
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (1, 1.0),
        (1, True),
        (0, False),
        (0, None),
        ("", None),
        ("1", 1),
        ([], {}),
        ([], None),
        ({}, None),
        (1.0, True),
    ],
)
def test_values_that_are_alike_are_not_the_same(before: Any, after: Any) -> None:
    """Values of different JSON types differ, even where Python calls them equal."""
    assert diff_configs({"x": before}, {"x": after}).changed == {"x": Change(before, after)}
    assert diff_configs({"x": after}, {"x": before}).changed == {"x": Change(after, before)}


def test_null_is_not_absent() -> None:
    """A key with null in it has been added or removed, and not left alone."""
    assert diff_configs({}, {"flow": None}) == ConfigDiff({"flow": None}, {}, {})
    assert diff_configs({"flow": None}, {}) == ConfigDiff({}, {"flow": None}, {})


def test_keys_with_odd_letters_have_paths_of_their_own() -> None:
    """A key `a.b` is not confused with `b` in `a`."""
    diff = diff_configs({"a.b": 1, "a": {"b": 1}}, {"a.b": 2, "a": {"b": 3}})
    assert diff.changed == {'["a.b"]': Change(1, 2), "a.b": Change(1, 3)}


@bounded
@given(configs, configs)
def test_configs_differ_exactly_when_their_json_does(a: dict[str, Any], b: dict[str, Any]) -> None:
    """A diff is false for the same JSON and for no other, whatever the order of the keys."""
    same = json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
    assert bool(diff_configs(a, b)) is not same
    assert not diff_configs(a, copy.deepcopy(a))
    assert diff_configs(a, b).added == diff_configs(b, a).removed


# All of them


@bounded
@given(odd_configs, odd_configs)
def test_results_share_nothing_with_what_was_given(a: dict[str, Any], b: dict[str, Any]) -> None:
    """Whoever changes a result changes no config of theirs, and no call changes one either."""
    before = copy.deepcopy((a, b))
    override, diff = as_override(a), diff_configs(a, b)
    changes = [[change.before, change.after] for change in diff.changed.values()]
    made = [override.config, override.dropped, merge_configs(a, b), diff.added, diff.removed, changes]
    assert (a, b) == before
    assert not containers(made) & (containers(a) | containers(b))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("Be kind.", "a string"),
        (None, "null"),
        ([1], "a list"),
        (ANSWER, "pass its `config`"),
        ({"x": {"y": {1, 2}}}, "a set"),
        ({"x": float("inf")}, "inf"),
    ],
)
def test_what_is_no_config_is_refused(config: Any, words: str) -> None:
    """Nothing is made of what cannot be sent, and the argument and the place are named."""
    calls: dict[str, Callable[[], object]] = {
        "config": lambda: as_override(config),
        "base": lambda: merge_configs(config, {}),
        "override": lambda: merge_configs({}, config),
        "a": lambda: diff_configs(config, {}),
        "b": lambda: diff_configs({}, config),
    }
    for name, call in calls.items():
        with pytest.raises(ConfigurationError) as caught:
            call()
        assert str(caught.value).startswith((f"{name}: ", f"{name}, x"))
        assert words in str(caught.value)


def test_a_copied_agent_goes_the_whole_way() -> None:
    """The config of the page's full answer is fit for chat as it is, and a true copy."""
    answer = read_json(CORPUS / "pages" / "duplicate-answer.json")
    override = as_override(AgentConfig.from_dict(answer["config"]))
    assert override.dropped == {}
    assert not diff_configs(answer["config"], override.config)
    assert not [finding for finding in check_config(override.config, "override") if finding.level == "error"]
