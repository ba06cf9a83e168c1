"""The tools that send no request: check_config and describe_field."""

from __future__ import annotations

import pytest
from mcp_runs import Host

pytestmark = pytest.mark.anyio


async def test_check_config_returns_findings(host: Host) -> None:
    """A misspelled key and a wrong unit are findings with a fix."""
    config = {"first_mesage": "Hello", "flow": {"response_delay": 0.5}}
    found = (await host.result("check_config", config=config))["findings"]
    assert [set(finding) for finding in found] == [{"path", "level", "message", "fix"}] * 2
    by_path = {finding["path"]: finding for finding in found}
    assert by_path["first_mesage"]["level"] == "error"
    assert "first_message" in by_path["first_mesage"]["fix"]
    assert "500" in by_path["flow.response_delay"]["fix"]


async def test_check_config_treats_a_config_as_an_override_by_default(host: Host) -> None:
    """Without `kind`, required keys may be missing."""
    config = {"prompt": "Be brief."}
    assert (await host.result("check_config", config=config))["findings"] == []
    found = (await host.result("check_config", config=config, kind="agent"))["findings"]
    assert [finding["path"] for finding in found] == ["voice"]


async def test_describe_field_returns_the_contracts_description(host: Host) -> None:
    """The result has the unit of a number and the known values of a field."""
    delay = await host.result("describe_field", path="flow.response_delay")
    assert [(field["type"], field["unit"]) for field in delay["fields"]] == [
        ("integer or ResponseDelay", "milliseconds")
    ]
    assert "published-schema" in delay["fields"][0]["origin"]
    (provider,) = (await host.result("describe_field", path="voice.provider"))["fields"]
    assert "elevenlabs" in provider["known"]


async def test_describe_field_shows_differences_in_an_override(host: Host) -> None:
    """A saved agent requires a prompt; an override does not."""
    fields = (await host.result("describe_field", path="prompt"))["fields"]
    assert [(field["component"], field["required"]) for field in fields] == [
        ("AgentConfig", True),
        ("AgentConfigOverride", False),
    ]


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("flow.respons_delay", "flow.response_delay"),
        ("user_start_first", "flow.user_start_first"),
        ("voicemail", "flow.voicemail.action"),
    ],
)
async def test_describe_field_finds_the_nearest_paths(host: Host, path: str, near: str) -> None:
    """A misspelled path, a bare key and a word return the right path."""
    result = await host.result("describe_field", path=path)
    assert result["fields"] == []
    assert near in result["nearest"]
