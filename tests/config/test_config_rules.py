from __future__ import annotations

from typing import Any

import pytest
from dateutil import tz

from millis_wrapper import contract
from millis_wrapper.config._rules import rules_by_path


def test_every_rule_is_for_a_field_of_the_contract() -> None:
    """The test fails if a field with a rule is renamed in the contract."""
    known = {field.path for field in contract.fields("AgentConfigOverride")}
    rules = rules_by_path()
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


def test_an_unknown_value_of_a_closed_set_is_a_warning() -> None:
    """If the contract does not mark the set as closed in requests, it is a hint."""
    sets = {path: field for path, field in fields().items() if field.known}
    assert {field.closed_in_requests for field in sets.values()} == {True, False}
    for path, field in sets.items():
        (found,) = [found for rule in rules_by_path()[path] if (found := rule("of-tomorrow"))]
        assert found.level == ("warning" if field.closed_in_requests else "hint"), path


@pytest.mark.parametrize("unit", ["seconds", "milliseconds"])
def test_every_field_with_a_unit_has_a_rule(unit: str) -> None:
    """A value that is likely to be in the wrong unit is a warning."""
    paths = [path for path, field in fields().items() if field.unit == unit]
    assert paths
    value = {"seconds": 500_000, "milliseconds": 5}[unit]
    for path in paths:
        (found,) = [found for rule in rules_by_path()[path] if (found := rule(value))]
        assert found.level == "warning"
        assert f"in {unit}, not" in found.message


@pytest.mark.parametrize(
    "name",
    [
        *("/etc/passwd", "/usr/share/zoneinfo/UTC", "../../etc/passwd", "a/../../x", ":/etc/passwd"),
        *("posixrules", "posix/UTC", "right/UTC", "localtime", "C:\\x", "x\0y", "x" * 5000),
    ],
)
def test_only_names_in_the_form_of_a_time_zone_are_looked_up(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A config cannot make the check open other files, and the local time zone is not an IANA name."""
    lookups: list[str] = []
    monkeypatch.setattr(tz, "gettz", lookups.append)
    (rule,) = rules_by_path()["timezone"]
    assert rule(name) is not None
    assert lookups == []


def test_all_iana_time_zones_are_accepted() -> None:
    """The check accepts every name in the installed data."""
    from zoneinfo import available_timezones

    (rule,) = rules_by_path()["timezone"]
    names = available_timezones() - {"localtime"}  # Some systems include it.
    assert len(names) > 400
    assert [name for name in sorted(names) if rule(name)] == []


@pytest.mark.parametrize("value", [1 << 999, -(1 << 999), 1.7e308, True, None, [], {}])
def test_rules_accept_any_json_value(value: Any) -> None:
    """No rule raises for very large numbers or for values of another type."""
    for rules in rules_by_path().values():
        for rule in rules:
            rule(value)
