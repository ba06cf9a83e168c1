from __future__ import annotations

from typing import Any

import pytest
from chat_streams import delta, event, read_all

from millis_wrapper._sync.stream import ChatStream
from millis_wrapper.chat import ReplyBuilder
from millis_wrapper.conversation import Conversation, History, Turn
from millis_wrapper.errors import ConfigurationError, MillisError, StreamError

DONE = b"data: [DONE]\n\n"
HI, HELLO = event(delta("Hi")), event(delta("Hello"))
CALL = {"index": 0, "id": "a", "function": {"name": "look", "arguments": "{}"}}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def agent(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def turn_of(history: History[Any], text: str) -> tuple[Turn[Any], ReplyBuilder]:
    turn = Turn(history, text, False)
    return turn, ReplyBuilder(when_over=turn.over)


def say(history: History[Any], text: str, *answer: bytes) -> list[dict[str, Any]]:
    """Say `text`, let `answer` be the reply, and return what was sent."""
    turn, core = turn_of(history, text)
    sent = turn.begin()
    read_all(core, *answer)
    return sent


def test_each_turn_sends_all_that_was_said() -> None:
    """The service keeps no history: the user's new text comes after all before it."""
    history = History[Any]()
    assert say(history, "one", HI, DONE) == [user("one")]
    assert say(history, "two", HELLO, HI) == [user("one"), agent("Hi"), user("two")]
    assert history.messages == [user("one"), agent("Hi"), user("two"), agent("HelloHi")]
    assert history.left_early == set()


def test_nothing_is_added_before_the_reply_is_whole() -> None:
    """While a reply comes, the history is what it was."""
    history = History[Any]()
    turn, core = turn_of(history, "one")
    turn.begin()
    list(core.feed(HI))
    assert history.messages == []
    list(core.feed(DONE))
    assert history.messages == [user("one"), agent("Hi")]


@pytest.mark.parametrize(
    "answer",
    [
        [HI, event({"error": "overloaded"})],
        [HI, b"data: {"],
        [b"<html>"],
        [],
        [event(delta(None))],
    ],
    ids=["the service failed", "cut", "no stream", "nothing", "silence"],
)
def test_a_turn_that_failed_is_forgotten(answer: list[bytes]) -> None:
    """Neither the user's text nor half a reply stays, so that the same turn can be tried again."""
    history = History[Any]()
    say(history, "one", HI, DONE)
    turn, core = turn_of(history, "two")
    turn.begin()
    with pytest.raises(MillisError):
        read_all(core, *answer)
    assert history.messages == [user("one"), agent("Hi")]
    assert say(history, "two", HELLO, DONE) == [user("one"), agent("Hi"), user("two")]
    assert history.messages[2:] == [user("two"), agent("Hello")]
    assert history.left_early == set()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ConfigurationError("x"), GeneratorExit()])
def test_a_turn_that_was_broken_off_is_forgotten(error: BaseException) -> None:
    """Ctrl-C in mid-reply is no decision to keep what had come."""
    history = History[Any]()
    turn, core = turn_of(history, "one")
    turn.begin()
    list(core.feed(HI))
    core.fail(error)
    assert history.messages == []
    assert say(history, "two", HELLO, DONE) == [user("two")]


def test_the_error_holds_what_the_history_does_not() -> None:
    """The text that had come is not lost with the turn."""
    history = History[Any]()
    turn, core = turn_of(history, "one")
    turn.begin()
    list(core.feed(HI))
    error = core.interrupted("lost")
    assert isinstance(error, StreamError)
    assert error.reply.text == "Hi"
    assert history.messages == []


def test_a_reply_that_was_left_is_kept_as_far_as_it_was_read_and_marked() -> None:
    """Only what the caller has seen is in the history, and which replies are not whole can be told."""
    history = History[Any]()
    say(history, "one", HI, DONE)
    turn, core = turn_of(history, "two")
    turn.begin()
    next(core.feed(HELLO + HI + DONE))
    core.leave()
    assert history.messages[2:] == [user("two"), agent("Hello")]
    assert history.left_early == {3}
    say(history, "three", HI, DONE)
    assert history.left_early == {3}


def test_a_reply_that_was_left_before_any_text_is_forgotten() -> None:
    """An empty message of the agent would be a lie."""
    history = History[Any]()
    turn, core = turn_of(history, "one")
    turn.begin()
    list(core.feed(event(delta(None))))
    core.leave()
    assert (history.messages, history.left_early) == ([], set())


def test_half_a_tool_call_is_no_part_of_the_history() -> None:
    """Of a reply that was left early the text is kept; a call whose arguments are cut would be refused."""
    history = History[Any]()
    turn, core = turn_of(history, "one")
    turn.begin()
    list(core.feed(HI + event({"choices": [{"delta": {"tool_calls": [CALL]}}]})))
    core.leave()
    assert history.messages == [user("one"), agent("Hi")]


def test_tool_calls_are_part_of_the_history() -> None:
    """The next turn sends the agent's calls with its message."""
    history = History[Any]()
    say(history, "one", event({"choices": [{"delta": {"tool_calls": [CALL]}}]}), DONE)
    calls = [{"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
    assert history.messages[1] == {"role": "assistant", "content": "", "tool_calls": calls}


def test_one_turn_at_a_time() -> None:
    """A second turn would send a history without the first; it is refused, and harms nothing."""
    history = History[Any]()
    first, core = turn_of(history, "one")
    first.begin()
    second, second_core = turn_of(history, "two")
    words = r"^conversation: a reply is still being read; read it to its end, or close its stream, first$"
    for refused in (second.begin, history.refuse_second_turn, lambda: history.load([])):
        with pytest.raises(ConfigurationError, match=words):
            refused()
    second_core.fail(ConfigurationError("refused"))
    read_all(core, HI, DONE)
    assert history.messages == [user("one"), agent("Hi")]


@pytest.mark.parametrize("finish", [b"data: [DONE]\n\n", None])
def test_a_turn_is_kept_once(finish: bytes | None) -> None:
    """However often a stream is closed after its reply was whole, or left, the turn is there once."""
    history = History[Any]()
    turn, core = turn_of(history, "one")
    turn.begin()
    list(core.feed(HI + (finish or b"")))
    for _ in range(2):
        core.leave()
        turn.over(core)
    assert history.messages == [user("one"), agent("Hi")]


def test_a_turn_that_never_began_changes_nothing() -> None:
    """A stream that was made and never entered frees nobody else's turn."""
    history = History[Any]()
    first, _ = turn_of(history, "one")
    first.begin()
    _, unused = turn_of(history, "two")
    unused.leave()
    assert history.turn is first


@pytest.mark.parametrize("text", [None, 7, b"Hi", [user("Hi")]])
def test_what_is_said_is_text(text: Any) -> None:
    """The message names the argument and the type."""
    with pytest.raises(ConfigurationError, match=rf"^text: must be a str, not {type(text).__name__}$"):
        Turn(History[Any](), text, False)


def conversation() -> Conversation:
    def no_network(turn: Turn[ChatStream], timeout: object) -> ChatStream:
        raise AssertionError("nothing is to be sent")

    return Conversation(no_network)


def test_a_history_is_loaded_and_given_out_as_copies() -> None:
    """What the caller does with their list changes nothing in the conversation, and the other way round."""
    talk = conversation()
    mine = [user("one"), {**agent("Hi"), "tool_calls": [{"id": "a"}]}]
    talk.load(mine)
    mine[1]["tool_calls"].clear()
    talk.messages[0]["content"] = "changed"
    talk.messages.clear()
    assert talk.messages == [user("one"), {**agent("Hi"), "tool_calls": [{"id": "a"}]}]


@pytest.mark.parametrize("nothing", [[], (), iter(())])
def test_an_empty_history_begins_anew(nothing: Any) -> None:
    """Loading nothing forgets all."""
    talk = conversation()
    talk.load([user("one")])
    talk.load(nothing)
    assert talk.messages == []


def test_a_loaded_history_has_no_marks() -> None:
    """The marks belong to the messages that they were made for."""
    history = History[Any]()
    history.messages, history.left_early = [user("one"), agent("H")], {1}
    history.load([user("one"), agent("Hi")])
    assert history.left_early == set()


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        (None, r"^messages: must be a str or a list of messages, not NoneType$"),
        (7, r"^messages: must be a str or a list of messages, not int$"),
        ({"role": "user", "content": "Hi"}, r"^messages: must be a str or a list of messages, not dict$"),
        ([{"role": "system", "content": "x"}], r'^messages\[0\]\.role: the service has no "system" role'),
        ([user("Hi"), {"role": "assistant"}], r"^messages\[1\]\.content: is missing"),
    ],
)
def test_a_history_that_the_service_would_refuse_is_not_loaded(messages: Any, words: str) -> None:
    """The checks are those of `chat.stream`, and the history that was there stays."""
    talk = conversation()
    talk.load([user("one")])
    with pytest.raises(ConfigurationError, match=words):
        talk.load(messages)
    assert talk.messages == [user("one")]
