from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from config_cases import any_json, bounded, containers, full_config, invalid_configs
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

RESPONSE = {"id": "-O", "name": "Copy", "config": {"prompt": "Be kind."}, "created_at": 1}
configs = st.dictionaries(st.sampled_from(["prompt", "flow", "voice", "of_tomorrow"]), any_json)


# check_config


def test_the_default_kind_is_the_config_of_a_saved_agent() -> None:
    """Without `kind`, `prompt` and `voice` are required."""
    assert [finding.path for finding in check_config({})] == ["prompt", "voice"]
    assert check_config({}, kind="override") == []


@pytest.mark.parametrize("model", [AgentConfig, AgentConfigOverride])
def test_a_model_has_the_same_findings_as_its_dict(
    model: type[AgentConfig] | type[AgentConfigOverride],
) -> None:
    """A generated model has the findings of the JSON from which it was created, also with invalid values."""
    config = {**full_config(), "llm": "gpt-4o", "of_tomorrow": 1, "timezone": "Mars/Base"}
    for kind in ("agent", "override"):
        assert check_config(model.from_dict(config), kind) == check_config(config, kind) != []


def test_a_dict_may_contain_models() -> None:
    """Generated models are accepted at any level of a dict."""
    (finding,) = check_config({"flow": Flow(response_delay=2)}, "override")
    assert finding.path == "flow.response_delay"


@pytest.mark.parametrize("metadata", [{"name": "Ada"}, Metadata.from_dict({"name": "Ada"})])
def test_placeholders_are_checked_against_the_metadata(metadata: dict[str, Any] | Metadata) -> None:
    """Metadata may be a dict or a model; without it, placeholders are not checked."""
    config = {"prompt": "Hello {name} of {city}."}
    (finding,) = check_config(config, "override", metadata)
    assert "{city}" in finding.message
    assert check_config(config, "override") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "saved"}, r'^kind: .*"agent" or "override".*saved'),
        ({"metadata": "name"}, "^metadata: .*a string"),
    ],
)
def test_invalid_arguments_raise(arguments: Any, message: str) -> None:
    """An invalid `kind` or `metadata` is an exception instead of a finding."""
    with pytest.raises(ConfigurationError, match=message):
        check_config({}, **arguments)


# as_override


def test_as_override_drops_unknown_top_level_keys() -> None:
    """The dropped keys are returned with their values."""
    saved = {**full_config(), "of_tomorrow": {"a": [1]}, "owner": None}
    assert as_override(saved) == Override(full_config(), {"of_tomorrow": {"a": [1]}, "owner": None})


def test_as_override_keeps_everything_else() -> None:
    """Nulls, unknown keys at deeper levels and invalid values are kept."""
    saved = {"prompt": None, "flow": {"of_tomorrow": 1}, "llm": "gpt-4o"}
    assert as_override(saved) == Override(saved, {})


@bounded
@given(invalid_configs)
def test_as_override_removes_the_errors_about_top_level_keys(config: dict[str, Any]) -> None:
    """The result of `as_override` passes the check of top-level keys."""
    found = check_config(as_override(config).config, "override")
    refused = [finding for finding in found if finding.level == "error" and "unknown key" in finding.message]
    assert refused == []


# merge_configs


def test_an_override_replaces_top_level_keys() -> None:
    """Objects are replaced instead of merged, a null replaces a value, and other keys are kept."""
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
def test_merging_keeps_every_key(base: dict[str, Any], override: dict[str, Any]) -> None:
    """Every key has the value of the override, or of the base if the override does not contain it."""
    merged = merge_configs(base, override)
    assert merged == {key: override.get(key, base.get(key)) for key in {**base, **override}}


# diff_configs


def test_equal_configs_have_no_differences() -> None:
    """A dict and a model with the same data are equal, and the diff is false."""
    diff = diff_configs(AgentConfig.from_dict(full_config()), full_config())
    assert diff == ConfigDiff({}, {}, {})
    assert not diff


def test_differences_are_listed_by_path() -> None:
    """Added and removed objects are listed as one value; changes are listed at the innermost path."""
    a = {"prompt": "A", "flow": {"response_delay": 400}, "tools": [{"name": "x"}, {"name": "y"}]}
    b = {"prompt": "B", "flow": {"dtmf_dial": {"enabled": True}}, "tools": [{"name": "x", "timeout": 5}]}
    diff = diff_configs(a, b)
    assert diff
    assert diff == ConfigDiff(
        added={"flow.dtmf_dial": {"enabled": True}, "tools[0].timeout": 5},
        removed={"flow.response_delay": 400, "tools[1]": {"name": "y"}},
        changed={"prompt": Change("A", "B")},
    )


def test_entries_lists_the_innermost_values() -> None:
    """Added and removed objects are split into their values; an empty list or object is one entry."""
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
def test_values_of_different_json_types_differ(before: Any, after: Any) -> None:
    """This includes values that Python considers equal, such as 1 and 1.0."""
    assert diff_configs({"x": before}, {"x": after}).changed == {"x": Change(before, after)}
    assert diff_configs({"x": after}, {"x": before}).changed == {"x": Change(after, before)}


def test_null_differs_from_a_missing_key() -> None:
    """A key with a null is listed as added or removed."""
    assert diff_configs({}, {"flow": None}) == ConfigDiff({"flow": None}, {}, {})
    assert diff_configs({"flow": None}, {}) == ConfigDiff({}, {"flow": None}, {})


def test_a_key_with_a_dot_has_a_distinct_path() -> None:
    """The path of the key `a.b` differs from that of `b` in `a`."""
    diff = diff_configs({"a.b": 1, "a": {"b": 1}}, {"a.b": 2, "a": {"b": 3}})
    assert diff.changed == {'["a.b"]': Change(1, 2), "a.b": Change(1, 3)}


@bounded
@given(configs, configs)
def test_configs_differ_if_and_only_if_their_json_differs(a: dict[str, Any], b: dict[str, Any]) -> None:
    """The order of keys does not matter."""
    same = json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
    assert bool(diff_configs(a, b)) is not same
    assert not diff_configs(a, copy.deepcopy(a))
    assert diff_configs(a, b).added == diff_configs(b, a).removed


# All of them


@bounded
@given(invalid_configs, invalid_configs)
def test_results_share_no_objects_with_arguments(a: dict[str, Any], b: dict[str, Any]) -> None:
    """The functions do not modify their arguments, and changing a result does not change an argument."""
    before = copy.deepcopy((a, b))
    override, diff = as_override(a), diff_configs(a, b)
    changes = [[change.before, change.after] for change in diff.changed.values()]
    results = [override.config, override.dropped, merge_configs(a, b), diff.added, diff.removed, changes]
    assert (a, b) == before
    assert not containers(results) & (containers(a) | containers(b))


@pytest.mark.parametrize(
    ("config", "key_word"),
    [
        ("Be kind.", "a string"),
        (None, "null"),
        ([1], "a list"),
        (RESPONSE, 'pass its "config"'),
        ({"x": {"y": {1, 2}}}, "a set"),
        ({"x": float("inf")}, "inf"),
    ],
)
def test_an_argument_that_is_not_a_config_raises(config: Any, key_word: str) -> None:
    """The message names the argument and the path."""
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
        assert str(caught.value).startswith((f"{name}: ", f"{name}.x"))
        assert key_word in str(caught.value)


def test_the_config_of_a_documented_response_works_as_an_override() -> None:
    """The full example of the vendor's page keeps every key and passes the check."""
    response = read_json(CORPUS / "pages" / "duplicate-response.json")
    override = as_override(AgentConfig.from_dict(response["config"]))
    assert override.dropped == {}
    assert not diff_configs(response["config"], override.config)
    assert not [finding for finding in check_config(override.config, "override") if finding.level == "error"]
