"""Errors of `millis`: one line on stderr, and the exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from cli_runs import AGENT, KEY, MILLIS, Cli, environment, run_alone
from loopback import Loopback, http, nowhere

from millis_wrapper import ConfigurationError, __version__
from millis_wrapper.cli._options import Session
from millis_wrapper.cli._output import error_line, exit_code_for
from millis_wrapper.contract import VERSION
from millis_wrapper.mock import MockMillis


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], millis_mock: MockMillis) -> Cli:
    """The command in this process, with the mock server as its service."""
    return Cli(monkeypatch, capsys).asking(millis_mock.url)


@pytest.mark.parametrize(
    ("arguments", "key_words"),
    [
        (["--metadata", "name"], ["--metadata: ", "NAME:=JSON", '"name"']),
        (["--metadata", "=Ada"], ["--metadata: ", "NAME:=JSON", '"=Ada"']),
        (["--metadata", "n:=Ada"], ["--metadata: ", '"n"', "not valid JSON"]),
        (["--metadata", "n=1", "--metadata", "n:=1"], ["--metadata: ", '"n"', "twice"]),
        (["--config", "no/such/file.json"], ["no/such/file.json: "]),
        (["--region", "mars"], ['"mars"', '"us"', '"eu"']),
        (["--jsno"], ["no such option: --jsno", "; did you mean --json?"]),
        (["--confg"], ["; did you mean --config or --json?"]),
        (["a", "text"], ["unexpected argument: text", "quotes"]),
        (["--config"], ['"--config" requires a value']),
        (["--frobnicate"], ["millis chat: ", "--frobnicate; ", "millis chat --help"]),
        (["--api-key", "x"], ["no such option: --api-key"]),
        (["-Oshort"], ["-Oshort is not an option"]),
        (["-mHi"], ["-mHi is not an option", "put -m before it"]),
        (["a text"], ["TEXT", "--message", "combined"]),
    ],
)
def test_an_invalid_option_is_reported_in_one_line(
    cli: Cli, millis_mock: MockMillis, arguments: list[str], key_words: list[str]
) -> None:
    """The exit status is 2, and no request is sent."""
    ran = cli("chat", AGENT, "-m", "Hello", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert all(key_word in ran.error for key_word in key_words)
    assert not millis_mock.requests


@pytest.mark.parametrize(
    ("arguments", "end"),
    [
        (["cht"], "? (see millis --help)"),
        (["nonsense"], "; see millis --help"),
        (["chat", "--region"], "; see millis chat --help"),
    ],
)
def test_usage_errors_refer_to_the_help(cli: Cli, arguments: list[str], end: str) -> None:
    """The line does not end with a period, and a suggestion ends with a question mark."""
    ran = cli(*arguments)
    assert ran.code == 2
    assert ran.error.endswith(end)
    assert ". " not in ran.error


@pytest.mark.parametrize(
    "url", ["https://ada:s3cret@example.com", "https://example.com?key=s3cret", "https://example.com/#s3cret"]
)
def test_secrets_in_the_base_url_are_rejected_and_not_shown(cli: Cli, url: str) -> None:
    """The message names the environment variable."""
    ran = cli.asking(url)("chat", AGENT, "Hello")
    assert ran.code == 2
    assert "MILLIS_BASE_URL" in ran.error
    assert "api_key" not in ran.error
    assert "s3cret" not in ran.error


def test_a_missing_key_is_reported_in_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the environment variable."""
    monkeypatch.delenv("MILLIS_API_KEY")
    ran = cli("chat", AGENT, "-m", "Hello")
    assert ran.code == 2
    assert "MILLIS_API_KEY" in ran.error
    assert "api_key=" not in ran.error


@pytest.mark.parametrize(
    ("agent_id", "start", "advice"),
    [
        ("-mock-401-----------", "[401 Unauthorized] Invalid private key", "MILLIS_API_KEY"),
        ("-mock-404-----------", "[404 Not Found] ", "region or MILLIS_BASE_URL"),
        ("-mock-422-----------", "[422 ", "] messages[0].content: field required"),
        ("-unknown------------", "[404 Not Found] ", "-unknown------------"),
    ],
)
def test_a_refused_request_is_reported_in_one_line(cli: Cli, agent_id: str, start: str, advice: str) -> None:
    """The line contains the detail from the service, and advice that names options instead of Python."""
    ran = cli("chat", agent_id, "-m", "Hello")
    assert (ran.code, ran.out) == (1, "")
    assert ran.error.startswith(f"millis: {start}")
    assert advice in ran.error
    assert "base_url" not in ran.error


def test_a_refused_config_is_reported_with_the_command_that_checks_it(cli: Cli, tmp_path: Path) -> None:
    """The line names the invalid field, then the command. An invalid message has nothing to check."""
    (tmp_path / "config.json").write_text('{"language": 7}')
    ran = cli("chat", AGENT, "-m", "Hello", "--config", str(tmp_path / "config.json"))
    assert ran.code == 1
    assert "agent.agent_config.language: " in ran.error
    assert ran.error.endswith("millis config check FILE")
    assert "config check" not in cli("chat", "-mock-422-----------", "-m", "Hello").error


def test_a_wrong_key_is_refused_and_not_shown(
    cli: Cli, millis_mock: MockMillis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message and the traceback of --debug do not contain the key."""
    monkeypatch.setattr(millis_mock, "api_key", "another-key")
    ran = cli("chat", AGENT, "-m", "Hello", "--debug")
    assert ran.code == 1
    assert "[401 Unauthorized]" in ran.err
    assert KEY not in ran.err + ran.out


def test_control_characters_of_an_error_response_are_escaped(cli: Cli) -> None:
    """They are escaped in the message and in the traceback of --debug."""
    with Loopback([http(400, json.dumps({"detail": "\x1b[2J\x1b]0;owned\x07" + "x" * 5000}))]) as server:
        ran = cli.asking(server.url)("duplicate", AGENT)
        debugged = cli("duplicate", AGENT, "--debug")
    assert ran.code == 1
    assert "\\x1b[2J" in ran.error
    assert len(ran.error) < 500
    assert "\x1b" not in debugged.err


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("the stream was cut off; the received part is in .reply", "the stream was cut off"),
        ("cut off; the received part is in .reply; see x", "cut off; see x"),
        ("no key: pass api_key= or set MILLIS_API_KEY", "no key: set MILLIS_API_KEY"),
        ("check the key (api_key= or MILLIS_API_KEY)", "check the key (MILLIS_API_KEY)"),
        ("check region or base_url", "check region or MILLIS_BASE_URL"),
        ("prompt.body and a.reply: stay; x=1", "prompt.body and a.reply: stay; x=1"),
    ],
)
def test_messages_do_not_mention_python_names(message: str, line: str) -> None:
    """Attributes and keyword arguments of the library are removed or replaced."""
    assert error_line(ConfigurationError(message)) == line


def test_a_closed_stdin_is_rejected(millis_mock: MockMillis) -> None:
    """`millis chat ID <&-` exits with status 2."""
    command = f"exec {MILLIS} chat {AGENT} <&-"
    done = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, env=environment(millis_mock.url)
    )
    assert done.returncode == 2
    assert done.stderr.startswith("millis: stdin is closed")
    assert done.stderr.count("\n") == 1


def test_with_stderr_closed_errors_are_not_written_to_stdout(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`millis chat ID 2>&-` prints nothing."""
    monkeypatch.setattr(sys, "stderr", None)
    ran = cli("chat", AGENT)
    assert (ran.code, ran.out) == (2, "")


def test_a_refused_connection_is_reported_in_one_line(cli: Cli) -> None:
    """The line names the host and states that the request was not sent."""
    address = nowhere()
    ran = cli.asking(f"http://{address}")("duplicate", AGENT)
    assert (ran.code, ran.out) == (1, "")
    assert f"http://{address}" in ran.error
    assert "sent" in ran.error


def test_debug_prints_the_traceback_before_the_message(cli: Cli) -> None:
    """--debug works before and after the name of the command."""
    for arguments in (["--debug", "chat", AGENT], ["chat", AGENT, "--debug"]):
        ran = cli(*arguments)
        assert ran.code == 2
        assert ran.err.startswith("Traceback (most recent call last)")
        assert ran.err.splitlines()[-1].startswith("millis: stdin: must not be empty")


def test_an_internal_error_is_reported_in_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The traceback is printed only with --debug."""

    def fail(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("millis_wrapper._sync.client.Agents.duplicate", fail)
    ran = cli("duplicate", AGENT)
    assert ran.code == 1
    assert "KeyError: 'a bug'" in ran.error
    assert "--debug" in ran.error


def test_ctrl_c_exits_with_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is printed."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("millis_wrapper.cli._chat.show_text", interrupted)
    ran = cli("chat", AGENT, "-m", "Hello")
    assert (ran.code, ran.err) == (130, "")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_both_exceptions_for_ctrl_c_exit_with_130(error: BaseException) -> None:
    """Some versions of typer raise Abort instead of KeyboardInterrupt."""
    assert exit_code_for(error, Session()) == 130


def test_version_prints_the_package_and_the_contract() -> None:
    """`millis --version` prints both version numbers."""
    ran = run_alone("", "--version")
    assert (ran.code, ran.out, ran.err) == (0, f"millis-wrapper {__version__} (contract {VERSION})\n", "")


def test_plain_http_to_another_machine_requires_allow_http(cli: Cli) -> None:
    """The error names the environment variable; --allow-http allows the request."""
    cli.monkeypatch.setenv("MILLIS_BASE_URL", "http://millis.invalid:8787")
    ran = cli("chat", AGENT, "Hello")
    assert ran.code == 2
    assert "MILLIS_ALLOW_HTTP=1" in ran.error
    ran = cli("chat", AGENT, "Hello", "--allow-http")
    assert ran.code == 1
    assert "http://millis.invalid:8787" in ran.error
