"""`millis contract`: the facts about a field, and the search for fields."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from typing import Any

import pytest
from cli_runs import Cli

from millis_wrapper.config import check_config
from millis_wrapper.contract import fields, find_field, search_fields, unknown_keys
from millis_wrapper.mcp._tools import describe_field


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command in this process, in a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    return Cli(monkeypatch, capsys)


def test_a_field_is_printed_with_its_description_and_facts(cli: Cli) -> None:
    """The facts include type, unit, default, keys and origin."""
    ran = cli("contract", "flow.response_delay")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == "flow.response_delay"
    assert lines[1].startswith("How long the agent waits")
    facts = dict(line.strip().split("  ", 1) for line in lines if line.startswith("  "))
    assert {label: fact.strip() for label, fact in facts.items()} == {
        "type": "integer or ResponseDelay, or null",
        "unit": "milliseconds",
        "required": "no",
        "default": "not known",
        "fields": "generic_delay, number_input_delay",
        "example": "400",
        "origin": "chat-page, duplicate-page, published-schema",
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("language", '"en-US", set by the service'),
        ("call_settings.enable_recording", "false, set by the service"),
        ("first_message", "none; without the key"),
        ("include_metadata_in_prompt", "not known"),
        ("voice.provider", "elevenlabs, openai, cartesia,"),
        ("voice.voice_id", "yes, in Voice"),
        ("prompt", "in the config of a saved agent"),
        ("tools", "name, params, description,"),
        ("end_of_session", "boolean"),
        ("created_at", "integer"),
        ("choices[].delta.content", "string"),
        ("agent.agent_config.flow.response_delay", "milliseconds"),
    ],
)
def test_each_kind_of_fact_is_printed(cli: Cli, path: str, expected: str) -> None:
    """Defaults, known values and keys are printed for configs, requests, responses and chunks."""
    assert expected in cli("contract", path).out


@pytest.mark.parametrize("path", ["tools[].params[].name", "tools[0].params[12].name", "tools.params.name"])
def test_a_path_may_contain_indexes_or_no_brackets(cli: Cli, path: str) -> None:
    """A path copied from an error message works."""
    assert cli("contract", path).out.startswith("tools[].params[].name\n")


def test_a_field_of_several_objects_is_printed_for_each(cli: Cli) -> None:
    """The output has the role of each of the three message types."""
    out = cli("contract", "messages[].role").out
    assert [out.count(f'"{role}"') for role in ("user", "assistant", "tool")] == [1, 1, 1]


def test_the_longest_descriptions_fit_a_screen(cli: Cli) -> None:
    """No field needs more than 24 lines of 80 columns, not even the 128 languages."""
    by_length = sorted(fields("AgentConfig"), key=lambda field: len(f"{field.description} {field.known}"))
    for path in ["tools", "flow", *(field.path for field in by_length[-12:])]:
        ran = cli("contract", path)
        lines = ran.out.splitlines()
        assert ran.code == 0, path
        assert max(map(len, lines)) <= 80, path
        assert len(lines) <= 24, path


def test_without_a_path_every_field_is_listed(cli: Cli) -> None:
    """The list has one line per field, with type and unit, for use with `grep`."""
    lines = cli("contract").out.splitlines()
    assert (
        "  flow.response_delay                              integer or ResponseDelay, milliseconds" in lines
    )
    listed = {line.split()[0] for line in lines if line.startswith("  ")}
    assert {field.path for field in fields("AgentConfig")} <= listed
    assert {"messages[].content", "created_at", "choices[].delta.content"} <= listed


@pytest.mark.parametrize(
    ("path", "suggestion"),
    [
        ("flow.respnse_delay", '; did you mean "flow.response_delay"?'),
        (
            "flow.interruption.first_message",
            '; did you mean "flow.interruption.first_messsage" or "first_message"?',
        ),
        ("max_idel", '; did you mean "session_timeout.max_idle"?'),
        ("zzzzzz", ""),
        ("", ""),
    ],
)
def test_an_unknown_field_exits_with_1_and_a_suggestion(cli: Cli, path: str, suggestion: str) -> None:
    """The message suggests the nearest path, if there is one."""
    ran = cli("contract", path)
    assert (ran.code, ran.out) == (1, "")
    assert ran.error.startswith(f'millis: unknown field "{path}"{suggestion}')
    assert "millis contract" in ran.error


@pytest.mark.parametrize(
    ("path", "config", "nearest", "fix"),
    [
        ("promt", {"promt": "Hi"}, ["prompt"], '"prompt"'),
        ("flow.respons_delay", {"flow": {"respons_delay": 500}}, ["flow.response_delay"], '"response_delay"'),
        ("tools[0].webhok", {"tools": [{"webhok": "https://example.com"}]}, ["tools[].webhook"], '"webhook"'),
        ("timeZones", {"timeZones": "UTC"}, ["timezone"], '"timezone"'),
        (
            "flow.max_idle",
            {"flow": {"max_idle": 20}},
            ["session_timeout.max_idle"],
            " session_timeout.max_idle",
        ),
        (
            "flow.interruption.first_message",
            {"flow": {"interruption": {"first_message": True}}},
            ["flow.interruption.first_messsage", "first_message"],
            '"first_messsage"',
        ),
        ("flow.provider", {"flow": {"provider": 1}}, ["voice.provider", "speech_to_text.provider"], ""),
        ("zzzz", {"zzzz": 1}, [], ""),
    ],
)
def test_config_check_the_command_and_mcp_share_one_lookup(
    cli: Cli, path: str, config: dict[str, Any], nearest: list[str], fix: str
) -> None:
    """All three get the same nearest names; `config check` suggests the name that fixes the key."""
    suggested = cli("contract", path).error.partition("did you mean")[2].partition("?")[0]
    assert re.findall('"([^"]+)"', suggested) == nearest
    assert asyncio.run(describe_field(path))["nearest"] == nearest
    (unknown,) = unknown_keys(config, "AgentConfigOverride")
    assert (unknown.path, list(unknown.nearest)) == (path, nearest)
    (finding,) = [one for one in check_config(config, "override") if one.path == path]
    assert fix in (finding.fix or "")


def test_a_key_that_exists_in_several_places_is_suggested_for_each(cli: Cli) -> None:
    """All suggested paths that end in the same key are listed."""
    error = cli("contract", "descripton").error
    assert [f'"{path}"' in error for path in find_field("descripton").suggestions] == [True] * 3


def test_a_word_lists_the_fields_that_contain_it(cli: Cli) -> None:
    """The search covers paths and descriptions and ignores case."""
    ran = cli("contract", "Delay")
    assert ran.code == 0
    assert [line.split()[0] for line in ran.out.splitlines()] == [
        field.path for field in search_fields("delay")
    ]
    assert "flow.response_delay" in ran.out
    assert "milliseconds" in ran.out
    assert '"Delay"' in ran.error


def test_a_word_that_matches_one_field_shows_the_field(cli: Cli) -> None:
    """The output equals that for the path of the field."""
    ran = cli("contract", "idle_time")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("flow.inactivity_handling.idle_time\n")


@pytest.mark.parametrize("path", ["prompt", "voice"])
def test_differences_in_an_override_are_printed(cli: Cli, path: str) -> None:
    """Both fields are required in a saved agent, but optional and nullable in an override."""
    facts = " ".join(cli("contract", path).out.split())
    assert re.search(r"required yes, .*saved agent; optional .*null in an override", facts)
    assert "an override" not in cli("contract", "voice.voice_id").out


def test_a_secret_is_marked(cli: Cli) -> None:
    """The facts show that the value is masked in output."""
    assert "secret" in cli("contract", "tools[].header").out
    assert "secret" not in cli("contract", "language").out


def test_output_in_a_terminal_is_colored_unless_no_color_is_set(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With NO_COLOR, or in a pipe, the output does not contain escape sequences, even with FORCE_COLOR."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" not in cli("contract", "language").out
    assert "\x1b[1mlanguage\x1b[0m" in _in_a_terminal(cli, monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = _in_a_terminal(cli, monkeypatch)
    assert plain.startswith("language\r\n")
    assert "\x1b" not in plain


def _in_a_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> str:
    screen, terminal = os.openpty()
    with os.fdopen(terminal, "w") as stdout, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        assert cli("contract", "language").code == 0
        output = os.read(screen, 10_000).decode()
    os.close(screen)
    return output
