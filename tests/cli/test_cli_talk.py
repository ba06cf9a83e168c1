"""The talk of `millis chat`, where no terminal is needed to see it; the rest is in test_cli_terminal."""

from __future__ import annotations

import pytest

from millis_wrapper import ConfigurationError, Millis
from millis_wrapper._sync.stream import ChatStream
from millis_wrapper.cli import _talk as talk
from millis_wrapper.cli._options import Session


@pytest.fixture(autouse=True)
def end_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`/end` is typed once, then Ctrl-D."""
    lines = iter(["/end"])

    def ask() -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr(talk, "_ask", ask)


def refused(messages: list[dict[str, object]]) -> ChatStream:
    raise ConfigurationError("not so")


def test_a_stream_that_cannot_be_made_does_not_end_the_talk(capsys: pytest.CaptureFixture[str]) -> None:
    """It is said, and the history is still there for the next line."""
    with Millis("key") as millis:
        conversation = millis.chat.conversation(agent_id="-Oabc")
        conversation.load("Hello")
        talk.Talk(conversation, refused, ChatStream.until_done, Session()).run()
    assert capsys.readouterr().err.startswith("millis: not so (")
    assert len(conversation.messages) == 1


def test_a_talk_in_which_nothing_was_said_just_ends(capsys: pytest.CaptureFixture[str]) -> None:
    """There is no session to end, so nothing is sent, and nothing said."""
    with Millis("key") as millis:
        conversation = millis.chat.conversation(agent_id="-Oabc")
        talk.Talk(conversation, refused, ChatStream.until_done, Session()).run()
    assert capsys.readouterr().err == ""
