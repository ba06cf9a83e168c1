"""Interactive chat without a terminal; test_cli_terminal tests it in one."""

from __future__ import annotations

import pytest

from millis_wrapper import ConfigurationError, Millis
from millis_wrapper._sync.stream import ChatStream
from millis_wrapper.cli import _talk as talk
from millis_wrapper.cli._options import Session


@pytest.fixture(autouse=True)
def type_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Type `/end`, then Ctrl-D."""
    lines = iter(["/end"])

    def read_line() -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr(talk, "_read_line", read_line)


def reject(messages: list[dict[str, object]]) -> ChatStream:
    raise ConfigurationError("rejected")


def test_an_error_before_the_request_does_not_end_the_conversation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The error is reported, and the history is unchanged."""
    with Millis("key") as millis:
        conversation = millis.chat.conversation(agent_id="-Oabc")
        conversation.load("Hello")
        talk.Talk(conversation, reject, ChatStream.until_done, Session()).run()
    assert capsys.readouterr().err.startswith("millis: rejected (")
    assert len(conversation.messages) == 1


def test_end_sends_nothing_in_an_empty_conversation(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a message, the service has not started a session."""
    with Millis("key") as millis:
        conversation = millis.chat.conversation(agent_id="-Oabc")
        talk.Talk(conversation, reject, ChatStream.until_done, Session()).run()
    assert capsys.readouterr().err == ""
