"""`millis` in a terminal, with Ctrl-C and Ctrl-D, and in a pipe."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cli_runs import AGENT, MILLIS, Terminal, environment
from loopback import (
    DONE,
    END,
    PATIENCE,
    STREAM,
    Loopback,
    Step,
    linger,
    pause,
    reply,
    text_event,
    until_disconnect,
)

from millis_wrapper.mock import MockMillis


@pytest.mark.parametrize("command", ["/quit", "/exit"])
def test_quit_and_exit_send_nothing(millis_mock: MockMillis, command: str) -> None:
    """/quit and /exit exit with 0, as Ctrl-D does."""
    terminal = Terminal(millis_mock.url, "chat", AGENT)
    terminal.types(command)
    assert terminal.end() == (0, "")
    assert millis_mock.requests == []


def test_speaker_names_are_colored_unless_no_color_is_set(millis_mock: MockMillis) -> None:
    """`You` and `Agent` have different colors; the text of a reply is not colored."""
    terminal = Terminal(millis_mock.url, "chat", AGENT)
    assert terminal.sees("> ").endswith("\x1b[36mYou\x1b[0m")
    terminal.sends("Hello")
    terminal.sees("\r\n")
    assert terminal.sees("Hello\r\n") == "\x1b[32mAgent\x1b[0m: "
    terminal.types("/quit")
    terminal = Terminal(millis_mock.url, "chat", AGENT, NO_COLOR="1")
    assert terminal.sees("> ").endswith("You")
    terminal.sends("Hello")
    terminal.sees("\r\n")
    assert terminal.sees("Hello\r\n") == "Agent: "


def test_a_reply_wraps_at_spaces(millis_mock: MockMillis) -> None:
    """Every line fits into the width of the terminal."""
    text = "The quick brown fox jumps over the lazy dog, and then over the other one. " * 4
    millis_mock.reply_with(text)
    terminal = Terminal(millis_mock.url, "chat", AGENT, NO_COLOR="1")
    terminal.types("Hello")
    first, *lines = terminal.sees("\r\nYou").split("\r\n")
    assert first.startswith("Agent: The quick")
    assert len(lines) == 3
    assert max(map(len, [first, *lines])) <= 80
    assert " ".join([first, *lines]).removeprefix("Agent: ").split() == text.split()


def test_a_conversation_keeps_and_saves_its_history(millis_mock: MockMillis, tmp_path: Path) -> None:
    """Every request contains all previous turns except those that failed; /save writes them to a file."""
    saved = tmp_path / "talk.json"
    terminal = Terminal(millis_mock.url, "chat", AGENT, NO_COLOR="1")
    assert AGENT in terminal.sees(f" at {millis_mock.url}. ")
    terminal.types("/help")
    terminal.sees("/quit, /exit ")
    terminal.types(f"/save {saved}")
    terminal.sees("nothing to save")
    terminal.types("Hello you")
    terminal.sees("Hello you\r\n")
    millis_mock.fail_next("cut")
    terminal.types("one two three four")
    assert terminal.sees("one two\r\nmillis: ") == "Agent: "
    terminal.sees("not added to the history")
    terminal.types("/frob")
    terminal.sees("unknown command /frob")
    terminal.types("")
    terminal.types("again")
    terminal.sees("again\r\n")
    terminal.types(f"/save {saved}")
    terminal.sees("(saved 4 messages to ")
    terminal.types("/save")
    terminal.sees("(saved 4 messages to ")
    others = tmp_path / "others.json"
    others.write_text("mine")
    terminal.types(f"/save {others}")
    terminal.sees("File exists")
    assert others.read_text() == "mine"
    terminal.types("/end Good bye")
    code, rest = terminal.end()
    assert (code, rest) == (0, "Agent: Good bye\r\n")
    history = [
        {"role": "user", "content": "Hello you"},
        {"role": "assistant", "content": "Hello you"},
        {"role": "user", "content": "again"},
        {"role": "assistant", "content": "again"},
    ]
    assert json.loads(saved.read_text()) == history
    assert millis_mock.requests[-1].body["messages"] == [*history, {"role": "user", "content": "Good bye"}]
    assert [request.body.get("end_of_session") for request in millis_mock.requests] == [
        None,
        None,
        None,
        True,
    ]


def test_end_without_text_sends_the_history_again(millis_mock: MockMillis) -> None:
    """The request has end_of_session and no new message.

    If the request fails, the conversation continues, and --debug prints the traceback.
    """
    terminal = Terminal(millis_mock.url, "--debug", "chat", AGENT, NO_COLOR="1")
    terminal.types("Hello")
    terminal.sees("Hello\r\n")
    millis_mock.fail_next(500)
    terminal.types("/end")
    terminal.sees("Traceback (most recent call last)")
    terminal.sees("millis: [500 Internal Server Error]")
    terminal.types("/end")
    assert terminal.end() == (0, "Agent: Hello\r\n")
    last = millis_mock.requests[-1].body
    assert last["end_of_session"] is True
    assert [message["content"] for message in last["messages"]] == ["Hello", "Hello"]


def test_ctrl_c_stops_the_reply_but_not_the_conversation() -> None:
    """The received part of the reply is kept in the history. At the prompt, only a second Ctrl-C leaves."""
    # This test does not check whether a Ctrl-C inside httpx leaves a connection open.
    stalled = linger(PATIENCE)
    half: list[Step] = [STREAM + text_event("Once upon "), stalled]
    with Loopback([stalled], half, reply("As you like.")) as server:
        terminal = Terminal(server.url, "chat", AGENT)
        terminal.types("Are you there?")
        assert server.request_arrived.wait(PATIENCE)
        terminal.ctrl("c")
        terminal.sees("(stopped; nothing was added")
        terminal.types("Tell me a story")
        terminal.sees("Once upon ")
        terminal.ctrl("c")
        terminal.sees("(stopped; the partial reply was added")
        terminal.sees("> ")
        terminal.ctrl("c")
        terminal.sees("Ctrl-C again")
        terminal.types("No, stop")
        terminal.sees("As you like.\r\n")
        terminal.sees("> ")
        terminal.ctrl("c")
        terminal.sees("> ")
        terminal.ctrl("c")
        code, rest = terminal.end()
    assert code == 130
    assert "Traceback" not in rest
    assert [message["content"] for message in server.bodies[-1]["messages"]] == [
        "Tell me a story",
        "Once upon ",
        "No, stop",
    ]


def test_ctrl_c_during_a_single_message_exits() -> None:
    """The line is completed, the exit status is 130, and no traceback is printed."""
    with Loopback([STREAM + text_event("Once upon "), until_disconnect]) as server:
        terminal = Terminal(server.url, "chat", AGENT, "-m", "Tell me a story")
        terminal.sees("Once upon ")
        terminal.ctrl("c")
        assert terminal.end() == (130, "^C\r\n")


def test_an_interactive_chat_writes_only_replies_to_stdout(millis_mock: MockMillis, tmp_path: Path) -> None:
    """With stdout redirected to a file, the prompt and errors are written to stderr."""
    kept = tmp_path / "replies.txt"
    terminal = Terminal(millis_mock.url, "-c", f"exec {MILLIS} chat {AGENT} > {kept}", command="/bin/sh")
    terminal.types("Hello")
    terminal.types("/frob")
    terminal.sees("unknown command /frob")
    terminal.sees("> ")
    terminal.ctrl("d")
    assert terminal.end()[0] == 0
    assert kept.read_text() == "Hello\n"


def test_every_chunk_is_written_to_a_pipe_at_once() -> None:
    """A chunk can be read from the pipe before the service sends the next one."""
    seen = threading.Event()
    with (
        Loopback([STREAM + text_event("Once"), pause(seen), text_event(" upon") + DONE + END]) as server,
        subprocess.Popen(
            [MILLIS, "chat", AGENT, "-m", "Hi"], stdout=subprocess.PIPE, env=environment(server.url)
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.read(4) == b"Once"
        seen.set()
        assert process.stdout.read() == b" upon\n"
    assert process.returncode == 0


def test_a_reader_that_closes_the_pipe_is_not_an_error(millis_mock: MockMillis) -> None:
    """`millis chat ... | head -1` prints one line and exits with 0."""
    millis_mock.reply_with([f"line {number}\n" * 100 for number in range(2000)])
    piped = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {MILLIS} chat {AGENT} -m Hi | head -1"],
        capture_output=True,
        text=True,
        timeout=30,
        env=environment(millis_mock.url),
    )
    assert (piped.returncode, piped.stdout, piped.stderr) == (0, "line 0\n", "")


def test_a_missing_extra_is_reported_in_one_line() -> None:
    """Without typer, the message contains the install command."""
    code = "import sys; sys.modules['typer'] = None; from millis_wrapper.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("millis: ")
    assert "typer" in done.stderr
    assert done.stderr.endswith("pip install '.[cli]'\n")
    assert done.stderr.count("\n") == 1


def test_help_imports_no_slow_modules() -> None:
    """`millis --help` imports no HTTP library, no models, no rich and no server."""
    code = (
        "import sys; from millis_wrapper.cli._app import run; code = run(['--help']);"
        "print(code, {'httpx', 'millis_api.models', 'millis_api.contract', 'rich', 'starlette', 'jsonschema',"
        " 'yaml'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 set()"


def test_a_saved_history_can_be_continued(millis_mock: MockMillis, tmp_path: Path) -> None:
    """--history sends the saved messages before the new one, and /save overwrites the file."""
    saved = tmp_path / "talk.json"
    history = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good evening"}]
    saved.write_text(json.dumps(history))
    terminal = Terminal(millis_mock.url, "chat", AGENT, "--history", str(saved))
    terminal.types("And tomorrow?")
    terminal.sees("And tomorrow?\r\n")
    terminal.types("/save")
    terminal.sees("(saved 4 messages to ")
    terminal.sees("> ")
    terminal.ctrl("d")
    assert terminal.end()[0] == 0
    assert millis_mock.requests[0].body["messages"][:2] == history
    assert len(json.loads(saved.read_text())) == 4


def test_a_terminal_shows_a_note_while_waiting_for_a_reply() -> None:
    """The note is written to stderr if the first text is late."""
    resume = threading.Event()
    with Loopback([STREAM, pause(resume), text_event("At last.") + DONE + END]) as server:
        terminal = Terminal(server.url, "chat", AGENT, "-m", "Hi")
        terminal.sees("(waiting for the agent ...)\r\n")
        resume.set()
        assert terminal.end() == (0, "At last.\r\n")


def test_python_m_runs_the_command(millis_mock: MockMillis) -> None:
    """`python -m millis_wrapper` works without the script on the PATH."""
    command = [sys.executable, "-m", "millis_wrapper", "chat", AGENT, "Hello"]
    done = subprocess.run(
        command, env=environment(millis_mock.url), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello\n", "")


def test_shells_complete_commands(millis_mock: MockMillis) -> None:
    """Completion by typer lists the commands."""
    env = {**environment(millis_mock.url), "_MILLIS_COMPLETE": "complete_bash", "COMP_WORDS": "millis du"}
    env |= {"COMP_CWORD": "1"}
    done = subprocess.run([MILLIS], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["duplicate"]
