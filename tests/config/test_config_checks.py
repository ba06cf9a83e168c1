from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from config_cases import any_json, bounded, full_config, odd_configs
from hypothesis import given
from hypothesis import strategies as st
from paths import EXAMPLES
from schemas import CORPUS, read_json

from millis_wrapper.config import load_config
from millis_wrapper.config._checks import Kind, findings
from millis_wrapper.config._finding import Finding
from millis_wrapper.contract._validation import violations

CONFIG_FILES: dict[str, Any] = read_json(CORPUS / "config_files.json")
FILES = sorted((CORPUS / "config").glob("*.json"))
CASES = [pytest.param(case, id=f"{file.stem}: {case['why']}") for file in FILES for case in read_json(file)]
KINDS: tuple[Kind, ...] = ("agent", "override")


def found(config: Any, kind: Kind, metadata: Any = None) -> list[str]:
    return [str(finding) for finding in findings(config, kind, metadata)]


@pytest.mark.parametrize("case", CASES)
def test_a_config_gives_exactly_these_findings(case: Any) -> None:
    """Each case of the corpus gives its findings, in their order, and no others."""
    assert found(case["config"], case["kind"], case.get("metadata")) == case["finds"]


@pytest.mark.parametrize("name", CONFIG_FILES)
def test_a_realistic_config_gives_what_was_planted_in_it(name: str) -> None:
    """Configs as editors and scripts make them give no finding but those that were planted."""
    config = load_config(CORPUS / "config_files" / name)
    assert found(config, CONFIG_FILES[name]["kind"]) == CONFIG_FILES[name]["finds"]


def test_every_realistic_config_is_checked() -> None:
    """There are twenty of them, each in the list."""
    assert {file.name for file in (CORPUS / "config_files").iterdir()} == set(CONFIG_FILES)
    assert len(CONFIG_FILES) == 20


@pytest.mark.parametrize(
    ("name", "warned"),
    [
        ("chat-request-full", []),
        ("chat-request-minimal", []),
        ("chat-request-second-turn", []),
        ("chat-request-other-forms", []),
        ("agent-full", []),
        ("agent-minimal", []),
        ("agent-nulls", []),
    ],
)
def test_the_contracts_examples_give_no_false_alarm(name: str, warned: list[str]) -> None:
    """The rules find nothing in the examples of the contract but what is odd on purpose there."""
    example = read_json(EXAMPLES / f"{name}.json")
    config = example["agent"].get("agent_config", {}) if "agent" in example else example["config"]
    kind: Kind = "override" if "agent" in example else "agent"
    remarks = [finding for finding in findings(config, kind, None) if finding.level != "hint"]
    assert [(finding.level, finding.path) for finding in remarks] == [("warning", path) for path in warned]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_kind_of_finding_is_shown_with_and_without(file: Path) -> None:
    """The corpus holds a config that triggers each kind of finding, and one that does not."""
    assert {bool(case["finds"]) for case in read_json(file)} == {True, False}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("page", ["chat-request", "duplicate-answer"])
def test_the_full_examples_of_the_pages_have_no_error(page: str, kind: Kind) -> None:
    """What the vendor's own pages show is refused by nothing; its placeholders look wrong all the same."""
    example = read_json(CORPUS / "pages" / f"{page}.json")
    config = example["agent"]["agent_config"] if "agent" in example else example["config"]
    levels = [finding.level for finding in findings(config, kind, {})]
    assert "error" not in levels
    assert "hint" in levels


@bounded
@given(any_json | odd_configs, st.sampled_from(KINDS))
def test_any_json_gives_findings_and_no_crash(config: Any, kind: Kind) -> None:
    """Whatever comes in, findings come out: errors, then warnings, then hints. The input is left alone."""
    before = copy.deepcopy(config)
    levels = [finding.level for finding in findings(config, kind, {"name"})]
    assert config == before
    assert levels == sorted(levels, key=["error", "warning", "hint"].index)


@bounded
@given(odd_configs, st.sampled_from(KINDS))
def test_an_error_is_found_in_all_that_the_contract_refuses(config: Any, kind: Kind) -> None:
    """There is an error for each place that does not fit the contract, and never two for one place.

    Only null for what is not set is none in a saved agent's config, where the service may have written it.
    """
    component = {"agent": "AgentConfig", "override": "AgentConfigOverride"}[kind]
    errors = [finding.path for finding in findings(config, kind, None) if finding.level == "error"]
    assert len(errors) == len(set(errors))
    unset = ("temperature", "enabled", "do_not_call_detection", "enable_recording", "user_identifier_key")
    refused = [
        one
        for one in violations(config, component)
        if kind == "override" or one.value is not None or one.path[-1] not in unset
    ]
    assert len(errors) >= len(refused)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"vad_threshold": float("nan")}, "error: vad_threshold: nan "),
        ({"voice": {"provider": "openai", "voice_id": b"x"}}, "error: voice.voice_id: a bytes "),
        ({"flow": {7: True}}, 'error: flow["7"]: the key '),
        ({"prompt": "\ud800"}, "error: prompt: "),
        (b"{}", "error: a bytes "),
    ],
)
def test_what_json_cannot_say_is_one_error(config: Any, expected: str) -> None:
    """A value that could never be sent is told once, whatever else the contract would say of it."""
    (only,) = found(config, "override")
    assert only.startswith(expected)


def test_keys_that_look_like_list_indexes_do_not_upset_the_order() -> None:
    """Whatever the keys are called, findings can be put in order."""
    keys = ["[0]5[1]", "[0]x[1]", f"[{'1' * 5000}]", "[0][1]"]
    assert len(found(dict.fromkeys(keys, 1), "override")) == len(keys)


def test_a_config_that_holds_itself_is_one_error() -> None:
    """A circle is told as what it is, and the check comes to an end."""
    config = full_config()
    config["tools"].append(config)
    (only,) = found(config, "agent")
    assert only.startswith("error: ")
    assert "100 levels" in only


def test_a_finding_is_a_value() -> None:
    """Findings compare, hash, pickle and cannot be changed."""
    finding = Finding("prompt", "error", "is required", "add it")
    assert pickle.loads(pickle.dumps(finding)) == finding
    assert {finding, Finding("prompt", "error", "is required", "add it")} == {finding}
    with pytest.raises(AttributeError):
        finding.path = "voice"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
