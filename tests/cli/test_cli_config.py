"""`millis config check` and `millis config diff`: output and exit status."""

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
    """The command in this process, without a service."""
    return Cli(monkeypatch, capsys)


def saved(directory: Path, config: object, name: str = "config.json") -> str:
    path = directory / name
    path.write_text(json.dumps(config))
    return str(path)


def test_a_valid_config_exits_with_0_and_an_empty_stdout(cli: Cli, tmp_path: Path) -> None:
    """The list of findings on stdout is empty; stderr shows the counts."""
    file = saved(tmp_path, GOOD)
    ran = cli("config", "check", file)
    assert (ran.code, ran.out) == (0, "")
    assert ran.error == f"{file}: no errors, no warnings, no hints"


def test_a_config_with_errors_exits_with_1_and_a_line_per_finding(cli: Cli, tmp_path: Path) -> None:
    """Every line begins with the level and the path; the counts are on stderr."""
    file = saved(tmp_path, {**GOOD, "flow": {"response_delay": 0.5}, "session_timeout": {"max_idle": 60000}})
    ran = cli("config", "check", file)
    assert ran.code == 1
    first, second = ran.out.splitlines()
    assert first.startswith("error: flow.response_delay: ")
    assert second.startswith("warning: session_timeout.max_idle: ")
    assert ran.error == f"{file}: 1 error, 1 warning, no hints"


def test_warnings_exit_with_0(cli: Cli, tmp_path: Path) -> None:
    """Without --strict, only errors change the exit status."""
    ran = cli("config", "check", saved(tmp_path, {**GOOD, "timezone": "Mars/Base"}))
    assert (ran.code, ran.out.partition(":")[0]) == (0, "warning")


def test_override_checks_a_partial_config(cli: Cli, tmp_path: Path) -> None:
    """With --override, required keys may be missing, and an unknown key is an error."""
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


def test_metadata_enables_the_check_of_placeholders(cli: Cli, tmp_path: Path) -> None:
    """With --metadata, a placeholder without a value is a warning."""
    file = saved(tmp_path, GOOD)
    assert cli("config", "check", file, "--metadata", "name=Ada").out == ""
    assert cli("config", "check", file, "--metadata", "age=36").out.startswith("warning: prompt: ")


@pytest.mark.parametrize("content", ["", "{", "[1]", "prompt: [", None])
def test_a_missing_or_malformed_file_exits_with_2(cli: Cli, tmp_path: Path, content: str | None) -> None:
    """The exit status differs from that of a config with errors; the message names the file."""
    file = tmp_path / "config.yaml"
    if content is not None:
        file.write_text(content)
    good = saved(tmp_path, GOOD)
    for arguments in (["check", str(file)], ["diff", good, str(file)], ["diff", str(file), good]):
        ran = cli("config", *arguments)
        assert (ran.code, ran.out) == (2, "")
        assert ran.error.startswith(f"millis: {file}")


def test_diff_lists_removed_added_and_changed_paths(cli: Cli, tmp_path: Path) -> None:
    """The exit status is 1 if the configs differ and 0 if they are equal."""
    a = saved(tmp_path, {**GOOD, "language": "en-US"}, "a.json")
    b = saved(tmp_path, {**GOOD, "voice": {**GOOD["voice"], "voice_id": "w"}, "timezone": None}, "b.json")
    ran = cli("config", "diff", a, b)
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.splitlines() == ['- language: "en-US"', "+ timezone: null", '~ voice.voice_id: "v" -> "w"']
    same = cli("config", "diff", a, a)
    assert (same.code, same.out, same.err) == (0, "", "")


def test_control_characters_of_a_config_are_escaped(cli: Cli, tmp_path: Path) -> None:
    """Control characters in keys, values and file names do not reach the terminal."""
    hostile = saved(tmp_path, {**GOOD, "\x1b[2J\x9b\x7f": "\x1b[31m[bold]\x9b\u202e", "language": 7})
    good = saved(tmp_path, GOOD, "go\x1b[2Jod.json")
    for arguments in (
        ["check", hostile],
        ["check", hostile, "--override"],
        ["diff", good, hostile],
        ["check", good],
    ):
        ran = cli("config", *arguments)
        assert ran.out + ran.err
        assert not set("\x1b\x9b\x7f\u202e") & set(ran.out + ran.err)
    assert "[bold]" in cli("config", "diff", good, hostile).out


def test_config_without_a_command_exits_with_2(cli: Cli) -> None:
    """The message refers to the help."""
    ran = cli("config")
    assert (ran.code, ran.error) == (2, "millis config: missing command; see millis config --help")


def test_several_files_and_stdin_can_be_checked_at_once(cli: Cli, tmp_path: Path) -> None:
    """Every finding names its file, and a missing file does not stop the check of the others."""
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


def test_strict_exits_with_1_on_warnings(cli: Cli, tmp_path: Path) -> None:
    """--strict treats warnings as failures."""
    file = saved(tmp_path, {**GOOD, "session_timeout": {"max_idle": 60000}})
    assert [cli("config", "check", file).code, cli("config", "check", "--strict", file).code] == [0, 1]


def test_findings_can_be_printed_as_json(cli: Cli, tmp_path: Path) -> None:
    """The output lists level, path, message and fix of every finding by file."""
    good, bad = saved(tmp_path, GOOD), saved(tmp_path, {**GOOD, "language": 5}, "bad.json")
    ran = cli("config", "check", "--json", good, bad)
    assert (ran.code, ran.err) == (1, "")
    first, second = json.loads(ran.out)
    assert first == {"file": good, "findings": []}
    (finding,) = second["findings"]
    assert (second["file"], finding["level"], finding["path"]) == (bad, "error", "language")
    assert {"message", "fix"} <= finding.keys()


def test_a_nested_addition_has_a_line_for_each_value(cli: Cli, tmp_path: Path) -> None:
    """A new object is listed by path instead of as one line of JSON."""
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


def test_differences_can_be_printed_as_json(cli: Cli, tmp_path: Path) -> None:
    """The output has the keys of `ConfigDiff`."""
    a, b = saved(tmp_path, GOOD), saved(tmp_path, {**GOOD, "prompt": "Hi", "timezone": "UTC"}, "b.json")
    ran = cli("config", "diff", "--json", a, b)
    assert ran.code == 1
    assert json.loads(ran.out) == {
        "added": {"timezone": "UTC"},
        "removed": {},
        "changed": {"prompt": {"before": "Greet {name}.", "after": "Hi"}},
    }


@pytest.mark.parametrize("columns", [80, 120])
def test_findings_wrap_at_spaces_in_a_terminal(tmp_path: Path, columns: int) -> None:
    """A line that is longer than the terminal is wide continues on the next line."""
    file = saved(tmp_path, {**GOOD, "first_mesage": "Hello", "flow": {"response_delay": 0.5}})
    child: pexpect.spawn[str] = pexpect.spawn(
        MILLIS,
        ["config", "check", file],
        env={**environment("http://127.0.0.1:9"), "NO_COLOR": "1", "COLUMNS": str(columns)},
        dimensions=(24, columns),
        encoding="utf-8",
        timeout=20,
    )
    output = str(child.read())
    child.wait()
    *lines, _ = output.split("\r\n")[:-1]
    assert max(map(len, lines)) <= columns
    piped = subprocess.run([MILLIS, "config", "check", file], capture_output=True, text=True, check=False)
    assert " ".join(" ".join(lines).split()) == " ".join(piped.stdout.split())


def test_the_pre_commit_hook_runs_the_command(cli: Cli, tmp_path: Path) -> None:
    """The entry of .pre-commit-hooks.yaml is a command that exits with 1 on an error.

    The test does not run pre-commit, which would build the package in a new environment.
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
def test_every_finding_has_a_line_number(cli: Cli, tmp_path: Path, name: str, text: str) -> None:
    """The line is that of the value, or of the object that lacks a required key."""
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
    output = cli("config", "check", "--override", str(file)).out.splitlines()
    assert len(output) == 4
    assert all(re.search(r"\(line [3-6]\)$", line) for line in output)


SECRET = "sk-live-4711"  # not a real secret


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
def test_diff_masks_secrets_but_lists_their_changes(cli: Cli, tmp_path: Path, flags: list[str]) -> None:
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


def test_diff_masks_secrets_under_keys_of_another_case(cli: Cli, tmp_path: Path) -> None:
    """An unknown key such as `Header` may contain the same secrets as the key in the contract."""
    tool = {"name": "a", "description": "b", "Header": {"X-Key": SECRET}}
    ran = cli("config", "diff", saved(tmp_path, GOOD), saved(tmp_path, {**GOOD, "tools": [tool]}, "b.json"))
    assert SECRET not in ran.out
    assert "****" in ran.out


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
        {"tools": [{"name": f"https://ada:{SECRET}@example.com", "description": "b"}]},
        {"voice": {"provider": "openai", "voice_id": ["x"], "api_key": SECRET}},
    ],
)
def test_check_masks_secrets(cli: Cli, tmp_path: Path, flags: list[str], change: dict[str, Any]) -> None:
    """A finding does not show a secret, whatever the type of the value that contains it."""
    ran = cli("config", "check", *flags, saved(tmp_path, {**GOOD, **change}))
    assert ran.out
    assert SECRET not in ran.out + ran.err
