"""`millis mock` and `millis demo`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import Any

import pytest
from cli_runs import AGENT, KEY, MILLIS, Cli, accept_ctrl_c
from typer.main import get_command

from millis_wrapper import Millis
from millis_wrapper.cli._app import app
from millis_wrapper.mock import MockMillis
from millis_wrapper.mock.__main__ import new_parser


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command in this process; the demo runs without delays."""
    monkeypatch.setattr("millis_wrapper.mock.demo.PACE", 0)
    return Cli(monkeypatch, capsys)


def test_mock_runs_until_ctrl_c() -> None:
    """The command prints the address, serves requests there, and exits with 0 after Ctrl-C."""
    with (
        accept_ctrl_c(),
        subprocess.Popen(
            [MILLIS, "mock", "--port", "0", "--pace", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        found = re.search(r"http://127\.0\.0\.1:\d+", lines[0])
        assert found
        with Millis(KEY, base_url=found.group()) as millis:
            assert millis.chat.send("Hello", agent_id=AGENT).text == "Hello"
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, rest, errors) == (0, "", "POST /chat/completions -> 200\n")


@pytest.mark.parametrize(
    ("arguments", "key_word"),
    [
        (["--agents", "/no/file"], "millis: /no/file: "),
        (["--script", "/no/file"], "millis: /no/file: "),
        (["--port", "70000"], "millis: port: "),
        (["--port", "x"], '"--port"'),
        (["--pace", "-1"], "--pace: "),
    ],
)
def test_mock_reports_invalid_options_in_one_line(cli: Cli, arguments: list[str], key_word: str) -> None:
    """The exit status is 2, and the server does not start."""
    ran = cli("mock", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert key_word in ran.error


def test_mock_has_the_options_and_defaults_of_the_module() -> None:
    """`millis mock` and `python -m millis_wrapper.mock` accept the same options."""
    command: Any = get_command(app)
    options = {param.name: param.default for param in command.commands["mock"].params}
    del options["debug"]
    assert options == vars(new_parser().parse_args([]))


def test_demo_streams_a_reply_and_duplicates_an_agent(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo needs no key and no network."""
    monkeypatch.delenv("MILLIS_API_KEY", raising=False)
    ran = cli("demo")
    assert (ran.code, ran.err) == (0, "")
    assert "Agent: I am a mock agent" in ran.out
    assert re.search(r"copy.* -[\w-]{19}", ran.out)


def test_demo_accepts_an_agent_of_the_service(cli: Cli, millis_mock: MockMillis) -> None:
    """An id that begins with `-` works, and a refused request is reported in one line."""
    ran = cli.asking(millis_mock.url)("demo", AGENT)
    assert (ran.code, [request.operation for request in millis_mock.requests]) == (0, ["chat", "duplicate"])
    for agent_id in ("-mock-401-----------", "-mock-cut-----------", "not an id"):
        ran = cli("demo", agent_id)
        assert ran.code != 0
        assert ran.out.endswith("\n")
        assert ran.error.startswith("millis: ")


def test_demo_exits_silently_if_the_reader_closes_the_pipe(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """`millis demo | head -1` exits with 0 and prints no error."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        ran = cli("demo")
    assert (ran.code, ran.err) == (0, "")
