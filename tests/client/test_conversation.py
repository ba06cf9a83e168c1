"""A conversation, with answers that are handed in: what is sent, and what is kept."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from chat_streams import delta, event
from millis_api.models import ToolCall, UserMessage

from millis_wrapper import ChatReply, ChatStream, Conversation, Millis
from millis_wrapper.errors import ConfigurationError, MillisError, StreamError

DONE = b"data: [DONE]\n\n"
HI, HELLO = event(delta("Hi")), event(delta("Hello"))
CALL = {"index": 0, "id": "a", "function": {"name": "look", "arguments": "{}"}}
STILL_READ = (
    r"^conversation: a reply is still being read, or is not yet asked for; read its stream to the end, or"
    r" close it, first$"
)


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def agent(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


class Service:
    """Answers with the pieces that it was given, and keeps the messages that it was sent."""

    def __init__(self) -> None:
        self.answer: tuple[bytes, ...] = ()
        self.sent: list[list[dict[str, Any]]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(json.loads(request.content)["messages"])
        return httpx.Response(200, content=iter(self.answer))


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def talk(service: Service) -> Iterator[Conversation]:
    with httpx.Client(transport=httpx.MockTransport(service)) as http_client:
        yield Millis("a-key", http_client=http_client).chat.conversation(agent_id="-Oabc")


def say(talk: Conversation, service: Service, text: str, *answer: bytes) -> ChatReply:
    service.answer = answer
    return talk.send(text)


def begin(talk: Conversation, service: Service, text: str, *answer: bytes, read: int) -> ChatStream:
    """Begin a turn, and read some of its chunks."""
    service.answer = answer
    stream = talk.stream(text)
    chunks = iter(stream)
    for _ in range(read):
        next(chunks)
    # The reader is kept: dropping it would close the stream.
    stream.__dict__["reader"] = chunks
    return stream


def test_each_turn_sends_all_that_was_said(talk: Conversation, service: Service) -> None:
    """The service keeps no history: the user's new text comes after all before it."""
    say(talk, service, "one", HI, DONE)
    say(talk, service, "two", HELLO, HI, DONE)
    assert service.sent == [[user("one")], [user("one"), agent("Hi"), user("two")]]
    assert talk.messages == [user("one"), agent("Hi"), user("two"), agent("HelloHi")]
    assert not talk.left_early


def test_nothing_is_added_before_the_reply_is_whole(talk: Conversation, service: Service) -> None:
    """While a reply comes, the history is what it was."""
    stream = begin(talk, service, "one", HI, DONE, read=1)
    assert talk.messages == []
    stream.get_final_reply()
    assert talk.messages == [user("one"), agent("Hi")]


@pytest.mark.parametrize(
    "answer",
    [
        [HI, event({"error": "overloaded"})],
        [HI, b"data: {"],
        [b"<html>"],
        [],
        [event(delta(None))],
    ],
    ids=["the service failed", "cut", "not a stream", "nothing", "silence"],
)
def test_a_turn_that_failed_is_forgotten(talk: Conversation, service: Service, answer: list[bytes]) -> None:
    """Neither the user's text nor half a reply stays, so that the same turn can be tried again."""
    say(talk, service, "one", HI, DONE)
    with pytest.raises(MillisError):
        say(talk, service, "two", *answer)
    assert talk.messages == [user("one"), agent("Hi")]
    say(talk, service, "two", HELLO, DONE)
    assert service.sent[-1] == [user("one"), agent("Hi"), user("two")]
    assert talk.messages[2:] == [user("two"), agent("Hello")]
    assert not talk.left_early


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()])
def test_a_turn_that_was_broken_off_is_forgotten(
    talk: Conversation, service: Service, error: BaseException
) -> None:
    """Ctrl-C in mid-reply is not a decision to keep what had come."""

    def broken() -> Iterator[bytes]:
        yield HI
        raise error

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=broken())

    with httpx.Client(transport=httpx.MockTransport(answer)) as http_client:
        other = Millis("a-key", http_client=http_client).chat.conversation(agent_id="-Oabc")
        with pytest.raises(type(error)):
            other.send("one")
        assert other.messages == []


def test_the_error_holds_what_the_history_does_not(talk: Conversation, service: Service) -> None:
    """The text that had come is not lost with the turn."""
    with pytest.raises(StreamError) as caught:
        say(talk, service, "one", HI, b"data: {")
    assert caught.value.reply.text == "Hi"
    assert talk.messages == []


def test_a_reply_that_was_left_is_kept_as_far_as_it_was_read_and_marked(
    talk: Conversation, service: Service
) -> None:
    """Only what the caller has seen is in the history, and which replies are not whole can be told."""
    say(talk, service, "one", HI, DONE)
    begin(talk, service, "two", HELLO + HI + DONE, read=1).close()
    assert talk.messages[2:] == [user("two"), agent("Hello")]
    assert talk.left_early == (3,)
    say(talk, service, "three", HI, DONE)
    assert talk.left_early == (3,)


def test_a_reply_that_was_left_before_any_text_is_forgotten(talk: Conversation, service: Service) -> None:
    """An empty message of the agent would not be true."""
    begin(talk, service, "one", event(delta(None)), HI, read=1).close()
    assert (talk.messages, talk.left_early) == ([], ())


def test_half_a_tool_call_does_not_come_into_the_history(talk: Conversation, service: Service) -> None:
    """Of a reply that was left early the text is kept; a call whose arguments are cut would be refused."""
    call = event({"choices": [{"delta": {"tool_calls": [CALL]}}]})
    begin(talk, service, "one", HI, call, HI, read=2).close()
    assert talk.messages == [user("one"), agent("Hi")]


def test_tool_calls_come_into_the_history(talk: Conversation, service: Service) -> None:
    """The next turn sends the agent's calls with its message."""
    say(talk, service, "one", event({"choices": [{"delta": {"tool_calls": [CALL]}}]}), DONE)
    calls = [{"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
    assert talk.messages[1] == {"role": "assistant", "content": "", "tool_calls": calls}


def test_one_turn_at_a_time(talk: Conversation, service: Service) -> None:
    """A second turn would send a history without the first; it is refused, and harms nothing."""
    first = begin(talk, service, "one", HI, DONE, read=1)
    with pytest.raises(ConfigurationError, match=STILL_READ):
        talk.stream("two")
    with pytest.raises(ConfigurationError, match=STILL_READ):
        talk.load([])
    first.get_final_reply()
    assert talk.messages == [user("one"), agent("Hi")]
    assert len(service.sent) == 1


@pytest.mark.parametrize("finish", [DONE, b""])
def test_a_turn_is_kept_once(talk: Conversation, service: Service, finish: bytes) -> None:
    """However often a stream is closed after its reply was whole, or left, the turn is there once."""
    stream = begin(talk, service, "one", HI + finish, read=1)
    for _ in range(2):
        stream.close()
        assert talk.messages == [user("one"), agent("Hi")]


def test_threads_that_ask_at_once_settle_a_turn_once(talk: Conversation, service: Service) -> None:
    """Two threads that look at the history at the same moment see one turn."""
    for number in range(50):
        stream = begin(talk, service, str(number), HI + DONE, read=1)
        stream.until_done()
        together = threading.Barrier(4)

        def look(together: threading.Barrier = together) -> None:
            together.wait()
            _ = talk.messages

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(talk.messages) == 2 * (number + 1)


def test_a_stream_that_was_never_opened_is_closed_with_the_conversation(
    talk: Conversation, service: Service
) -> None:
    """It sends nothing, and keeps nobody else's turn away afterwards."""
    with talk:
        talk.stream("one")
    assert service.sent == []
    say(talk, service, "two", HI, DONE)
    assert talk.messages == [user("two"), agent("Hi")]


@pytest.mark.parametrize("text", [None, 7, b"Hi", [user("Hi")]])
def test_what_is_said_is_text(talk: Conversation, text: Any) -> None:
    """The message names the argument and the type."""
    with pytest.raises(ConfigurationError, match=rf"^text: .*{type(text).__name__}$"):
        talk.stream(text)


def test_what_is_said_can_be_written(talk: Conversation, service: Service) -> None:
    """Text that no encoding can carry is refused by its place in the request, and forgotten."""
    say(talk, service, "one", HI, DONE)
    with pytest.raises(ConfigurationError, match=r"^messages\[2\]\.content: .*surrogate"):
        talk.stream("half \ud83d")
    say(talk, service, "two", HI, DONE)
    assert service.sent[-1] == [user("one"), agent("Hi"), user("two")]


def test_a_history_is_loaded_and_given_out_as_copies(talk: Conversation) -> None:
    """What the caller does with their list changes nothing in the conversation, and the other way round."""
    mine = [user("one"), {**agent("Hi"), "tool_calls": [{"id": "a"}]}]
    talk.load(mine)
    mine[1]["tool_calls"].clear()
    talk.messages[0]["content"] = "changed"
    talk.messages.clear()
    assert talk.messages == [user("one"), {**agent("Hi"), "tool_calls": [{"id": "a"}]}]


def test_what_becomes_of_a_reply_or_a_model_later_changes_no_history(
    talk: Conversation, service: Service
) -> None:
    """Messages are written when they come in; what the caller still holds of them is theirs to change."""
    call = ToolCall.from_dict({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}})
    talk.load(
        [
            UserMessage(content="one"),
            {**agent("Hi"), "tool_calls": [call]},
            {"role": "user", "content": "two"},
        ]
    )
    reply = say(talk, service, "three", event({"choices": [{"delta": {"tool_calls": [CALL]}}]}), DONE)
    before = talk.messages
    assert before[1] == {**agent("Hi"), "tool_calls": [call.to_dict()]}
    call.id = "b"
    reply.tool_calls.clear()
    assert talk.messages == before
    say(talk, service, "four", HI, DONE)
    assert service.sent[-1] == [*before, user("four")]


def test_a_history_comes_back_as_it_went_in(talk: Conversation) -> None:
    """Unknown keys, nulls, numbers and characters of all kinds are neither lost nor changed."""
    odd: dict[str, Any] = {
        **agent('ü \u2028 😀 "\\ \x00'),
        "x": None,
        "y": [1.1, 10**400, True, {"z": {}}],
        "tool_calls": None,
    }
    talk.load([user(""), odd])
    assert talk.messages == [user(""), odd]


@pytest.mark.parametrize("nothing", [[], (), iter(())])
def test_an_empty_history_begins_anew(talk: Conversation, nothing: Any) -> None:
    """Loading nothing forgets all."""
    talk.load([user("one")])
    talk.load(nothing)
    assert talk.messages == []


def test_a_loaded_history_has_no_marks(talk: Conversation, service: Service) -> None:
    """The marks belong to the messages that they were made for."""
    begin(talk, service, "one", HI, HI, DONE, read=1).close()
    assert talk.left_early == (1,)
    talk.load([user("one"), agent("Hi")])
    assert not talk.left_early


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        (None, r"^messages: .*NoneType$"),
        (7, r"^messages: .*int$"),
        ({"role": "user", "content": "Hi"}, r"^messages: .*dict$"),
        ([{"role": "system", "content": "x"}], r'^messages\[0\]\.role: .*"system"'),
        ([user("Hi"), {"role": "assistant"}], r"^messages\[1\]\.content: is missing"),
        (
            [user("Hi"), {**agent(""), "x": [{1}]}],
            r"^messages\[1\]\.x\[0\]: .*\bset\b",
        ),
    ],
)
def test_a_history_that_the_service_would_refuse_is_not_loaded(
    talk: Conversation, messages: Any, words: str
) -> None:
    """The checks are those of `chat.stream`, and the history that was there stays."""
    talk.load([user("one")])
    with pytest.raises(ConfigurationError, match=words):
        talk.load(messages)
    assert talk.messages == [user("one")]
