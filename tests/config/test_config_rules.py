from __future__ import annotations

from typing import Any

import pytest
from dateutil import tz

from millis_wrapper import contract
from millis_wrapper.config import _rules as config_rules


def test_each_rule_is_for_a_field_of_the_contract() -> None:
    """A field that is renamed in the contract does not lose its rule unnoticed."""
    known = {field.path for field in contract.fields("AgentConfigOverride")}
    rules = config_rules.rules_by_path()
    assert {path for path in rules if path not in known} == {"switch_language.languages[]"}
    assert "switch_language.languages" in known
    assert {path for path in rules if rules[path]} > {
        "timezone",
        "vad_threshold",
        "custom_llm_websocket",
        "tools[].webhook",
        "session_data_webhook",
        "session_data_webhook.url",
        "extra_prompt_webhook",
        "extra_prompt_webhook.url",
        "flow.call_transfer.phone",
        "flow.call_transfer.phones[].phone",
    }


def fields() -> dict[str, contract.Field]:
    return {field.path: field for field in contract.fields("AgentConfigOverride")}


def test_a_value_of_a_set_that_is_closed_in_requests_is_warned_of() -> None:
    """Where the contract marks a set as closed in requests, another value is a warning; elsewhere a hint."""
    sets = {path: field for path, field in fields().items() if field.known}
    assert {field.closed_in_requests for field in sets.values()} == {True, False}
    for path, field in sets.items():
        (remark,) = [remark for rule in config_rules.rules_by_path()[path] if (remark := rule("of-tomorrow"))]
        assert remark.level == ("warning" if field.closed_in_requests else "hint"), path


@pytest.mark.parametrize("unit", ["seconds", "milliseconds"])
def test_each_field_with_a_unit_has_its_rule(unit: str) -> None:
    """The contract's units decide which fields may have been given in the wrong one."""
    paths = [path for path, field in fields().items() if field.unit == unit]
    assert paths
    odd = {"seconds": 500_000, "milliseconds": 5}[unit]
    for path in paths:
        remarks = [remark for rule in config_rules.rules_by_path()[path] if (remark := rule(odd))]
        assert [remark.level for remark in remarks] == ["warning"]
        assert f"this field counts {unit}" in remarks[0].message


@pytest.mark.parametrize(
    "name",
    [
        *("/etc/passwd", "/usr/share/zoneinfo/UTC", "../../etc/passwd", "a/../../x", ":/etc/passwd"),
        *("posixrules", "posix/UTC", "right/UTC", "localtime", "C:\\x", "x\0y", "x" * 5000),
    ],
)
def test_only_what_looks_like_a_time_zone_is_looked_up(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No path from a config reaches the disk, and the machine's own zone is not taken for IANA's."""
    asked: list[str] = []
    monkeypatch.setattr(tz, "gettz", asked.append)
    (rule,) = config_rules.rules_by_path()["timezone"]
    assert rule(name) is not None
    assert asked == []


def test_all_of_ianas_time_zones_are_known() -> None:
    """Whatever name the installed data has is one."""
    from zoneinfo import available_timezones

    (rule,) = config_rules.rules_by_path()["timezone"]
    names = available_timezones() - {"localtime"}  # which some systems put among them
    assert len(names) > 400
    assert [name for name in sorted(names) if rule(name)] == []


@pytest.mark.parametrize("value", [1 << 999, -(1 << 999), 1.7e308, True, None, [], {}])
def test_no_value_is_choked_on(value: Any) -> None:
    """The largest number that a config may hold, and what is no number or text, go through every rule."""
    for rules in config_rules.rules_by_path().values():
        for rule in rules:
            rule(value)
