"""The gateway on the command line."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from contextlib import ExitStack

import loopback
import openai
import pytest
from cli_runs import accept_ctrl_c
from gateway_server import MILLIS_KEY, ask, openai_client

from millis_wrapper.cli._app import run
from millis_wrapper.gateway.__main__ import main
from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, millis_mock: MockMillis) -> None:
    monkeypatch.setenv("MILLIS_API_KEY", MILLIS_KEY)
    monkeypatch.setenv("MILLIS_BASE_URL", millis_mock.url)
    monkeypatch.delenv("MILLIS_GATEWAY_KEY", raising=False)


@pytest.mark.parametrize(
    ("module", "end"),
    [(["millis_wrapper.gateway"], signal.SIGTERM), (["millis_wrapper", "gateway"], signal.SIGINT)],
    ids=["python -m", "millis"],
)
def test_the_command_runs_the_gateway_until_a_signal(
    module: list[str], end: signal.Signals, millis_mock: MockMillis
) -> None:
    """It prints its address, logs each request without the key, and exits without a traceback."""
    command = [sys.executable, "-m", *module, "--port", "0", "--model", f"support={DEFAULT_AGENT_ID}"]
    with (
        accept_ctrl_c(),
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
        ExitStack() as stack,
    ):
        stack.callback(process.kill)  # A failed assertion must not wait for the process.
        assert process.stderr is not None
        found = re.search(r"(http://127\.0\.0\.1:\d+)/v1", process.stderr.readline())
        assert found
        assert "OPENAI_BASE_URL" in process.stderr.readline()
        with openai_client(found[1]) as client:
            assert ask(client, model="support").choices[0].message.content == "Hello"
            with pytest.raises(openai.NotFoundError):
                ask(client, model="nobody")
        process.send_signal(end)
        output, errors = process.communicate(timeout=loopback.PATIENCE)
    assert process.returncode == 0
    assert output == ""
    first, reason, second = errors.splitlines()
    assert first.endswith('"POST /v1/chat/completions HTTP/1.1" 200')
    assert second.endswith('"POST /v1/chat/completions HTTP/1.1" 404')
    assert reason.startswith("NotFoundError: ")
    assert MILLIS_KEY not in errors


@pytest.mark.parametrize(
    ("arguments", "key_word"),
    [
        (["--host", "0.0.0.0"], "MILLIS_GATEWAY_KEY"),
        (["--host", ""], "MILLIS_GATEWAY_KEY"),
        (["--host", "::"], "MILLIS_GATEWAY_KEY"),
        (["--host", "gateway.example"], "MILLIS_GATEWAY_KEY"),
        (["--host", "127.0.0.1.example"], "MILLIS_GATEWAY_KEY"),
        (["--port", "65536"], "--port: must be"),
        (["--port", "-1"], "--port: must be"),
        (["--model", "support"], "NAME=AGENT_ID"),
        (["--model", "=x"], "NAME=AGENT_ID"),
        (["--model", "a=x", "--model", "a=y"], "given twice"),
        (["--model", "a=b c"], 'model "a"'),
        (["--cors", "*"], "origin"),
    ],
)
def test_the_error_names_the_wrong_argument(
    arguments: list[str], key_word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both commands print one line, exit with status 2 and do not start a server."""
    before = signal.getsignal(signal.SIGTERM)
    for command, given in ((main, arguments), (run, ["gateway", *arguments])):
        assert command(given) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert key_word in line
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_missing_key_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gateway does not start without a Millis key."""
    monkeypatch.delenv("MILLIS_API_KEY")
    assert main([]) == 2
    assert "MILLIS_API_KEY" in capsys.readouterr().err


def test_a_port_in_use_is_an_error(millis_mock: MockMillis, capsys: pytest.CaptureFixture[str]) -> None:
    """The error line names host and port."""
    port = millis_mock.url.rpartition(":")[2]
    assert main(["--port", port]) == 2
    assert f"127.0.0.1 port {port}" in capsys.readouterr().err
