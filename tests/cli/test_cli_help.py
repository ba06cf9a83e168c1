"""The help of `millis` and of its commands."""

from __future__ import annotations

import re
from typing import Any

import pytest
from cli_runs import Cli
from marks import NEEDS_DOCSTRINGS
from typer.main import get_command

from millis_wrapper.cli._app import app

COMMANDS: dict[tuple[str, ...], set[str]] = {
    (): {"--version", "--debug", "--install-completion", "--show-completion"},
    ("chat",): {
        *("--message", "-m", "--config", "--metadata", "--end-session", "--json", "--region", "--debug"),
        *("--history", "--allow-http"),
    },
    ("duplicate",): {"--json", "--save", "--region", "--allow-http", "--debug"},
    ("config",): set(),
    ("config", "check"): {"--override", "--metadata", "--strict", "--json", "--debug"},
    ("config", "diff"): {"--json", "--debug"},
    ("contract",): {"--debug"},
    ("mock",): {"--host", "--port", "--agents", "--script", "--pace", "--cors", "--quiet", "--debug"},
    ("demo",): {"--allow-http", "--debug"},
    ("gateway",): {"--host", "--port", "--model", "--cors", "--debug"},
    ("mcp",): {"--debug"},
}


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command in this process, in a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    return Cli(monkeypatch, capsys)


def test_the_commands_and_options_are_these() -> None:
    """Every option is a promise. No option accepts the key, which would stay in the shell's history."""
    found: dict[tuple[str, ...], set[str]] = {}

    def walk(command: Any, path: tuple[str, ...]) -> None:
        options = (param for param in command.params if param.param_type_name == "option")
        found[path] = {name for option in options for name in option.opts}
        for name, child in getattr(command, "commands", {}).items():
            walk(child, (*path, name))

    walk(get_command(app), ())
    assert found == COMMANDS


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_help_fits_80_columns(cli: Cli, command: tuple[str, ...]) -> None:
    """No line is longer than 80 columns, no summary is shortened, and every option is listed."""
    ran = cli(*command, "--help")
    assert cli(*command, "-h") == ran
    assert (ran.code, ran.err) == (0, "")
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "...\n" not in ran.out.partition("\n")[2]
    assert not set("{}") & set(ran.out.partition("\n")[0])
    for option in COMMANDS[command]:
        assert option in ran.out


def test_without_a_command_the_help_is_printed_to_stderr(cli: Cli) -> None:
    """The exit status is 2, and stdout is empty."""
    ran = cli()
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("Usage: millis ")


@NEEDS_DOCSTRINGS
def test_the_help_lists_exit_statuses_and_environment_variables(cli: Cli) -> None:
    """The main help names every exit status, MILLIS_API_KEY and MILLIS_BASE_URL."""
    text = " ".join(cli("--help").out.split())
    assert re.search(r"Exit status: 0 .*; 1 .*; 2 .*; 130 ", text)
    assert "MILLIS_API_KEY" in text
    assert "MILLIS_BASE_URL" in text
