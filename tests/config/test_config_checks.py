from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from config_cases import any_json, bounded, full_config, invalid_configs
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
CASES = [pytest.param(case, id=f"{file.stem}: {case['name']}") for file in FILES for case in read_json(file)]
KINDS: tuple[Kind, ...] = ("agent", "override")


def found(config: Any, kind: Kind) -> list[str]:
    return [str(finding) for finding in findings(config, kind, None)]


def assert_findings(actual: list[Finding], expected: list[dict[str, Any]]) -> None:
    """Compare level and path exactly; message and fix by their key words, or the absence of a fix."""
    places = [(each["level"], each["path"]) for each in expected]
    assert [(finding.level, finding.path) for finding in actual] == places
    for finding, each in zip(actual, expected, strict=True):
        assert missing_words(finding.message, each["message"]) == [], str(finding)
        assert (finding.fix is None) == (each["fix"] is None), str(finding)
        assert missing_words(finding.fix or "", each["fix"] or []) == [], str(finding)


def missing_words(text: str, key_words: list[str]) -> list[str]:
    return [word for word in key_words if not re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-]|\.\d)", text)]


@pytest.mark.parametrize("case", CASES)
def test_a_config_has_exactly_these_findings(case: Any) -> None:
    """Every case of the corpus has the listed findings in the listed order."""
    assert_findings(findings(case["config"], case["kind"], case.get("metadata")), case["findings"])


@pytest.mark.parametrize("name", CONFIG_FILES)
def test_a_realistic_config_has_only_the_intended_findings(name: str) -> None:
    """Configs as editors and scripts write them cause no false alarms."""
    config = load_config(CORPUS / "config_files" / name)
    assert_findings(findings(config, CONFIG_FILES[name]["kind"], None), CONFIG_FILES[name]["findings"])


def test_every_realistic_config_is_checked() -> None:
    """The list contains all twenty files."""
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
def test_the_examples_of_the_contract_cause_no_false_alarm(name: str, warned: list[str]) -> None:
    """The examples have no errors or warnings except the listed ones."""
    example = read_json(EXAMPLES / f"{name}.json")
    config = example["agent"].get("agent_config", {}) if "agent" in example else example["config"]
    kind: Kind = "override" if "agent" in example else "agent"
    remarks = [finding for finding in findings(config, kind, None) if finding.level != "hint"]
    assert [(finding.level, finding.path) for finding in remarks] == [("warning", path) for path in warned]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_kind_of_finding_has_positive_and_negative_cases(file: Path) -> None:
    """Every file of the corpus has a config with findings and one without."""
    assert {bool(case["findings"]) for case in read_json(file)} == {True, False}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("page", ["chat-request", "duplicate-response"])
def test_the_full_examples_of_the_pages_have_no_error(page: str, kind: Kind) -> None:
    """The placeholders of the vendor's pages are hints instead of errors."""
    example = read_json(CORPUS / "pages" / f"{page}.json")
    config = example["agent"]["agent_config"] if "agent" in example else example["config"]
    levels = [finding.level for finding in findings(config, kind, {})]
    assert "error" not in levels
    assert "hint" in levels


@bounded
@given(any_json | invalid_configs, st.sampled_from(KINDS))
def test_any_json_gives_findings_and_no_crash(config: Any, kind: Kind) -> None:
    """The findings are sorted by level, and the config is not modified."""
    before = copy.deepcopy(config)
    levels = [finding.level for finding in findings(config, kind, {"name"})]
    assert config == before
    assert levels == sorted(levels, key=["error", "warning", "hint"].index)


@bounded
@given(invalid_configs, st.sampled_from(KINDS))
def test_every_violation_of_the_contract_is_an_error(config: Any, kind: Kind) -> None:
    """Every path that violates the contract has exactly one error.

    The exception is a null for an unset field in the config of a saved agent, which the service may write.
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
        (
            {"voice": {"provider": "openai", "voice_id": b"x"}},
            "error: voice.voice_id: a bytes ",
        ),
        ({"flow": {7: True}}, 'error: flow["7"]: the key '),
        ({"prompt": "\ud800"}, "error: prompt: "),
        (b"{}", "error: a bytes "),
    ],
)
def test_a_value_that_json_does_not_support_is_one_error(config: Any, expected: str) -> None:
    """A value that cannot be sent is not reported again as a violation of the contract."""
    (only,) = found(config, "override")
    assert only.startswith(expected)


def test_a_thousand_unknown_keys_have_a_suggestion() -> None:
    """Every unknown key of a config with more of them is reported, without a suggestion."""
    tools = [
        {"name": f"tool_{number}", "description": "", "webhok": "https://a.co"} for number in range(1100)
    ]
    fixes = [finding.fix for finding in findings({"tools": tools}, "override", None)]
    assert [bool(fix) for fix in fixes] == [True] * 1000 + [False] * 100


def test_keys_that_look_like_list_indexes_can_be_sorted() -> None:
    """Findings are sorted whatever the names of the keys are."""
    keys = ["[0]5[1]", "[0]x[1]", f"[{'1' * 5000}]", "[0][1]"]
    assert len(found(dict.fromkeys(keys, 1), "override")) == len(keys)


def test_a_config_that_contains_itself_is_one_error() -> None:
    """The check ends with an error about the depth."""
    config = full_config()
    config["tools"].append(config)
    (only,) = found(config, "agent")
    assert only.startswith("error: ")
    assert "100 levels" in only


def test_a_finding_is_a_value() -> None:
    """Findings can be compared, hashed and pickled, and are immutable."""
    finding = Finding("prompt", "error", "is required", "add it")
    assert pickle.loads(pickle.dumps(finding)) == finding
    assert {finding, Finding("prompt", "error", "is required", "add it")} == {finding}
    with pytest.raises(AttributeError):
        finding.path = "voice"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
