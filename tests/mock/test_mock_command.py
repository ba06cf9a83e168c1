"""`python -m millis_wrapper.mock` and the demo."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
from contextlib import ExitStack, redirect_stdout
from pathlib import Path

import pytest
from cli_runs import accept_ctrl_c

from millis_wrapper import Millis, NotFoundError
from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis, demo
from millis_wrapper.mock.__main__ import main


@pytest.mark.parametrize("quiet", [False, True], ids=["", "quiet"])
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_command_runs_the_mock_server_until_a_signal(
    end: signal.Signals, quiet: bool, tmp_path: Path
) -> None:
    """It prints its URL and the variables to set, logs requests, and ends without a traceback."""
    script, agents = tmp_path / "script.json", tmp_path / "agents.json"
    script.write_text('["From the file."]')
    agents.write_text('[{"id": "-from-file"}]')
    command = [sys.executable, "-m", "millis_wrapper.mock", "--port", "0", "--pace", "0"]
    command += ["--script", str(script), "--agents", str(agents)]
    command += ["--quiet"] if quiet else []
    pipe = subprocess.PIPE
    with (
        accept_ctrl_c(),
        subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process,
        ExitStack() as stack,
    ):
        stack.callback(process.kill)  # a failure here must not leave the process running
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found
        with Millis("k", base_url=found.group()) as millis:
            assert millis.chat.send("Hello", agent_id="-from-file").text == "From the file."
            with pytest.raises(NotFoundError, match="--agents FILE") as caught:
                millis.chat.send("Hello", agent_id="-unknown")
            assert "add_agent" not in str(caught.value)
        # After its last line, the command waits for the signal.
        assert DEFAULT_AGENT_ID in process.stdout.readline()
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(end)
        rest, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert lines == [
        "In another terminal:\n",
        f"export MILLIS_BASE_URL={found.group()}\n",
        "export MILLIS_API_KEY=any-key\n",
    ]
    assert rest == ""
    assert errors == ("" if quiet else "POST /chat/completions -> 200\nPOST /chat/completions -> 404\n")


@pytest.mark.parametrize(
    ("arguments", "key_word"),
    [
        (["--agents", "/nowhere"], "/nowhere: "),
        (["--script", "/nowhere"], "/nowhere: "),
        (["--port", "65536"], "port: "),
        (["--port", "x"], "--port"),
        (["--pace", "-1"], "--pace: must be"),
        (["--pace", "soon"], "--pace: invalid float"),
        (["--pace", "inf"], "--pace: must be"),
    ],
)
def test_the_message_for_an_invalid_argument_names_it(
    arguments: list[str], key_word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server does not start."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        status: object = main(arguments)
    except SystemExit as error:
        status = error.code
    finally:
        signal.signal(signal.SIGTERM, before)
    assert status == 2
    assert key_word in capsys.readouterr().err


class Screen(io.StringIO):
    """The output, and its length at each flush."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def flush(self) -> None:
        self.seen.append(self.getvalue())


def test_the_demo_streams_a_reply_and_duplicates_an_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reply appears word by word, followed by the id of the copy."""
    monkeypatch.setattr(demo, "PACE", 0)
    monkeypatch.delenv("MILLIS_API_KEY", raising=False)
    screen = Screen()
    with redirect_stdout(screen):
        demo.run_demo(None)
    words = demo.REPLY.split(" ")
    for number in range(1, len(words)):
        assert any(output.endswith("Agent: " + " ".join(words[:number])) for output in screen.seen)
    assert re.search(r"copy's id is -[A-Za-z0-9_-]{19}\.\n$", screen.getvalue())


@pytest.mark.parametrize("program", ["millis_wrapper.mock.demo", "millis_wrapper.mock"])
def test_a_full_disk_is_reported_in_one_line(program: str) -> None:
    """The program exits with status 1 and prints no traceback."""
    command = [sys.executable, "-m", program, *(["--port", "0"] if program.endswith("mock") else [])]
    with open("/dev/full", "w") as full:
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    assert ran.returncode == 1
    assert ran.stderr.strip().count("\n") == 0
    assert "No space left on device" in ran.stderr


def test_the_demo_ends_silently_when_its_output_is_closed() -> None:
    """`scripts/demo | head -1` prints one line and no traceback."""
    with subprocess.Popen(
        [sys.executable, "-m", "millis_wrapper.mock.demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as ran:
        assert ran.stdout is not None
        assert ran.stderr is not None
        assert ran.stdout.readline().startswith(b"The mock server")
        ran.stdout.close()
        assert (ran.stderr.read(), ran.wait(30)) == (b"", 0)


def test_ctrl_c_ends_the_demo_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit status is 130."""

    def interrupted(agent_id: str | None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run_demo", interrupted)
    assert demo.main([]) == 130
    assert capsys.readouterr().err == "\n"


def test_the_demo_warns_before_it_uses_the_live_service(
    millis_mock: MockMillis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an agent id, it prints a warning about the cost before it sends a request."""
    monkeypatch.setenv("MILLIS_API_KEY", "live-key")
    monkeypatch.setenv("MILLIS_BASE_URL", millis_mock.url)
    agent_id = millis_mock.add_agent()
    requests_when_shown: list[tuple[str, int]] = []

    class Watched(io.StringIO):
        def write(self, text: str) -> int:
            requests_when_shown.append((text, len(millis_mock.requests)))
            return super().write(text)

    screen = Watched()
    with redirect_stdout(screen):
        demo.run_demo(agent_id)
    assert [request.agent_id for request in millis_mock.requests] == [agent_id, agent_id]
    assert [count for text, count in requests_when_shown if "the copy is real" in text] == [0]
    assert f"Agent: {demo.QUESTION}" in screen.getvalue()


def test_the_demo_escapes_control_characters_of_a_reply(
    millis_mock: MockMillis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text from the network cannot change the terminal."""
    monkeypatch.setenv("MILLIS_API_KEY", "live-key")
    monkeypatch.setenv("MILLIS_BASE_URL", millis_mock.url)
    millis_mock.reply_with("\x1b[2Jgone")
    screen = io.StringIO()
    with redirect_stdout(screen):
        demo.run_demo(DEFAULT_AGENT_ID)
    assert "\x1b" not in screen.getvalue()
    assert "gone" in screen.getvalue()


def test_an_error_of_the_demo_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing key and unknown arguments do not cause a traceback."""
    monkeypatch.delenv("MILLIS_API_KEY", raising=False)
    assert demo.main(["-Oabc"]) == 1
    assert "MILLIS_API_KEY" in capsys.readouterr().err
    assert demo.main(["-Oabc", "-Odef"]) == 2
    assert demo.main(["--help"]) == 0
    assert "usage: demo" in capsys.readouterr().out
