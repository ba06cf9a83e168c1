"""`millis chat` and `millis duplicate`: one turn, one copy, and what goes where."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from cli_runs import AGENT, KEY, MILLIS, Cli, environment, run_alone
from loopback import DONE, END, STREAM, Loopback, event, http, nowhere

from millis_wrapper import ChatReply, ConfigurationError, __version__
from millis_wrapper.cli._options import Session
from millis_wrapper.cli._output import exit_code_for, line_for
from millis_wrapper.contract import VERSION
from millis_wrapper.mock import MockMillis


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], millis_mock: MockMillis) -> Cli:
    """The command in this process, asking the mock."""
    return Cli(monkeypatch, capsys).asking(millis_mock.url)


def test_one_turn_prints_the_reply_and_nothing_else(cli: Cli, millis_mock: MockMillis) -> None:
    """stdout holds what the agent said and a line end; a script need not cut anything off."""
    millis_mock.reply_with("Good evening.")
    ran = cli("chat", AGENT, "-m", "Hello")
    assert (ran.code, ran.out, ran.err) == (0, "Good evening.\n", "")
    assert millis_mock.requests[-1].body == {
        "agent": {"agent_id": AGENT},
        "messages": [{"role": "user", "content": "Hello"}],
    }


@pytest.mark.parametrize("piped", ["Hello\nto you", "Hello\nto you\n", "Hello\nto you\r\n\n"])
def test_stdin_is_one_turn(cli: Cli, millis_mock: MockMillis, piped: str) -> None:
    """A text that is piped in is said whole, without the line end that `echo` puts behind it."""
    assert cli("chat", AGENT, stdin=piped).code == 0
    assert millis_mock.requests[-1].body["messages"] == [{"role": "user", "content": "Hello\nto you"}]


@pytest.mark.parametrize(
    ("stdin", "words"), [(b"", "is empty"), (b"\n", "is empty"), (b"\xff\xfe", "is not UTF-8")]
)
def test_a_stdin_that_says_nothing_is_wrong_use(
    cli: Cli, millis_mock: MockMillis, stdin: bytes, words: str
) -> None:
    """Nothing is sent for a text that is not there, or is none."""
    ran = cli("chat", AGENT, stdin=stdin)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.error
    assert not millis_mock.requests


def test_the_options_are_sent_as_they_were_meant(cli: Cli, millis_mock: MockMillis, tmp_path: Path) -> None:
    """Metadata is text unless `:=` says JSON; the config and the session's end go along."""
    config = tmp_path / "override.json"
    config.write_text('{"prompt": "Be brief."}')
    ran = cli(
        *("chat", "--metadata", "name=Ada=1", "--metadata", "zip=01234", "--metadata", "n:=[1, null]"),
        *("--config", str(config), "--end-session", "-m", "Bye", AGENT),
    )
    assert (ran.code, ran.err) == (0, "")
    assert millis_mock.requests[-1].body == {
        "agent": {
            "agent_id": AGENT,
            "agent_config": {"prompt": "Be brief."},
            "metadata": {"name": "Ada=1", "zip": "01234", "n": [1, None]},
        },
        "messages": [{"role": "user", "content": "Bye"}],
        "end_of_session": True,
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--metadata", "name"], "'name' is not of the form NAME=TEXT"),
        (["--metadata", "=Ada"], "'=Ada' is not of the form NAME=TEXT"),
        (["--metadata", "n:=Ada"], "the value of 'n' is not JSON"),
        (["--metadata", "n=1", "--metadata", "n:=1"], "'n' is given twice"),
        (["--config", "no/such/file.json"], "no/such/file.json: cannot be read"),
        (["--region", "mars"], "'mars' is not one of 'us', 'eu'"),
        (["--frobnicate"], "No such option: --frobnicate"),
        (["--api-key", "x"], "No such option: --api-key"),
        (["-Oshort"], "-Oshort is not an agent id (20 characters)"),
        (["a text"], "TEXT and --message: pass one of them"),
    ],
)
def test_wrong_use_is_one_line_and_2(
    cli: Cli, millis_mock: MockMillis, arguments: list[str], words: str
) -> None:
    """What is wrong with the command line is said in one line, and nothing is sent."""
    ran = cli("chat", AGENT, "-m", "Hello", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.error
    assert not millis_mock.requests


def test_a_missing_key_is_one_line_and_2(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable."""
    monkeypatch.delenv("MILLIS_API_KEY")
    ran = cli("chat", AGENT, "-m", "Hello")
    assert (ran.code, ran.error) == (
        2,
        "millis: no key: set MILLIS_API_KEY to your private key",
    )


def test_region_goes_before_the_environments_host(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--region eu` asks the service in the EU."""
    asked: list[object] = []

    def refuse(*_: object, region: object = None, **__: object) -> None:
        asked.append(region)
        raise ValueError

    monkeypatch.setattr("millis_wrapper._sync.client.Millis", refuse)
    cli("duplicate", AGENT, "--region", "eu")
    assert asked == ["eu"]


def test_an_unknown_config_key_is_one_line_and_sent(
    cli: Cli, millis_mock: MockMillis, tmp_path: Path
) -> None:
    """The library's warning reads like the command's own words."""
    config = tmp_path / "override.json"
    config.write_text('{"flow": {"interruption": {"first_message": true}}}')
    ran = cli("chat", AGENT, "-m", "Hello", "--config", str(config))
    assert (ran.code, ran.out) == (0, "Hello\n")
    assert ran.error.startswith(
        'millis: warning: agent_config: unknown key "flow.interruption.first_message"'
    )


@pytest.mark.parametrize(
    ("agent_id", "words", "advice"),
    [
        ("-mock-401-----------", "[401 Unauthorized] Invalid private key", "MILLIS_API_KEY)"),
        ("-mock-404-----------", "[404 Not Found] the service gave no reason", "region or base_url"),
        ("-mock-422-----------", "[422 ", "] messages[0].content: field required"),
        ("-unknown------------", "[404 Not Found] The mock has no agent", "region or base_url"),
    ],
)
def test_a_refusal_is_one_line_and_1(cli: Cli, agent_id: str, words: str, advice: str) -> None:
    """The service's own words reach the terminal; the advice is for who types, not for who programs."""
    ran = cli("chat", agent_id, "-m", "Hello")
    assert (ran.code, ran.out) == (1, "")
    assert ran.error.startswith(f"millis: {words}")
    assert advice in ran.error


def test_a_wrong_key_is_refused_and_not_shown(
    cli: Cli, millis_mock: MockMillis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the line nor --debug's traceback holds the key."""
    monkeypatch.setattr(millis_mock, "api_key", "another-key")
    ran = cli("chat", AGENT, "-m", "Hello", "--debug")
    assert ran.code == 1
    assert "[401 Unauthorized]" in ran.err
    assert KEY not in ran.err + ran.out


@pytest.mark.parametrize("agent_id", ["-mock-cut-----------", "-mock-error-event---", "-mock-half-event----"])
def test_a_broken_stream_prints_what_came_and_is_1(cli: Cli, agent_id: str) -> None:
    """The text so far is a result; that it is not whole is an error."""
    ran = cli("chat", agent_id, "-m", "one two three four")
    assert ran.code == 1
    assert ran.out == "one two\n"
    assert ran.error.startswith("millis: the s")


def test_json_is_one_object_a_chunk_and_harmless(cli: Cli, millis_mock: MockMillis) -> None:
    """A script gets each chunk as it came, on a line of ASCII."""
    millis_mock.reply_with(["Gu\u0308te\n", "\x1b[31m\x7f\x9b"])
    ran = cli("chat", AGENT, "-m", "Hello", "--json")
    assert ran.code == 0
    assert ran.out.isascii()
    assert "\x1b" not in ran.out
    assert "\x7f" not in ran.out
    *chunks, _ = [json.loads(line) for line in ran.out.splitlines()]
    assert chunks[0] == {
        "text": "Gu\u0308te\n",
        "data": {"choices": [{"delta": {"content": "Gu\u0308te\n"}}]},
        "event": "message",
        "finish_reason": None,
    }
    assert chunks[1]["text"] == "\x1b[31m\x7f\x9b"


def test_what_the_agent_says_does_not_act_on_the_terminal(cli: Cli, millis_mock: MockMillis) -> None:
    """Escape sequences, also split over pieces, are written out; markup, tabs and lines stay as they are."""
    millis_mock.reply_with(["[bold]\t\x1b", "]0;owned\x07", "\x1b[", "2J\u202e\x9b", "\r\nend[/bold]\n"])
    ran = cli("chat", AGENT, "-m", "Hello")
    assert ran.out == "[bold]\t\\x1b]0;owned\\x07\\x1b[2J\\u202e\\x9b\\x0d\nend[/bold]\n"


def test_what_a_refusal_says_does_not_act_on_the_terminal(cli: Cli) -> None:
    """Error texts come over the network too; with --debug they stand in a traceback."""
    with Loopback([http(400, json.dumps({"detail": "\x1b[2J\x1b]0;owned\x07" + "x" * 5000}))]) as server:
        ran = cli.asking(server.url)("duplicate", AGENT)
        debugged = cli("duplicate", AGENT, "--debug")
    assert ran.code == 1
    assert "\\x1b[2J" in ran.error
    assert len(ran.error) < 500
    assert "\x1b" not in debugged.err


def test_odd_bytes_from_the_agent_do_no_harm(cli: Cli) -> None:
    """Bytes that are no UTF-8 and half a surrogate pair come out as something that can be printed."""
    odd = event("\udcff\udcfe \x00".encode(errors="surrogateescape").decode("latin-1"))
    half = event('{"choices":[{"delta":{"content":"caf\\u00e9 \\ud83d"}}]}')
    with Loopback([STREAM + odd + half + DONE + END]) as server:
        ran = cli.asking(server.url)("chat", AGENT, "-m", "Hello")
    assert ran.code == 0
    assert "café" in ran.out
    ran.out.encode()


def test_a_reply_without_text_says_so(cli: Cli) -> None:
    """An empty stdout is explained."""
    call = '{"choices":[{"delta":{"tool_calls":[{"id":"1","function":{"name":"f"}}]}}]}'
    with Loopback([STREAM + event(call) + DONE + END]) as server:
        ran = cli.asking(server.url)("chat", AGENT, "-m", "Hello")
    assert (ran.code, ran.out) == (0, "")
    assert ran.error.startswith("millis: the reply has no text")
    assert "--json" in ran.error


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_reply_without_an_end_mark_is_reported_on_stderr(cli: Cli, arguments: list[str]) -> None:
    """A gateway can end a reply properly although it was cut off. The exit code stays 0."""
    ran = cli("chat", "-mock-no-done-------", "one two three", *arguments)
    assert ran.code == 0
    assert "end mark" in ran.error
    assert "incomplete" in ran.error
    assert "require_end" not in ran.err
    assert cli("chat", AGENT, "Hello", *arguments).err == ""


def test_json_ends_with_a_line_about_the_whole_reply(cli: Cli, millis_mock: MockMillis) -> None:
    """It tells how the reply ended and how long it took, in seconds."""
    millis_mock.reply_with(ChatReply("One two", "stop"))
    *chunks, last = map(json.loads, cli("chat", AGENT, "Hello", "--json").out.splitlines())
    assert "".join(chunk["text"] for chunk in chunks) == "One two"
    assert list(last) == ["ended", "finish_reason", "time_to_first_text", "duration"]
    assert (last["ended"], last["finish_reason"]) == ("done", "stop")
    assert 0 <= (last["time_to_first_text"] or 0) <= (last["duration"] or 0) < 60


def test_json_shows_that_a_reply_is_incomplete(cli: Cli) -> None:
    """The last line is there, too, when the stream breaks."""
    ran = cli("chat", "-mock-cut-----------", "one two three", "--json")
    assert ran.code == 1
    assert json.loads(ran.out.splitlines()[-1])["ended"] is None


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("the stream broke; .reply holds what had come", "the stream broke"),
        ("cut off; the received part is in .reply; nothing else", "cut off; nothing else"),
        ("no key: pass api_key= or set MILLIS_API_KEY", "no key: set MILLIS_API_KEY"),
        ("check the key: api_key= or MILLIS_API_KEY", "check the key: MILLIS_API_KEY"),
        ("prompt.body and a.reply: stay; x=1", "prompt.body and a.reply: stay; x=1"),
    ],
)
def test_a_message_in_a_terminal_names_no_python(words: str, line: str) -> None:
    """Attributes and keyword arguments mean nothing to someone who types commands."""
    assert line_for(ConfigurationError(words)) == line


def test_duplicate_prints_the_copys_id_alone(cli: Cli, millis_mock: MockMillis) -> None:
    """`COPY=$(millis duplicate ID)` is an agent that can be talked to."""
    ran = cli("duplicate", AGENT)
    assert (ran.code, ran.err) == (0, "")
    assert cli("chat", ran.out.strip(), "-m", "Hello").out == "Hello\n"


def test_duplicate_json_is_the_whole_answer(cli: Cli) -> None:
    """What came is printed as it came, unknown fields too."""
    ran = cli("duplicate", "-mock-unknown-fields", "--json")
    copy = json.loads(ran.out)
    assert (ran.code, ran.out.count("\n")) == (0, 1)
    assert copy["id"].startswith("-")
    assert copy["mock_owner"] == {"id": 7}


def test_duplicate_in_doubt_is_not_repeated(cli: Cli, millis_mock: MockMillis) -> None:
    """One request went out, and the line says that a copy may exist."""
    ran = cli("duplicate", "-mock-cut-----------")
    assert (ran.code, ran.out) == (1, "")
    assert "a copy may exist, check before you retry" in ran.error
    assert len(millis_mock.requests) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["duplicate", AGENT], ["the copy -", "was made, but stdout cannot be written to"]),
        (["duplicate", AGENT, "--json"], ["the copy -", "was made, but stdout cannot be written to"]),
        (["chat", AGENT, "-m", "Hi"], ["stdout cannot be written to: No space left on device"]),
    ],
)
def test_a_full_disk_is_one_line_and_loses_no_copy(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
) -> None:
    """Where the copy's id cannot be written, it is in the error, since nobody else knows it."""
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        ran = cli(*arguments)
    assert ran.code == 1
    assert all(word in ran.error for word in words)


def test_a_closed_stdout_is_one_line_and_loses_no_copy(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """`millis duplicate ID >&-` still tells the copy's id."""
    monkeypatch.setattr(sys, "stdout", None)
    ran = cli("duplicate", AGENT)
    assert ran.code == 1
    assert ran.error.startswith("millis: the copy -")
    ran = cli("contract", "prompt")
    assert (ran.code, ran.error) == (1, "millis: stdout is closed, so the result cannot be written")


def test_a_closed_stdin_is_wrong_use(millis_mock: MockMillis) -> None:
    """`millis chat ID <&-` has nothing to say."""
    command = f"exec {MILLIS} chat {AGENT} <&-"
    done = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, env=environment(millis_mock.url)
    )
    assert (done.returncode, done.stderr) == (2, "millis: stdin: is closed; pass TEXT\n")


def test_a_closed_stderr_puts_no_error_among_the_results(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """`2>&-` means that nobody wants to read errors."""
    monkeypatch.setattr(sys, "stderr", None)
    ran = cli("chat", AGENT)
    assert (ran.code, ran.out) == (2, "")


def test_no_service_is_one_line_and_1(cli: Cli) -> None:
    """It is told where nobody answered, and that nothing was sent."""
    address = nowhere()
    ran = cli.asking(f"http://{address}")("duplicate", AGENT)
    assert (ran.code, ran.out) == (1, "")
    assert ran.error.startswith(f"millis: no connection to http://{address}: ")
    assert ran.error.endswith("; nothing was sent")


def test_debug_shows_the_traceback_before_the_line(cli: Cli) -> None:
    """`--debug` works before the command's name and after it."""
    for arguments in (["--debug", "chat", AGENT], ["chat", AGENT, "--debug"]):
        ran = cli(*arguments)
        assert ran.code == 2
        assert ran.err.startswith("Traceback (most recent call last)")
        assert ran.err.splitlines()[-1] == "millis: stdin: is empty, so there is nothing to say"


def test_a_bug_is_one_line_and_1(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a bug shows a traceback that nobody asked for."""

    def broken(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("millis_wrapper._sync.client.Agents.duplicate", broken)
    ran = cli("duplicate", AGENT)
    assert (ran.code, ran.error) == (
        1,
        "millis: a bug in this program, KeyError: 'a bug' (--debug shows where)",
    )


def test_ctrl_c_during_one_turn_is_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script can tell that somebody stopped it."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("millis_wrapper.cli._chat.show_text", interrupted)
    ran = cli("chat", AGENT, "-m", "Hello")
    assert (ran.code, ran.err) == (130, "")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_an_interruption_is_130_whoever_caught_it_first(error: BaseException) -> None:
    """Of typer's versions some hand Ctrl-C on, and some make an error of it."""
    assert exit_code_for(error, Session()) == 130


def test_characters_that_the_output_lacks_are_escaped(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """With LANG=C a reply in another script is still a reply."""
    out = io.BytesIO()
    with io.TextIOWrapper(out, encoding="ascii", write_through=True) as narrow:
        monkeypatch.setattr(sys, "stdout", narrow)
        ran = cli("chat", AGENT, "-m", "Grüße")
        assert (ran.code, out.getvalue()) == (0, b"Gr\\xfc\\xdfe\n")


def test_version_is_the_packages() -> None:
    """`millis --version` prints the versions of the package and of its contract."""
    ran = run_alone("", "--version")
    assert (ran.code, ran.out, ran.err) == (0, f"millis-wrapper {__version__} (contract {VERSION})\n", "")


@pytest.mark.parametrize(
    "arguments", [["chat", AGENT, ""], ["chat", AGENT, " \n"], ["chat", AGENT, "-m", ""]]
)
def test_an_empty_text_is_refused_the_same_way_everywhere(
    cli: Cli, millis_mock: MockMillis, arguments: list[str]
) -> None:
    """There is nothing to say, whichever way it was not said."""
    ran = cli(*arguments)
    assert (ran.code, ran.error) == (2, "millis: TEXT: is empty, so there is nothing to say")
    assert not millis_mock.requests


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        ("nonsense", "is not JSON"),
        ("{}", "must hold a list of messages"),
        ('[{"role": "system", "content": ""}]', "messages[0].role"),
    ],
)
def test_a_history_that_cannot_be_read_is_wrong_use(
    cli: Cli, millis_mock: MockMillis, tmp_path: Path, content: str | None, words: str
) -> None:
    """The file or the message is named, and nothing is sent."""
    file = tmp_path / "talk.json"
    if content is not None:
        file.write_text(content)
    ran = cli("chat", AGENT, "Hello", "--history", str(file))
    assert ran.code == 2
    assert words in ran.error
    assert not millis_mock.requests


def test_plain_http_to_another_machine_has_to_be_allowed(cli: Cli) -> None:
    """The message names the variable, and the option lifts it."""
    cli.monkeypatch.setenv("MILLIS_BASE_URL", "http://millis.invalid:8787")
    ran = cli("chat", AGENT, "Hello")
    assert ran.code == 2
    assert "MILLIS_ALLOW_HTTP=1" in ran.error
    ran = cli("chat", AGENT, "Hello", "--allow-http")
    assert ran.code == 1
    assert "no connection to http://millis.invalid:8787" in ran.error
