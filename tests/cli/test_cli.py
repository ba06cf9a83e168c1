"""`millis chat` with one message, and `millis duplicate`: output, errors and exit status."""

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
from millis_wrapper.cli._output import error_line, exit_code_for
from millis_wrapper.contract import VERSION
from millis_wrapper.mock import MockMillis


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], millis_mock: MockMillis) -> Cli:
    """The command in this process, with the mock server as its service."""
    return Cli(monkeypatch, capsys).asking(millis_mock.url)


def test_one_message_prints_only_the_reply(cli: Cli, millis_mock: MockMillis) -> None:
    """stdout contains the text of the reply and a line break, and stderr is empty."""
    millis_mock.reply_with("Good evening.")
    ran = cli("chat", AGENT, "-m", "Hello")
    assert (ran.code, ran.out, ran.err) == (0, "Good evening.\n", "")
    assert millis_mock.requests[-1].body == {
        "agent": {"agent_id": AGENT},
        "messages": [{"role": "user", "content": "Hello"}],
    }


@pytest.mark.parametrize("piped", ["Hello\nto you", "Hello\nto you\n", "Hello\nto you\r\n\n"])
def test_piped_text_is_sent_as_one_message(cli: Cli, millis_mock: MockMillis, piped: str) -> None:
    """Piped text is sent without the line break that `echo` adds."""
    assert cli("chat", AGENT, stdin=piped).code == 0
    assert millis_mock.requests[-1].body["messages"] == [{"role": "user", "content": "Hello\nto you"}]


@pytest.mark.parametrize(("stdin", "words"), [(b"", "empty"), (b"\n", "empty"), (b"\xff\xfe", "UTF-8")])
def test_empty_or_binary_stdin_is_rejected(
    cli: Cli, millis_mock: MockMillis, stdin: bytes, words: str
) -> None:
    """The exit status is 2, and nothing is sent."""
    ran = cli("chat", AGENT, stdin=stdin)
    assert (ran.code, ran.out) == (2, "")
    assert ran.error.startswith("millis: stdin: ")
    assert words in ran.error
    assert not millis_mock.requests


def test_options_become_fields_of_the_request(cli: Cli, millis_mock: MockMillis, tmp_path: Path) -> None:
    """NAME=TEXT sends a string and NAME:=JSON any value; --config and --end-session are sent, too."""
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
        (["--metadata", "name"], '--metadata: must be NAME=TEXT or NAME:=JSON, got "name"'),
        (["--metadata", "=Ada"], '--metadata: must be NAME=TEXT or NAME:=JSON, got "=Ada"'),
        (["--metadata", "n:=Ada"], '--metadata: the value of "n" is not valid JSON'),
        (["--metadata", "n=1", "--metadata", "n:=1"], '--metadata: the name "n" is given twice'),
        (["--config", "no/such/file.json"], "no/such/file.json: cannot be read"),
        (["--region", "mars"], "'mars' is not one of 'us', 'eu'"),
        (["--jsno"], "no such option: --jsno"),
        (["--frobnicate"], "millis chat: no such option: --frobnicate; see millis chat --help"),
        (["--api-key", "x"], "no such option: --api-key"),
        (["-Oshort"], "-Oshort is not an option"),
        (["-mHi"], "-mHi is not an option; to send it as text, put -m before it"),
        (["a text"], "TEXT and --message cannot be combined"),
    ],
)
def test_an_invalid_option_is_reported_in_one_line(
    cli: Cli, millis_mock: MockMillis, arguments: list[str], words: str
) -> None:
    """The exit status is 2, and nothing is sent."""
    ran = cli("chat", AGENT, "-m", "Hello", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.error
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
    """The line has no period, and a suggestion ends with a question mark."""
    ran = cli(*arguments)
    assert ran.code == 2
    assert ran.error.endswith(end)
    assert ". " not in ran.error


def test_credentials_in_the_base_url_are_rejected(cli: Cli) -> None:
    """The message names the environment variables and does not show the password."""
    ran = cli.asking("https://ada:s3cret@example.com")("chat", AGENT, "Hello")
    assert ran.code == 2
    assert "MILLIS_API_KEY" in ran.error
    assert "api_key" not in ran.error
    assert "s3cret" not in ran.error


def test_a_missing_key_is_reported_in_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the environment variable."""
    monkeypatch.delenv("MILLIS_API_KEY")
    ran = cli("chat", AGENT, "-m", "Hello")
    assert ran.code == 2
    assert "MILLIS_API_KEY" in ran.error
    assert "api_key=" not in ran.error


def test_region_overrides_the_host_from_the_environment(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--region eu` is passed to the client, which prefers it to MILLIS_BASE_URL."""
    regions: list[object] = []

    def refuse(*_: object, region: object = None, **__: object) -> None:
        regions.append(region)
        raise ValueError

    monkeypatch.setattr("millis_wrapper._sync.client.Millis", refuse)
    cli("duplicate", AGENT, "--region", "eu")
    assert regions == ["eu"]


def test_an_unknown_config_key_is_a_warning(cli: Cli, millis_mock: MockMillis, tmp_path: Path) -> None:
    """The warning is one line on stderr, and the key is sent."""
    config = tmp_path / "override.json"
    config.write_text('{"flow": {"interruption": {"first_message": true}}}')
    ran = cli("chat", AGENT, "-m", "Hello", "--config", str(config))
    assert (ran.code, ran.out) == (0, "Hello\n")
    assert ran.error.startswith("millis: warning: agent_config: ")
    assert '"flow.interruption.first_message"' in ran.error
    sent = millis_mock.requests[-1].body["agent"]["agent_config"]
    assert sent == {"flow": {"interruption": {"first_message": True}}}


@pytest.mark.parametrize(
    ("agent_id", "words", "advice"),
    [
        ("-mock-401-----------", "[401 Unauthorized] Invalid private key", "MILLIS_API_KEY"),
        ("-mock-404-----------", "[404 Not Found] ", "region or MILLIS_BASE_URL"),
        ("-mock-422-----------", "[422 ", "] messages[0].content: field required"),
        ("-unknown------------", "[404 Not Found] ", "-unknown------------"),
    ],
)
def test_a_refused_request_is_reported_in_one_line(cli: Cli, agent_id: str, words: str, advice: str) -> None:
    """The line contains the detail from the service, and advice that names options instead of Python."""
    ran = cli("chat", agent_id, "-m", "Hello")
    assert (ran.code, ran.out) == (1, "")
    assert ran.error.startswith(f"millis: {words}")
    assert advice in ran.error
    assert "base_url" not in ran.error


def test_a_wrong_key_is_refused_and_not_shown(
    cli: Cli, millis_mock: MockMillis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the message nor the traceback of --debug contains the key."""
    monkeypatch.setattr(millis_mock, "api_key", "another-key")
    ran = cli("chat", AGENT, "-m", "Hello", "--debug")
    assert ran.code == 1
    assert "[401 Unauthorized]" in ran.err
    assert KEY not in ran.err + ran.out


@pytest.mark.parametrize("agent_id", ["-mock-cut-----------", "-mock-error-event---", "-mock-half-event----"])
def test_the_received_part_of_a_cut_off_reply_is_printed(cli: Cli, agent_id: str) -> None:
    """The exit status is 1, and stderr contains the error."""
    ran = cli("chat", agent_id, "-m", "one two three four")
    assert ran.code == 1
    assert ran.out == "one two\n"
    assert ran.error.startswith("millis: the s")


def test_json_prints_one_ascii_line_for_each_chunk(cli: Cli, millis_mock: MockMillis) -> None:
    """Control characters are escaped, so the output does not affect a terminal."""
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


def test_control_characters_of_a_reply_are_escaped(cli: Cli, millis_mock: MockMillis) -> None:
    """Escape sequences are escaped even if split over chunks; markup, tabs and line breaks are unchanged."""
    millis_mock.reply_with(["[bold]\t\x1b", "]0;owned\x07", "\x1b[", "2J\u202e\x9b", "\r\nend[/bold]\n"])
    ran = cli("chat", AGENT, "-m", "Hello")
    assert ran.out == "[bold]\t\\x1b]0;owned\\x07\\x1b[2J\\u202e\\x9b\\x0d\nend[/bold]\n"


def test_control_characters_of_an_error_response_are_escaped(cli: Cli) -> None:
    """They are escaped in the message and in the traceback of --debug."""
    with Loopback([http(400, json.dumps({"detail": "\x1b[2J\x1b]0;owned\x07" + "x" * 5000}))]) as server:
        ran = cli.asking(server.url)("duplicate", AGENT)
        debugged = cli("duplicate", AGENT, "--debug")
    assert ran.code == 1
    assert "\\x1b[2J" in ran.error
    assert len(ran.error) < 500
    assert "\x1b" not in debugged.err


def test_invalid_utf8_and_half_surrogate_pairs_are_printable(cli: Cli) -> None:
    """Invalid bytes and half a surrogate pair do not make the command fail."""
    invalid = event("\udcff\udcfe \x00".encode(errors="surrogateescape").decode("latin-1"))
    half = event('{"choices":[{"delta":{"content":"caf\\u00e9 \\ud83d"}}]}')
    with Loopback([STREAM + invalid + half + DONE + END]) as server:
        ran = cli.asking(server.url)("chat", AGENT, "-m", "Hello")
    assert ran.code == 0
    assert "café" in ran.out
    ran.out.encode()


def test_a_reply_without_text_is_noted_on_stderr(cli: Cli) -> None:
    """The note explains the empty output and suggests --json."""
    call = '{"choices":[{"delta":{"tool_calls":[{"id":"1","function":{"name":"f"}}]}}]}'
    with Loopback([STREAM + event(call) + DONE + END]) as server:
        ran = cli.asking(server.url)("chat", AGENT, "-m", "Hello")
    assert (ran.code, ran.out) == (0, "")
    assert "no text" in ran.error
    assert "--json" in ran.error


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_reply_without_an_end_mark_is_reported_on_stderr(cli: Cli, arguments: list[str]) -> None:
    """The exit status is 0, because such a reply may be complete."""
    ran = cli("chat", "-mock-no-done-------", "one two three", *arguments)
    assert ran.code == 0
    assert "[DONE]" in ran.error
    assert "incomplete" in ran.error
    assert "require_end" not in ran.err
    assert cli("chat", AGENT, "Hello", *arguments).err == ""


def test_json_ends_with_a_summary_of_the_reply(cli: Cli, millis_mock: MockMillis) -> None:
    """The summary shows how the reply ended and its times in seconds."""
    millis_mock.reply_with(ChatReply("One two", "stop"))
    *chunks, last = map(json.loads, cli("chat", AGENT, "Hello", "--json").out.splitlines())
    assert "".join(chunk["text"] for chunk in chunks) == "One two"
    assert list(last) == ["ended", "finish_reason", "time_to_first_text", "duration"]
    assert (last["ended"], last["finish_reason"]) == ("done", "stop")
    assert 0 <= (last["time_to_first_text"] or 0) <= (last["duration"] or 0) < 60


def test_the_summary_of_an_incomplete_reply_has_ended_null(cli: Cli) -> None:
    """The summary is printed for a reply that was cut off, too."""
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
        ("check region or base_url", "check region or MILLIS_BASE_URL"),
        ("prompt.body and a.reply: stay; x=1", "prompt.body and a.reply: stay; x=1"),
    ],
)
def test_messages_do_not_mention_python_names(words: str, line: str) -> None:
    """Attributes and keyword arguments of the library are removed or replaced."""
    assert error_line(ConfigurationError(words)) == line


def test_duplicate_prints_only_the_id_of_the_copy(cli: Cli, millis_mock: MockMillis) -> None:
    """`COPY=$(millis duplicate ID)` sets the id of an agent that accepts chats."""
    ran = cli("duplicate", AGENT)
    assert (ran.code, ran.err) == (0, "")
    assert cli("chat", ran.out.strip(), "-m", "Hello").out == "Hello\n"


def test_duplicate_json_prints_the_full_response(cli: Cli) -> None:
    """Unknown fields are included."""
    ran = cli("duplicate", "-mock-unknown-fields", "--json")
    copy = json.loads(ran.out)
    assert (ran.code, ran.out.count("\n")) == (0, 1)
    assert copy["id"].startswith("-")
    assert copy["mock_owner"] == {"id": 7}


def test_duplicate_is_not_retried_if_a_copy_may_exist(cli: Cli, millis_mock: MockMillis) -> None:
    """Only one request is sent, and the message warns that a copy may exist."""
    ran = cli("duplicate", "-mock-cut-----------")
    assert (ran.code, ran.out) == (1, "")
    assert "a copy may exist" in ran.error
    assert len(millis_mock.requests) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["duplicate", AGENT], ["the copy -", "created", "stdout"]),
        (["duplicate", AGENT, "--json"], ["the copy -", "created", "stdout"]),
        (["chat", AGENT, "-m", "Hi"], ["stdout: No space left on device"]),
    ],
)
def test_a_full_disk_does_not_lose_the_id_of_a_copy(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
) -> None:
    """If the id cannot be written to stdout, the error message contains it."""
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        ran = cli(*arguments)
    assert ran.code == 1
    assert all(word in ran.error for word in words)


def test_a_closed_stdout_does_not_lose_the_id_of_a_copy(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """`millis duplicate ID >&-` prints the id in the error message."""
    monkeypatch.setattr(sys, "stdout", None)
    ran = cli("duplicate", AGENT)
    assert ran.code == 1
    assert ran.error.startswith("millis: the copy -")
    ran = cli("contract", "prompt")
    assert ran.code == 1
    assert "stdout is closed" in ran.error


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
    """The line names the host and states that nothing was sent."""
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


def test_characters_that_stdout_cannot_encode_are_escaped(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """With LANG=C, a reply with umlauts is printed with escapes."""
    out = io.BytesIO()
    with io.TextIOWrapper(out, encoding="ascii", write_through=True) as narrow:
        monkeypatch.setattr(sys, "stdout", narrow)
        ran = cli("chat", AGENT, "-m", "Grüße")
        assert (ran.code, out.getvalue()) == (0, b"Gr\\xfc\\xdfe\n")


def test_version_prints_the_package_and_the_contract() -> None:
    """`millis --version` prints both version numbers."""
    ran = run_alone("", "--version")
    assert (ran.code, ran.out, ran.err) == (0, f"millis-wrapper {__version__} (contract {VERSION})\n", "")


@pytest.mark.parametrize(
    "arguments", [["chat", AGENT, ""], ["chat", AGENT, " \n"], ["chat", AGENT, "-m", ""]]
)
def test_an_empty_message_is_rejected(cli: Cli, millis_mock: MockMillis, arguments: list[str]) -> None:
    """The exit status is 2, and nothing is sent."""
    ran = cli(*arguments)
    assert ran.code == 2
    assert ran.error.startswith("millis: TEXT: must not be empty")
    assert not millis_mock.requests


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        ("nonsense", "not valid JSON"),
        ("{}", "must be a list of messages"),
        ('[{"role": "system", "content": ""}]', "messages[0].role"),
    ],
)
def test_an_invalid_history_is_rejected(
    cli: Cli, millis_mock: MockMillis, tmp_path: Path, content: str | None, words: str
) -> None:
    """The error names the file or the message, and nothing is sent."""
    file = tmp_path / "talk.json"
    if content is not None:
        file.write_text(content)
    ran = cli("chat", AGENT, "Hello", "--history", str(file))
    assert ran.code == 2
    assert words in ran.error
    assert not millis_mock.requests


def test_plain_http_to_another_machine_requires_allow_http(cli: Cli) -> None:
    """The error names the environment variable; --allow-http allows the request."""
    cli.monkeypatch.setenv("MILLIS_BASE_URL", "http://millis.invalid:8787")
    ran = cli("chat", AGENT, "Hello")
    assert ran.code == 2
    assert "MILLIS_ALLOW_HTTP=1" in ran.error
    ran = cli("chat", AGENT, "Hello", "--allow-http")
    assert ran.code == 1
    assert "http://millis.invalid:8787" in ran.error
