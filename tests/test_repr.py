"""The reprs of public objects, which debuggers, logs and failed assertions show."""

from __future__ import annotations

import json

import pytest

from millis_wrapper import Millis, StreamError
from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis
from millis_wrapper.response import read_duplicated_agent


def test_the_repr_of_a_stream_shows_its_state_and_its_text(millis: Millis, millis_mock: MockMillis) -> None:
    """The repr shows whether the stream is open and the text received up to now."""
    millis_mock.reply_with(["Good ", "evening"])
    stream = millis.chat.stream("Hello", agent_id=DEFAULT_AGENT_ID)
    assert repr(stream) == "<ChatStream not opened, text=''>"
    texts = stream.text_stream
    next(texts)
    assert repr(stream) == "<ChatStream open, text='Good '>"
    list(texts)
    assert repr(stream) == "<ChatStream done, text='Good evening'>"


def test_the_repr_of_a_stream_shows_that_it_was_closed_or_failed(
    millis: Millis, millis_mock: MockMillis
) -> None:
    """An incomplete reply does not look like a complete one."""
    closed = millis.chat.stream("Hello", agent_id=DEFAULT_AGENT_ID)
    closed.close()
    assert repr(closed) == "<ChatStream closed, text=''>"
    millis_mock.fail_next("cut")
    broken = millis.chat.stream("Hello", agent_id=DEFAULT_AGENT_ID)
    with pytest.raises(StreamError):
        broken.until_done()
    assert repr(broken).startswith("<ChatStream failed, text=")


def test_the_repr_of_a_stream_is_one_short_line(millis: Millis, millis_mock: MockMillis) -> None:
    """A long reply is shortened and control characters are escaped, so that a log stays readable."""
    millis_mock.reply_with("\x1b[2J" + "very long\n" * 1000)
    with millis.chat.stream("Hello", agent_id=DEFAULT_AGENT_ID) as stream:
        stream.until_done()
    assert len(repr(stream)) < 100
    assert repr(stream).isprintable()


def test_the_repr_of_a_conversation_shows_the_agent_and_the_length_of_the_history(
    millis: Millis,
) -> None:
    """The repr does not show a config, which may contain secrets."""
    talk = millis.chat.conversation(agent_id=DEFAULT_AGENT_ID)
    assert repr(talk) == f"<Conversation '{DEFAULT_AGENT_ID}', 0 messages>"
    talk.send("Hello")
    assert repr(talk) == f"<Conversation '{DEFAULT_AGENT_ID}', 2 messages>"
    config = {"session_data_webhook": {"url": "https://example.com", "headers": {"x-token": "a-secret"}}}
    assert repr(millis.chat.conversation(agent_config=config)) == "<Conversation agent_config, 0 messages>"


def test_the_repr_of_a_copy_shows_its_config_once() -> None:
    """The repr leaves out `raw`, which contains the config a second time."""
    copy = read_duplicated_agent(json.dumps({"id": "-Oabc", "config": {"prompt": "Be brief."}}).encode())
    assert "'-Oabc'" in repr(copy)
    assert repr(copy).count("Be brief.") == 1
