"""Test an agent by text: against a mock server on every push, and against the live agent at night.

    pip install pytest                                                        # and the extra `mock`
    pytest ci_suite.py                                                        # the mock server
    MILLIS_API_KEY=... MILLIS_AGENT_ID=... pytest ci_suite.py --millis-live   # the service

On the mock server, the tests set the replies, so they check this suite and your own code, but not the agent.
Against the live agent, assert only facts that every phrasing of the reply contains.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from millis_wrapper import ChatReply, Millis, StreamInterruptedError
from millis_wrapper.config import check_config
from millis_wrapper.mock import MockMillis

CONFIG = {
    "prompt": "You take bookings for {restaurant}. Be brief, and never promise a table without asking.",
    "first_message": "Good evening, {restaurant}. How may I help?",
    "language": "en-US",
    "flow": {"response_delay": 500, "user_start_first": False},
}


@pytest.fixture
def set_replies(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Set the next replies of the mock server. The live agent ignores them."""
    if request.config.getoption("--millis-live"):
        return lambda *replies: None
    mock: MockMillis = request.getfixturevalue("millis_mock")
    return mock.reply_with


@pytest.fixture(scope="module")
def greeting(millis: Millis, millis_agent_id: str) -> ChatReply:
    """One paid chat that several tests share. The mock server's agent repeats the message."""
    return millis.chat.send("Please greet me: my name is Ada.", agent_id=millis_agent_id)


def test_the_config_is_valid() -> None:
    assert [str(finding) for finding in check_config(CONFIG, kind="override")] == []


def test_it_replies(greeting: ChatReply) -> None:
    assert greeting.text.strip()
    assert greeting.ended in ("done", "finish_reason")


def test_it_greets_by_name(greeting: ChatReply) -> None:
    assert "Ada" in greeting.text


def test_it_remembers_the_name(
    millis: Millis, millis_agent_id: str, set_replies: Callable[..., None]
) -> None:
    set_replies("Good evening, Ada.", "Your name is Ada.")
    with millis.chat.conversation(agent_id=millis_agent_id) as talk:
        talk.send("Good evening, my name is Ada.")
        reply = talk.send("What is my name?", end_of_session=True)
    assert "Ada" in reply.text


def test_it_knows_the_restaurant(
    millis: Millis, millis_agent_id: str, set_replies: Callable[..., None]
) -> None:
    set_replies("This is Chez Ada.")
    reply = millis.chat.send(
        "Which restaurant is this?",
        agent_id=millis_agent_id,
        agent_config=CONFIG,
        metadata={"restaurant": "Chez Ada"},
    )
    assert "Chez Ada" in reply.text


def test_a_reply_that_was_cut_off_raises(millis: Millis, millis_mock: MockMillis) -> None:
    millis_mock.reply_with("We have a table at eight, but not at nine.")
    millis_mock.fail_next("cut")
    with pytest.raises(StreamInterruptedError) as caught:
        millis.chat.send("Do you have a table?", agent_config=CONFIG)
    assert "not at nine" not in caught.value.reply.text
