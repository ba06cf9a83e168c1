"""`millis config check` and `millis config diff`: what they print, and their exit codes."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pexpect
import pytest
import yaml
from cli_runs import MILLIS, Cli, environment
from paths import ROOT

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


def test_several_files_and_stdin_are_checked_in_one_go(cli: Cli, tmp_path: Path) -> None:
    """Each finding names its file, and a file that cannot be read stops none of the others."""
    good, bad = saved(tmp_path, GOOD), saved(tmp_path, {**GOOD, "language": 5}, "bad.json")
    ran = cli("config", "check", good, bad, "-", stdin=json.dumps({**GOOD, "promt": "x"}))
    assert ran.code == 1
    first, *_ = ran.out.splitlines()
    assert first.startswith(f"{bad}: error: language: ")
    assert any(line.startswith("-: ") and "promt" in line for line in ran.out.splitlines())
    ran = cli("config", "check", str(tmp_path / "none.json"), bad)
    assert ran.code == 2
    assert "none.json" in ran.err
    assert "language" in ran.out


def test_strict_fails_on_warnings(cli: Cli, tmp_path: Path) -> None:
    """In CI a probable mistake is one."""
    file = saved(tmp_path, {**GOOD, "session_timeout": {"max_idle": 60000}})
    assert [cli("config", "check", file).code, cli("config", "check", "--strict", file).code] == [0, 1]


def test_what_was_found_can_be_had_as_json(cli: Cli, tmp_path: Path) -> None:
    """A program reads level, path, message and fix of each finding, by file."""
    good, bad = saved(tmp_path, GOOD), saved(tmp_path, {**GOOD, "language": 5}, "bad.json")
    ran = cli("config", "check", "--json", good, bad)
    assert (ran.code, ran.err) == (1, "")
    first, second = json.loads(ran.out)
    assert first == {"file": good, "findings": []}
    (finding,) = second["findings"]
    assert (second["file"], finding["level"], finding["path"]) == (bad, "error", "language")
    assert {"message", "fix"} <= finding.keys()


def test_a_nested_addition_is_shown_value_by_value(cli: Cli, tmp_path: Path) -> None:
    """A whole new object is readable lines, and not one long line of JSON."""
    empty: list[str] = []
    voicemail: dict[str, Any] = {"action": "hangup", "message": "Bye", "tags": empty}
    more = {**GOOD, "flow": {"voicemail": voicemail}}
    ran = cli("config", "diff", saved(tmp_path, GOOD), saved(tmp_path, more, "b.json"))
    assert ran.code == 1
    assert ran.out.splitlines() == [
        '+ flow.voicemail.action: "hangup"',
        '+ flow.voicemail.message: "Bye"',
        "+ flow.voicemail.tags: []",
    ]


def test_the_differences_can_be_had_as_json(cli: Cli, tmp_path: Path) -> None:
    """A program reads them as `diff_configs` gives them."""
    a, b = saved(tmp_path, GOOD), saved(tmp_path, {**GOOD, "prompt": "Hi", "timezone": "UTC"}, "b.json")
    ran = cli("config", "diff", "--json", a, b)
    assert ran.code == 1
    assert json.loads(ran.out) == {
        "added": {"timezone": "UTC"},
        "removed": {},
        "changed": {"prompt": {"before": "Greet {name}.", "after": "Hi"}},
    }


@pytest.mark.parametrize("columns", [80, 120])
def test_text_wraps_between_words_in_a_terminal(tmp_path: Path, columns: int) -> None:
    """No word of a finding is broken at the edge of the terminal."""
    file = saved(tmp_path, {**GOOD, "first_mesage": "Hello", "flow": {"response_delay": 0.5}})
    child: pexpect.spawn[str] = pexpect.spawn(
        MILLIS,
        ["config", "check", file],
        env={**environment("http://127.0.0.1:9"), "NO_COLOR": "1", "COLUMNS": str(columns)},
        dimensions=(24, columns),
        encoding="utf-8",
        timeout=20,
    )
    shown = str(child.read())
    child.wait()
    *lines, _ = shown.split("\r\n")[:-1]
    assert max(map(len, lines)) <= columns
    piped = subprocess.run([MILLIS, "config", "check", file], capture_output=True, text=True, check=False)
    assert " ".join(" ".join(lines).split()) == " ".join(piped.stdout.split())


def test_the_pre_commit_hook_runs_the_command(cli: Cli, tmp_path: Path) -> None:
    """What .pre-commit-hooks.yaml names is a command that there is, and that fails on a mistake.

    pre-commit itself builds the package in an environment of its own, which takes longer than this suite.
    """
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    program, *arguments = hook["entry"].split()
    assert program == "millis"
    assert cli(*arguments, saved(tmp_path, GOOD)).code == 0
    assert cli(*arguments, saved(tmp_path, {**GOOD, "flow": {"response_delay": 0.5}}, "bad.json")).code == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"prompt": "x",\n "tools": [\n  {"name": "a"},\n  {\n   "timeout": "5",\n "name": 1}]}'),
        ("a.yaml", "prompt: x\ntools:\n- name: a\n- {\n  timeout: '5',\n  name: 1}\n"),
        (
            "b.json",
            '{"id": "-O", "config":\n{"tools": [\n {"name":"a"}, \n{\n"timeout": "5",\n"name": 1}]}}',
        ),
    ],
)
def test_each_finding_has_its_line(cli: Cli, tmp_path: Path, name: str, text: str) -> None:
    """The line is that of the value; a missing key has the line of the object that lacks it."""
    file = tmp_path / name
    file.write_text(text)
    ran = cli("config", "check", "--json", "--override", str(file))
    (checked,) = json.loads(ran.out)
    lines = {finding["path"]: finding["line"] for finding in checked["findings"]}
    assert lines == {
        "tools[0].description": 3,
        "tools[1].description": 4,
        "tools[1].name": 6,
        "tools[1].timeout": 5,
    }
    shown = cli("config", "check", "--override", str(file)).out.splitlines()
    assert len(shown) == 4
    assert all(re.search(r"\(line [3-6]\)$", line) for line in shown)


SECRET = "sk-live-4711"  # a secret of nobody


def with_secrets(secret: str) -> dict[str, Any]:
    tool = {
        "name": "book",
        "description": "d",
        "webhook": f"https://ada:{secret}@example.com/x",
        "header": {"X-Key": secret},
    }
    return {
        **GOOD,
        "tools": [tool],
        "session_data_webhook": {"url": "https://e.com", "headers": {"a": secret}},
    }


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_diff_shows_that_a_secret_changed_but_not_the_secret(
    cli: Cli, tmp_path: Path, flags: list[str]
) -> None:
    """Header values and passwords in URLs are masked whether they changed, were added or were removed."""
    a = saved(tmp_path, with_secrets(SECRET), "a.json")
    b = saved(tmp_path, with_secrets(SECRET + "-2"), "b.json")
    none = saved(tmp_path, GOOD, "none.json")
    for one, other, changes in ((a, b, 3), (a, none, 1), (none, a, 1)):
        ran = cli("config", "diff", *flags, one, other)
        assert ran.code == 1
        assert SECRET not in ran.out + ran.err
        assert ran.out.count("****") >= changes
    assert cli("config", "diff", a, a).code == 0


@pytest.mark.parametrize("flags", [[], ["--json"], ["--override"]])
@pytest.mark.parametrize(
    "change",
    [
        {"tools": [{"name": "a", "description": "b", "header": f"X-Key: {SECRET}"}]},
        {"tools": [{"name": "a", "description": "b", "header": {"X-Key": [SECRET]}}]},
        {"tools": [{"name": "a", "description": "b", "header": [{"X-Key": SECRET}]}]},
        {"tools": {"name": "a", "description": "b", "header": {"X-Key": SECRET}}},
        {"tools": [{"name": "a", "description": "b", "webhook": f"ftp://ada:{SECRET}@example.com"}]},
        {"session_data_webhook": [f"https://ada:{SECRET}@example.com"]},
        {"session_data_webhook": {"url": "https://example.com", "headers": SECRET}},
        {"custom_llm_websocket": f"https://example.com/?token={SECRET}"},
        {"app_credentials": SECRET, "voice": f"https://:{SECRET}@example.com"},
        {"voice": {"provider": "openai", "voice_id": ["x"], "api_key": SECRET}},
    ],
)
def test_check_shows_no_secret(cli: Cli, tmp_path: Path, flags: list[str], change: dict[str, Any]) -> None:
    """A finding does not show a secret, whatever the type of the value that holds it."""
    ran = cli("config", "check", *flags, saved(tmp_path, {**GOOD, **change}))
    assert ran.out
    assert SECRET not in ran.out + ran.err
