"""The talk of `millis chat`, where no terminal is needed to see it; the rest is in test_cli_terminal."""

from __future__ import annotations

import pytest

from millis_wrapper import ConfigurationError, Millis
from millis_wrapper._sync.stream import ChatStream
from millis_wrapper.cli import _talk as talk
from millis_wrapper.cli._options import Session


def test_a_stream_that_cannot_be_made_does_not_end_the_talk(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said, and the history is still there for the next line."""
    lines = iter(["/end"])

    def ask() -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    def end(messages: list[dict[str, object]]) -> ChatStream:
        raise ConfigurationError("not so")

    monkeypatch.setattr(talk, "_ask", ask)
    with Millis("key") as millis:
        conversation = millis.chat.conversation(agent_id="-Oabc")
        conversation.load("Hello")
        talk.Talk(conversation, end, ChatStream.until_done, Session()).run()
    assert capsys.readouterr().err.startswith("millis: not so (")
    assert len(conversation.messages) == 1
