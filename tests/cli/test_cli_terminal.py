"""`millis` as a person uses it: in a terminal, with Ctrl-C and Ctrl-D, and in a pipe."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cli_runs import AGENT, MILLIS, Terminal, environment
from loopback import DONE, END, PATIENCE, STREAM, Loopback, Step, linger, pause, reply, said, until_left

from millis_wrapper.mock import MockMillis


@pytest.mark.parametrize("command", ["/quit", "/exit"])
def test_quit_and_exit_leave_without_a_request(millis_mock: MockMillis, command: str) -> None:
    """Both end the command as Ctrl-D does."""
    terminal = Terminal(millis_mock.url, "chat", AGENT)
    terminal.types(command)
    assert terminal.end() == (0, "")
    assert millis_mock.requests == []


def test_the_speakers_have_colors_unless_no_color_is_set(millis_mock: MockMillis) -> None:
    """You and Agent can be told apart; the reply itself is printed as it is."""
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


def test_a_reply_wraps_at_words(millis_mock: MockMillis) -> None:
    """No word is broken at the edge of the terminal, beside the speaker's name and below it."""
    text = "The quick brown fox jumps over the lazy dog, and then over the other one. " * 4
    millis_mock.reply_with(text)
    terminal = Terminal(millis_mock.url, "chat", AGENT, NO_COLOR="1")
    terminal.types("Hello")
    first, *lines = terminal.sees("\r\nYou").split("\r\n")
    assert first.startswith("Agent: The quick")
    assert len(lines) == 3
    assert max(map(len, [first, *lines])) <= 80
    assert " ".join([first, *lines]).removeprefix("Agent: ").split() == text.split()


def test_a_talk_keeps_its_history_and_saves_it(millis_mock: MockMillis, tmp_path: Path) -> None:
    """Each turn is sent with all before it; a turn that fails is not part of it, and can be said again."""
    saved = tmp_path / "talk.json"
    terminal = Terminal(millis_mock.url, "chat", AGENT, NO_COLOR="1")
    terminal.sees(f"Talking to {AGENT} at {millis_mock.url}. /help shows what you can type.\r\n")
    terminal.types("/help")
    terminal.sees("/quit, /exit  leave, and send nothing; so does Ctrl-D\r\n")
    terminal.types(f"/save {saved}")
    terminal.sees("there is nothing to save yet")
    terminal.types("Hello you")
    terminal.sees("Hello you\r\n")
    millis_mock.fail_next("cut")
    terminal.types("one two three four")
    assert terminal.sees("one two\r\nmillis: the stream broke off") == "Agent: "
    terminal.sees("(nothing of this turn is kept: say it again, or something else)\r\n")
    terminal.types("/frob")
    terminal.sees("millis: there is no /frob")
    terminal.types("")
    terminal.types("again")
    terminal.sees("again\r\n")
    terminal.types(f"/save {saved}")
    terminal.sees("(4 messages saved in ")
    terminal.types("/save")
    terminal.sees("(4 messages saved in ")
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


def test_end_without_a_text_sends_the_history_as_it_is(millis_mock: MockMillis) -> None:
    """Nobody's words are made up: the history goes once more, with end_of_session; where that fails, the talk
    goes on, and --debug shows the whole of it.
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


def test_ctrl_c_stops_the_reply_and_not_the_talk() -> None:
    """What was read of the reply is kept, and the next turn goes out behind it. At the prompt, where Ctrl-C
    may come a moment after the reply's end, only the second one leaves and loses the history.
    """
    # A Ctrl-C inside of httpx may leave a connection open: whether it does is not this test's matter.
    stalled = linger(PATIENCE)
    half: list[Step] = [STREAM + said("Once upon "), stalled]
    with Loopback([stalled], half, reply("As you like.")) as server:
        terminal = Terminal(server.url, "chat", AGENT)
        terminal.types("Are you there?")
        assert server.asked.wait(PATIENCE)
        terminal.ctrl("c")
        terminal.sees("(stopped; nothing of this turn is kept)")
        terminal.types("Tell me a story")
        terminal.sees("Once upon ")
        terminal.ctrl("c")
        terminal.sees("(stopped; what came of the reply is kept)")
        terminal.sees("> ")
        terminal.ctrl("c")
        terminal.sees("(Ctrl-C again leaves, and so does Ctrl-D)")
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


def test_ctrl_c_during_one_turn_leaves() -> None:
    """The reply is cut off on its own line, with 130 and no traceback."""
    with Loopback([STREAM + said("Once upon "), until_left]) as server:
        terminal = Terminal(server.url, "chat", AGENT, "-m", "Tell me a story")
        terminal.sees("Once upon ")
        terminal.ctrl("c")
        assert terminal.end() == (130, "^C\r\n")


def test_in_a_talk_only_the_replies_go_to_stdout(millis_mock: MockMillis, tmp_path: Path) -> None:
    """With stdout in a file one can still see the prompt and the errors."""
    kept = tmp_path / "replies.txt"
    terminal = Terminal(millis_mock.url, "-c", f"exec {MILLIS} chat {AGENT} > {kept}", command="/bin/sh")
    terminal.types("Hello")
    terminal.types("/frob")
    terminal.sees("millis: there is no /frob")
    terminal.sees("> ")
    terminal.ctrl("d")
    assert terminal.end()[0] == 0
    assert kept.read_text() == "Hello\n"


def test_each_piece_is_in_the_pipe_before_the_next_is_sent() -> None:
    """Nothing waits in a buffer until the reply is over."""
    seen = threading.Event()
    with (
        Loopback([STREAM + said("Once"), pause(seen), said(" upon") + DONE + END]) as server,
        subprocess.Popen(
            [MILLIS, "chat", AGENT, "-m", "Hi"], stdout=subprocess.PIPE, env=environment(server.url)
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.read(4) == b"Once"
        seen.set()
        assert process.stdout.read() == b" upon\n"
    assert process.returncode == 0


def test_a_pipe_that_closes_early_is_no_error(millis_mock: MockMillis) -> None:
    """`millis chat ... | head -1` prints its line and nothing else; the reader had what it wanted."""
    millis_mock.reply_with([f"line {number}\n" * 100 for number in range(2000)])
    piped = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {MILLIS} chat {AGENT} -m Hi | head -1"],
        capture_output=True,
        text=True,
        timeout=30,
        env=environment(millis_mock.url),
    )
    assert (piped.returncode, piped.stdout, piped.stderr) == (0, "line 0\n", "")


def test_a_missing_extra_is_one_line() -> None:
    """Without typer the script says what to install."""
    code = "import sys; sys.modules['typer'] = None; from millis_wrapper.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "millis: this command needs typer, which is not installed: in a clone of millis-wrapper,"
        " pip install '.[cli]'\n"
    )


def test_help_loads_nothing_it_does_not_need() -> None:
    """`millis --help` answers at once: no HTTP library, no models, no rich, no server."""
    code = (
        "import sys; from millis_wrapper.cli._app import run; code = run(['--help']);"
        "print(code, {'httpx', 'millis_api.models', 'millis_api.contract', 'rich', 'starlette', 'jsonschema',"
        " 'yaml'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 set()"


def test_a_saved_history_goes_on(millis_mock: MockMillis, tmp_path: Path) -> None:
    """What /save wrote is sent before the next turn, and may be written over by this conversation."""
    saved = tmp_path / "talk.json"
    history = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good evening"}]
    saved.write_text(json.dumps(history))
    terminal = Terminal(millis_mock.url, "chat", AGENT, "--history", str(saved))
    terminal.types("And tomorrow?")
    terminal.sees("And tomorrow?\r\n")
    terminal.types("/save")
    terminal.sees("(4 messages saved in ")
    terminal.sees("> ")
    terminal.ctrl("d")
    assert terminal.end()[0] == 0
    assert millis_mock.requests[0].body["messages"][:2] == history
    assert len(json.loads(saved.read_text())) == 4


def test_a_terminal_is_shown_that_a_reply_is_waited_for() -> None:
    """A first token that does not come is not taken for a command that hangs."""
    go_on = threading.Event()
    with Loopback([STREAM, pause(go_on), said("At last.") + DONE + END]) as server:
        terminal = Terminal(server.url, "chat", AGENT, "-m", "Hi")
        terminal.sees("(waiting for the agent ...)\r\n")
        go_on.set()
        assert terminal.end() == (0, "At last.\r\n")


def test_python_m_is_the_command(millis_mock: MockMillis) -> None:
    """`python -m millis_wrapper` works where the script is not on the PATH."""
    command = [sys.executable, "-m", "millis_wrapper", "chat", AGENT, "Hello"]
    done = subprocess.run(
        command, env=environment(millis_mock.url), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello\n", "")


def test_the_shell_completes_commands(millis_mock: MockMillis) -> None:
    """typer's own completion is there, and knows the commands."""
    env = {**environment(millis_mock.url), "_MILLIS_COMPLETE": "complete_bash", "COMP_WORDS": "millis du"}
    env |= {"COMP_CWORD": "1"}
    done = subprocess.run([MILLIS], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["duplicate"]
