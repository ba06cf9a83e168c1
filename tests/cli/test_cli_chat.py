"""`millis chat` with one message: input, output and the request."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from cli_runs import AGENT, Cli
from loopback import DONE, END, STREAM, Loopback, event

from millis_wrapper import ChatReply
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


@pytest.mark.parametrize(("stdin", "key_word"), [(b"", "empty"), (b"\n", "empty"), (b"\xff\xfe", "UTF-8")])
def test_empty_or_binary_stdin_is_rejected(
    cli: Cli, millis_mock: MockMillis, stdin: bytes, key_word: str
) -> None:
    """The exit status is 2, and no request is sent."""
    ran = cli("chat", AGENT, stdin=stdin)
    assert (ran.code, ran.out) == (2, "")
    assert ran.error.startswith("millis: stdin: ")
    assert key_word in ran.error
    assert not millis_mock.requests


def test_options_become_fields_of_the_request(cli: Cli, millis_mock: MockMillis, tmp_path: Path) -> None:
    """NAME=TEXT sends a string and NAME:=JSON any value; --config and --end-session become fields as well."""
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


def test_invalid_utf8_and_lone_surrogates_are_printable(cli: Cli) -> None:
    """Invalid bytes and a lone surrogate do not make the command fail."""
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
    """The summary is also printed for a reply that was cut off."""
    ran = cli("chat", "-mock-cut-----------", "one two three", "--json")
    assert ran.code == 1
    assert json.loads(ran.out.splitlines()[-1])["ended"] is None


def test_characters_that_stdout_cannot_encode_are_escaped(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """With LANG=C, a reply with umlauts is printed with escapes."""
    out = io.BytesIO()
    with io.TextIOWrapper(out, encoding="ascii", write_through=True) as narrow:
        monkeypatch.setattr(sys, "stdout", narrow)
        ran = cli("chat", AGENT, "-m", "Grüße")
        assert (ran.code, out.getvalue()) == (0, b"Gr\\xfc\\xdfe\n")


@pytest.mark.parametrize(
    "arguments", [["chat", AGENT, ""], ["chat", AGENT, " \n"], ["chat", AGENT, "-m", ""]]
)
def test_an_empty_message_is_rejected(cli: Cli, millis_mock: MockMillis, arguments: list[str]) -> None:
    """The exit status is 2, and no request is sent."""
    ran = cli(*arguments)
    assert ran.code == 2
    assert ran.error.startswith("millis: TEXT: ")
    assert "empty" in ran.error
    assert not millis_mock.requests


@pytest.mark.parametrize(
    ("content", "key_word"),
    [
        (None, "No such file"),
        ("nonsense", "not valid JSON"),
        ("{}", "a list"),
        ('[{"role": "system", "content": ""}]', "messages[0].role"),
    ],
)
def test_an_invalid_history_is_rejected(
    cli: Cli, millis_mock: MockMillis, tmp_path: Path, content: str | None, key_word: str
) -> None:
    """The error names the file or the message, and no request is sent."""
    file = tmp_path / "talk.json"
    if content is not None:
        file.write_text(content)
    ran = cli("chat", AGENT, "Hello", "--history", str(file))
    assert ran.code == 2
    assert key_word in ran.error
    assert not millis_mock.requests
