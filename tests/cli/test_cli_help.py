"""The help of `millis`: it reads well at 80 columns, and holds no more than the command can do."""

from __future__ import annotations

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


def test_there_are_these_commands_and_options_and_no_others() -> None:
    """A new option is a promise; the key is none, since it would stay in the shell's history."""
    found: dict[tuple[str, ...], set[str]] = {}

    def walk(command: Any, path: tuple[str, ...]) -> None:
        options = (param for param in command.params if param.param_type_name == "option")
        found[path] = {name for option in options for name in option.opts}
        for name, child in getattr(command, "commands", {}).items():
            walk(child, (*path, name))

    walk(get_command(app), ())
    assert found == COMMANDS


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_help_fits_80_columns_and_cuts_nothing_off(cli: Cli, command: tuple[str, ...]) -> None:
    """No line is too long, no sentence ends in dots, and every option has its words."""
    ran = cli(*command, "--help")
    assert cli(*command, "-h") == ran
    assert (ran.code, ran.err) == (0, "")
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "...\n" not in ran.out.partition("\n")[2]
    assert not set("{}") & set(ran.out.partition("\n")[0])
    for option in COMMANDS[command]:
        assert option in ran.out


def test_no_command_at_all_shows_the_help_and_is_2(cli: Cli) -> None:
    """It is wrong use, so stdout stays empty."""
    ran = cli()
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("Usage: millis ")


@NEEDS_DOCSTRINGS
def test_the_help_says_what_the_exit_codes_are_and_where_the_key_comes_from(cli: Cli) -> None:
    """Who writes a script need not look further."""
    words = " ".join(cli("--help").out.split())
    assert (
        "0 success; 1 the service refused or failed, or the config has errors; 2 wrong use; 130 interrupted"
        in words
    )
    assert "MILLIS_API_KEY" in words
    assert "MILLIS_BASE_URL" in words
