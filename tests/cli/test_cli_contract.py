"""`millis contract`: what is known about a field, in one screen."""

from __future__ import annotations

import os
import sys

import pytest
from cli_runs import Cli

from millis_wrapper.contract import fields, find_field, search_fields


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command in this process, in a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    return Cli(monkeypatch, capsys)


def test_a_field_is_shown_with_all_that_is_known(cli: Cli) -> None:
    """Description, type, unit, default, parts and origin."""
    ran = cli("contract", "flow.response_delay")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == "flow.response_delay"
    assert lines[1].startswith("How long the agent waits")
    facts = dict(line.strip().split("  ", 1) for line in lines if line.startswith("  "))
    assert {label: words.strip() for label, words in facts.items()} == {
        "type": "integer or ResponseDelay, or null",
        "unit": "milliseconds",
        "required": "no",
        "default": "none known",
        "holds": "generic_delay, number_input_delay",
        "example": "400",
        "origin": "chat-page, duplicate-page, published-schema",
    }


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("language", '"en-US", set by the service'),
        ("call_settings.enable_recording", "false, set by the service"),
        ("voice.provider", "elevenlabs, openai, cartesia,"),
        ("voice.voice_id", "in each Voice"),
        ("prompt", "in the config of a saved agent"),
        ("tools", "name, params, description,"),
        ("end_of_session", "boolean"),
        ("created_at", "integer"),
        ("choices[].delta.content", "string"),
        ("agent.agent_config.flow.response_delay", "milliseconds"),
    ],
)
def test_each_kind_of_fact_is_told(cli: Cli, path: str, words: str) -> None:
    """Defaults, known values and parts of a config, of the request, of the answer and of the stream."""
    assert words in cli("contract", path).out


@pytest.mark.parametrize("path", ["tools[].params[].name", "tools[0].params[12].name", "tools.params.name"])
def test_a_path_may_be_written_as_it_is_met(cli: Cli, path: str) -> None:
    """With numbers, as in an error's message, or with no brackets at all."""
    assert cli("contract", path).out.startswith("tools[].params[].name\n")


def test_a_field_of_several_objects_is_shown_for_each(cli: Cli) -> None:
    """The three kinds of message have a role each."""
    out = cli("contract", "messages[].role").out
    assert [out.count(f'"{role}"') for role in ("user", "assistant", "tool")] == [1, 1, 1]


def test_the_fields_with_most_to_tell_fit_a_screen(cli: Cli) -> None:
    """No line is longer than 80, and none takes more than 24 lines, the 128 languages included."""
    by_length = sorted(fields("AgentConfig"), key=lambda field: len(f"{field.description} {field.known}"))
    for path in ["tools", "flow", *(field.path for field in by_length[-12:])]:
        ran = cli("contract", path)
        lines = ran.out.splitlines()
        assert ran.code == 0, path
        assert max(map(len, lines)) <= 80, path
        assert len(lines) <= 24, path


def test_without_a_path_every_field_is_listed(cli: Cli) -> None:
    """A line for each, with type and unit, for `grep` to look through."""
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
        ("flow.interruption.first_message", '; did you mean "flow.interruption.first_messsage"?'),
        ("max_idel", '; did you mean "session_timeout.max_idle"?'),
        ("zzzzzz", ""),
        ("", ""),
    ],
)
def test_an_unknown_field_is_1_with_the_nearest_one(cli: Cli, path: str, suggestion: str) -> None:
    """A misspelled path leads to the field."""
    ran = cli("contract", path)
    assert (ran.code, ran.out) == (1, "")
    assert ran.error.startswith(f'millis: the contract has no field "{path}"{suggestion}')
    assert "millis contract" in ran.error


def test_a_key_that_is_at_several_places_is_suggested_at_each(cli: Cli) -> None:
    """All of the nearest paths that end in the same key are named."""
    error = cli("contract", "descripton").error
    assert [f'"{path}"' in error for path in find_field("descripton").suggestions] == [True] * 3


def test_a_word_lists_the_fields_that_contain_it(cli: Cli) -> None:
    """Path or description contains the word, in upper or lower case."""
    ran = cli("contract", "Delay")
    assert ran.code == 0
    assert [line.split()[0] for line in ran.out.splitlines()] == [
        field.path for field in search_fields("delay")
    ]
    assert "flow.response_delay" in ran.out
    assert "milliseconds" in ran.out
    assert '3 fields contain "Delay"' in ran.error


def test_a_word_that_only_one_field_contains_shows_the_field(cli: Cli) -> None:
    """There is nothing to choose from."""
    ran = cli("contract", "idle_time")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("flow.inactivity_handling.idle_time\n")


@pytest.mark.parametrize("path", ["prompt", "voice"])
def test_what_differs_in_an_override_is_said(cli: Cli, path: str) -> None:
    """Both are required in a saved agent, and optional and nullable in an override."""
    facts = " ".join(cli("contract", path).out.split())
    assert "required in the config of a saved agent" in facts
    assert "in an override, optional and may be null" in facts
    assert "an override" not in cli("contract", "voice.voice_id").out


def test_a_secret_is_marked(cli: Cli) -> None:
    """Whoever shares a config learns which values are masked."""
    assert "secret" in cli("contract", "tools[].header").out
    assert "secret" not in cli("contract", "language").out


def test_a_terminal_gets_colour_unless_no_color_is_set(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither NO_COLOR nor a pipe gets one escape sequence, whatever else is set."""
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
        shown = os.read(screen, 10_000).decode()
    os.close(screen)
    return shown
