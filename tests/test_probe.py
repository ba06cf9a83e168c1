"""scripts/probe sends each request once and reports differences from the contract without secrets."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import loopback
import pytest
from paths import ROOT

from millis_wrapper.mock import MockMillis
from millis_wrapper.options import Options
from scripts import _probe

KEY = "aVeryPrivateKeyOf32CharactersXyz"
AGENT_ID = "-ThePrivateAgentOf20"
SECRET_TEXT = "Doctor Wetherby"

Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the probe against a URL."""

    def run(url: str, *arguments: str) -> int:
        monkeypatch.setenv("MILLIS_API_KEY", KEY)
        monkeypatch.setenv("MILLIS_AGENT_ID", AGENT_ID)
        monkeypatch.setenv("MILLIS_BASE_URL", url)
        return _probe.main(arguments)

    return run


@pytest.fixture
def service(millis_mock: MockMillis) -> MockMillis:
    """The mock server, with an agent whose prompt and replies are private."""
    millis_mock.add_agent(AGENT_ID, config={"prompt": SECRET_TEXT})
    millis_mock.reply_with(SECRET_TEXT)
    return millis_mock


def test_the_probe_sends_nothing_without_confirmation(
    run: Run, service: MockMillis, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The probe lists its requests first; a stdin that is not a terminal does not count as confirmation."""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))  # not a terminal
    assert run(service.url) == 2
    assert service.requests == []
    shown = capsys.readouterr().err
    assert all(request.name in shown for request in _probe.REQUESTS)


def test_the_probe_sends_each_request_once_and_makes_no_copy(run: Run, service: MockMillis) -> None:
    """The probe duplicates an agent only with --make-a-copy."""
    run(service.url, "--yes")
    sent = [request.operation for request in service.requests]
    assert sent == ["chat"] * len(_probe.REQUESTS)


def test_the_probe_prints_the_id_of_the_copy_it_made(
    run: Run, service: MockMillis, capsys: pytest.CaptureFixture[str]
) -> None:
    """The user can delete the copy without searching for it."""
    run(service.url, "--yes", "--make-a-copy")
    assert [request.operation for request in service.requests].count("duplicate") == len(_probe.COPIES)
    assert "delete it: -" in capsys.readouterr().err


def test_the_report_lists_status_media_type_headers_and_differences(
    run: Run, service: MockMillis, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report has one row per request."""
    run(service.url, "--yes")
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[0] for row in rows] == [request.name for request in _probe.REQUESTS]
    assert rows[0][1:3] == ["200", "text/event-stream"]
    assert "content-type" in rows[0][3].split(", ")
    assert rows[0][4] == "none"
    statuses = {row[0]: row[1] for row in rows}
    assert [statuses[name] for name in ("no key", "Bearer before the key", "an unknown config key")] == [
        "401",
        "401",
        "422",
    ]


def responses_that_differ() -> list[loopback.Steps]:
    """Return one response per request; each differs from the contract in its own way."""
    typed = json.dumps({"choices": [{"delta": {"content": 5}}], "surprise": 1})
    stream = loopback.STREAM + loopback.event(typed) + loopback.event("Doctor Wetherby") + loopback.END
    html = loopback.http(200, "<html>Doctor Wetherby</html>", {"content-type": "text/html"})
    return [
        [stream],
        [loopback.http(204)],
        [loopback.http(401, json.dumps({"detail": KEY, "Doctor": SECRET_TEXT}))],
        [loopback.http(422, "Doctor Wetherby")],
        [loopback.http(500, "")],
        [loopback.close],
        [html],
    ]


def test_the_report_names_differences_from_the_contract(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """The report lists types, unknown keys, a missing end mark, statuses and bodies of another kind."""
    with loopback.Loopback(*responses_that_differ()) as server:
        assert run(server.url, "--yes") == 1
        assert len(server.requests) == len(_probe.REQUESTS)
    cells = [line.strip("|\n ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert "[DONE]" in cells[0][4]
    assert "choices[0].delta.content: type" in cells[0][4]
    assert "unknown key surprise" in cells[0][4]
    assert "event data that is not a JSON object" in cells[0][4]
    assert "204" in cells[1][4]
    assert "unknown key Doctor" in cells[2][4]
    assert cells[3][4] == "the body is not JSON"
    assert cells[5][1] == "RemoteProtocolError"
    assert "[DONE]" in cells[6][4]


@pytest.mark.parametrize("secret", [KEY, AGENT_ID, SECRET_TEXT])
def test_the_report_contains_no_secret(
    run: Run, service: MockMillis, tmp_path: Path, capsys: pytest.CaptureFixture[str], secret: str
) -> None:
    """The report can be attached to an issue: the key, agent id, config and texts do not appear in it."""
    run(service.url, "--yes", "--make-a-copy", "--report", str(tmp_path / "one.md"))
    with loopback.Loopback(*responses_that_differ()) as server:
        run(server.url, "--yes", "--report", str(tmp_path / "two.md"))
    written = (tmp_path / "one.md").read_text("utf-8") + (tmp_path / "two.md").read_text("utf-8")
    captured = capsys.readouterr()
    assert written in captured.out + written
    assert secret not in written + captured.out + captured.err


def test_ctrl_c_keeps_the_finished_rows(
    run: Run, service: MockMillis, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After Ctrl-C, the probe prints the finished rows and exits with status 130."""
    send = _probe.send

    def interrupted(request: _probe.Request, options: Options, agent_id: str) -> _probe.Summary | str:
        if request == _probe.REQUESTS[1]:
            raise KeyboardInterrupt
        return send(request, options, agent_id)

    monkeypatch.setattr(_probe, "send", interrupted)
    assert run(service.url, "--yes") == 130
    assert _probe.REQUESTS[0].name in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "value", "key_word"),
    [
        ("MILLIS_API_KEY", None, "no key"),
        ("MILLIS_AGENT_ID", None, "MILLIS_AGENT_ID: must be"),
        ("MILLIS_AGENT_ID", "../x", "MILLIS_AGENT_ID: must be"),
        ("MILLIS_BASE_URL", "http://example.com", "unencrypted"),
    ],
)
def test_the_probe_sends_nothing_with_an_invalid_setting(name: str, value: str | None, key_word: str) -> None:
    """The probe exits with status 2, and its message names the setting."""
    settings = {"MILLIS_API_KEY": KEY, "MILLIS_AGENT_ID": AGENT_ID, name: value}
    environment = {**os.environ, **{key: one for key, one in settings.items() if one is not None}}
    if value is None:
        environment.pop(name, None)
    command = [sys.executable, "-m", "scripts._probe", "--yes"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert key_word in done.stderr
    assert "Traceback" not in done.stderr
