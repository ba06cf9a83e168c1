"""`millis config check` and `millis config diff`: what they print, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_runs import Cli

GOOD: dict[str, Any] = {"prompt": "Greet {name}.", "voice": {"provider": "openai", "voice_id": "v"}}


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command in this process; there is no service."""
    return Cli(monkeypatch, capsys)


def saved(directory: Path, config: object, name: str = "config.json") -> str:
    path = directory / name
    path.write_text(json.dumps(config))
    return str(path)


def test_a_good_config_is_0_with_nothing_on_stdout(cli: Cli, tmp_path: Path) -> None:
    """The result is the list of findings, and it is empty; a person is told so on stderr."""
    file = saved(tmp_path, GOOD)
    ran = cli("config", "check", file)
    assert (ran.code, ran.out) == (0, "")
    assert ran.error == f"{file}: no errors, no warnings, no hints"


def test_a_bad_config_is_1_with_a_line_for_each_finding(cli: Cli, tmp_path: Path) -> None:
    """Each line begins with its level and the path; the count is no result."""
    file = saved(tmp_path, {**GOOD, "flow": {"response_delay": 0.5}, "session_timeout": {"max_idle": 60000}})
    ran = cli("config", "check", file)
    assert ran.code == 1
    first, second = ran.out.splitlines()
    assert first.startswith("error: flow.response_delay: ")
    assert second.startswith("warning: session_timeout.max_idle: ")
    assert ran.error == f"{file}: 1 error, 1 warning, no hints"


def test_warnings_alone_are_0(cli: Cli, tmp_path: Path) -> None:
    """Only errors stop a script."""
    ran = cli("config", "check", saved(tmp_path, {**GOOD, "timezone": "Mars/Base"}))
    assert (ran.code, ran.out.partition(":")[0]) == (0, "warning")


def test_override_is_checked_as_one(cli: Cli, tmp_path: Path) -> None:
    """A partial config is whole, and an unknown key is an error, only with --override."""
    partial = saved(tmp_path, {"first_message": "Hi"}, "partial.json")
    unknown = saved(tmp_path, {**GOOD, "nonsense": 1}, "unknown.json")
    assert [cli("config", "check", partial).code, cli("config", "check", partial, "--override").code] == [
        1,
        0,
    ]
    assert [cli("config", "check", unknown).code, cli("config", "check", unknown, "--override").code] == [
        0,
        1,
    ]


def test_metadata_fills_the_placeholders(cli: Cli, tmp_path: Path) -> None:
    """With metadata, a placeholder without a value is found."""
    file = saved(tmp_path, GOOD)
    assert cli("config", "check", file, "--metadata", "name=Ada").out == ""
    assert cli("config", "check", file, "--metadata", "age=36").out.startswith("warning: prompt: ")


@pytest.mark.parametrize("content", ["", "{", "[1]", "prompt: [", None])
def test_a_file_that_cannot_be_read_is_2(cli: Cli, tmp_path: Path, content: str | None) -> None:
    """A config that is none is told from one that has errors; the line names the file."""
    file = tmp_path / "config.yaml"
    if content is not None:
        file.write_text(content)
    good = saved(tmp_path, GOOD)
    for arguments in (["check", str(file)], ["diff", good, str(file)], ["diff", str(file), good]):
        ran = cli("config", *arguments)
        assert (ran.code, ran.out) == (2, "")
        assert ran.error.startswith(f"millis: {file}")


def test_diff_says_what_differs_by_path_and_exits_as_diff_does(cli: Cli, tmp_path: Path) -> None:
    """Removed, added and changed, each with its values."""
    a = saved(tmp_path, {**GOOD, "language": "en-US"}, "a.json")
    b = saved(tmp_path, {**GOOD, "voice": {**GOOD["voice"], "voice_id": "w"}, "timezone": None}, "b.json")
    ran = cli("config", "diff", a, b)
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.splitlines() == ['- language: "en-US"', "+ timezone: null", '~ voice.voice_id: "v" -> "w"']
    same = cli("config", "diff", a, a)
    assert (same.code, same.out, same.err) == (0, "", "")


def test_a_config_does_not_act_on_the_terminal(cli: Cli, tmp_path: Path) -> None:
    """A config can come from anywhere: control characters in keys, values and names are written out."""
    odd = saved(tmp_path, {**GOOD, "\x1b[2J\x9b\x7f": "\x1b[31m[bold]\x9b\u202e", "language": 7})
    good = saved(tmp_path, GOOD, "go\x1b[2Jod.json")
    for arguments in (["check", odd], ["check", odd, "--override"], ["diff", good, odd], ["check", good]):
        ran = cli("config", *arguments)
        assert ran.out + ran.err
        assert not set("\x1b\x9b\x7f\u202e") & set(ran.out + ran.err)
    assert "[bold]" in cli("config", "diff", good, odd).out


def test_config_without_a_command_is_2(cli: Cli) -> None:
    """It is said what is missing, and where the help is."""
    ran = cli("config")
    assert (ran.code, ran.error) == (2, "millis config: Missing command. (see millis config --help)")
