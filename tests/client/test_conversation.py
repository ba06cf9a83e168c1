"""Conversations without a network: the sent messages, and the history."""

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
STILL_READ = r"^conversation: .*previous reply"


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def agent(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


class Service:
    """A service that responds with the given chunks and records the received messages."""

    def __init__(self) -> None:
        self.response: tuple[bytes, ...] = ()
        self.sent: list[list[dict[str, Any]]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(json.loads(request.content)["messages"])
        return httpx.Response(200, content=iter(self.response))


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def talk(service: Service) -> Iterator[Conversation]:
    with httpx.Client(transport=httpx.MockTransport(service)) as http_client:
        yield Millis("a-key", http_client=http_client).chat.conversation(agent_id="-Oabc")


def send(talk: Conversation, service: Service, text: str, *response: bytes) -> ChatReply:
    service.response = response
    return talk.send(text)


def start(talk: Conversation, service: Service, text: str, *response: bytes, read: int) -> ChatStream:
    """Start a turn and read some of its chunks."""
    service.response = response
    stream = talk.stream(text)
    chunks = iter(stream)
    for _ in range(read):
        next(chunks)
    # Keeps a reference to the iterator, because dropping it would close the stream.
    stream.__dict__["reader"] = chunks
    return stream


def test_each_turn_sends_all_previous_messages(talk: Conversation, service: Service) -> None:
    """The service keeps no history, so the new message follows all previous ones."""
    send(talk, service, "one", HI, DONE)
    send(talk, service, "two", HELLO, HI, DONE)
    assert service.sent == [[user("one")], [user("one"), agent("Hi"), user("two")]]
    assert talk.messages == [user("one"), agent("Hi"), user("two"), agent("HelloHi")]
    assert not talk.left_early


def test_a_turn_is_added_when_its_reply_is_complete(talk: Conversation, service: Service) -> None:
    """While the reply is streaming, the history does not change."""
    stream = start(talk, service, "one", HI, DONE, read=1)
    assert talk.messages == []
    stream.get_final_reply()
    assert talk.messages == [user("one"), agent("Hi")]


@pytest.mark.parametrize(
    "response",
    [
        [HI, event({"error": "overloaded"})],
        [HI, b"data: {"],
        [b"<html>"],
        [],
        [event(delta(None))],
    ],
    ids=["error in the stream", "cut off", "not a stream", "empty", "no text"],
)
def test_a_failed_turn_is_not_added(talk: Conversation, service: Service, response: list[bytes]) -> None:
    """The history does not contain the failed turn, so the turn can be repeated."""
    send(talk, service, "one", HI, DONE)
    with pytest.raises(MillisError):
        send(talk, service, "two", *response)
    assert talk.messages == [user("one"), agent("Hi")]
    send(talk, service, "two", HELLO, DONE)
    assert service.sent[-1] == [user("one"), agent("Hi"), user("two")]
    assert talk.messages[2:] == [user("two"), agent("Hello")]
    assert not talk.left_early


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()])
def test_an_interrupted_turn_is_not_added(talk: Conversation, service: Service, error: BaseException) -> None:
    """Ctrl-C during a reply does not add the partial reply to the history."""

    def broken() -> Iterator[bytes]:
        yield HI
        raise error

    def response(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=broken())

    with httpx.Client(transport=httpx.MockTransport(response)) as http_client:
        other = Millis("a-key", http_client=http_client).chat.conversation(agent_id="-Oabc")
        with pytest.raises(type(error)):
            other.send("one")
        assert other.messages == []


def test_the_error_of_a_failed_turn_has_its_text(talk: Conversation, service: Service) -> None:
    """The received text is in the error, not in the history."""
    with pytest.raises(StreamError) as caught:
        send(talk, service, "one", HI, b"data: {")
    assert caught.value.reply.text == "Hi"
    assert talk.messages == []


def test_the_read_part_of_a_reply_is_kept_and_marked(talk: Conversation, service: Service) -> None:
    """The history contains only the text that the caller has read; `left_early` lists its index."""
    send(talk, service, "one", HI, DONE)
    start(talk, service, "two", HELLO + HI + DONE, read=1).close()
    assert talk.messages[2:] == [user("two"), agent("Hello")]
    assert talk.left_early == (3,)
    send(talk, service, "three", HI, DONE)
    assert talk.left_early == (3,)


def test_a_reply_without_any_read_text_is_not_added(talk: Conversation, service: Service) -> None:
    """The history does not contain an empty reply."""
    start(talk, service, "one", event(delta(None)), HI, read=1).close()
    assert (talk.messages, talk.left_early) == ([], ())


def test_an_incomplete_tool_call_is_not_added(talk: Conversation, service: Service) -> None:
    """Only the text of a reply left early is kept. The service would refuse incomplete arguments."""
    call = event({"choices": [{"delta": {"tool_calls": [CALL]}}]})
    start(talk, service, "one", HI, call, HI, read=2).close()
    assert talk.messages == [user("one"), agent("Hi")]


def test_tool_calls_are_added_to_the_history(talk: Conversation, service: Service) -> None:
    """The next turn sends the tool calls with the message of the agent."""
    send(talk, service, "one", event({"choices": [{"delta": {"tool_calls": [CALL]}}]}), DONE)
    calls = [{"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
    assert talk.messages[1] == {"role": "assistant", "content": "", "tool_calls": calls}


def test_a_second_turn_is_rejected_during_a_reply(talk: Conversation, service: Service) -> None:
    """It would send a history without the first turn. The first turn continues."""
    first = start(talk, service, "one", HI, DONE, read=1)
    with pytest.raises(ConfigurationError, match=STILL_READ):
        talk.stream("two")
    with pytest.raises(ConfigurationError, match=STILL_READ):
        talk.load([])
    first.get_final_reply()
    assert talk.messages == [user("one"), agent("Hi")]
    assert len(service.sent) == 1


@pytest.mark.parametrize("finish", [DONE, b""])
def test_a_turn_is_added_once(talk: Conversation, service: Service, finish: bytes) -> None:
    """Closing a stream again after its end does not add the turn again."""
    stream = start(talk, service, "one", HI + finish, read=1)
    for _ in range(2):
        stream.close()
        assert talk.messages == [user("one"), agent("Hi")]


def test_concurrent_readers_of_the_history_add_a_turn_once(talk: Conversation, service: Service) -> None:
    """Threads that read `messages` at the same moment see one turn."""
    for number in range(50):
        stream = start(talk, service, str(number), HI + DONE, read=1)
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


def test_an_unopened_stream_is_closed_with_the_conversation(talk: Conversation, service: Service) -> None:
    """The stream sends nothing and does not block the next turn."""
    with talk:
        talk.stream("one")
    assert service.sent == []
    send(talk, service, "two", HI, DONE)
    assert talk.messages == [user("two"), agent("Hi")]


@pytest.mark.parametrize("text", [None, 7, b"Hi", [user("Hi")]])
def test_the_text_of_a_turn_must_be_a_string(talk: Conversation, text: Any) -> None:
    """The message names the argument and the type."""
    with pytest.raises(ConfigurationError, match=rf"^text: .*{type(text).__name__}$"):
        talk.stream(text)


def test_the_text_of_a_turn_must_be_encodable(talk: Conversation, service: Service) -> None:
    """Text with a lone surrogate is rejected with its path, and is not added to the history."""
    send(talk, service, "one", HI, DONE)
    with pytest.raises(ConfigurationError, match=r"^messages\[2\]\.content: .*surrogate"):
        talk.stream("half \ud83d")
    send(talk, service, "two", HI, DONE)
    assert service.sent[-1] == [user("one"), agent("Hi"), user("two")]


def test_loading_and_reading_copy_the_history(talk: Conversation) -> None:
    """Changing the loaded list, or the returned one, does not change the conversation."""
    history = [user("one"), {**agent("Hi"), "tool_calls": [{"id": "a"}]}]
    talk.load(history)
    history[1]["tool_calls"].clear()
    talk.messages[0]["content"] = "changed"
    talk.messages.clear()
    assert talk.messages == [user("one"), {**agent("Hi"), "tool_calls": [{"id": "a"}]}]


def test_later_changes_of_a_reply_or_model_do_not_change_the_history(
    talk: Conversation, service: Service
) -> None:
    """Messages are encoded when they are added."""
    call = ToolCall.from_dict({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}})
    talk.load(
        [
            UserMessage(content="one"),
            {**agent("Hi"), "tool_calls": [call]},
            {"role": "user", "content": "two"},
        ]
    )
    reply = send(talk, service, "three", event({"choices": [{"delta": {"tool_calls": [CALL]}}]}), DONE)
    before = talk.messages
    assert before[1] == {**agent("Hi"), "tool_calls": [call.to_dict()]}
    call.id = "b"
    reply.tool_calls.clear()
    assert talk.messages == before
    send(talk, service, "four", HI, DONE)
    assert service.sent[-1] == [*before, user("four")]


def test_a_history_is_returned_unchanged(talk: Conversation) -> None:
    """Unknown keys, nulls, numbers and special characters are kept."""
    unusual: dict[str, Any] = {
        **agent('ü \u2028 😀 "\\ \x00'),
        "x": None,
        "y": [1.1, 10**400, True, {"z": {}}],
        "tool_calls": None,
    }
    talk.load([user(""), unusual])
    assert talk.messages == [user(""), unusual]


@pytest.mark.parametrize("nothing", [[], (), iter(())])
def test_loading_an_empty_history_clears_the_conversation(talk: Conversation, nothing: Any) -> None:
    """Loading no messages removes all messages."""
    talk.load([user("one")])
    talk.load(nothing)
    assert talk.messages == []


def test_loading_a_history_clears_left_early(talk: Conversation, service: Service) -> None:
    """`left_early` refers to the previous messages."""
    start(talk, service, "one", HI, HI, DONE, read=1).close()
    assert talk.left_early == (1,)
    talk.load([user("one"), agent("Hi")])
    assert not talk.left_early


@pytest.mark.parametrize(
    ("messages", "key_word"),
    [
        (None, r"^messages: .*NoneType$"),
        (7, r"^messages: .*int$"),
        ({"role": "user", "content": "Hi"}, r"^messages: .*dict$"),
        ([{"role": "system", "content": "x"}], r'^messages\[0\]\.role: .*"system"'),
        ([user("Hi"), {"role": "assistant"}], r"^messages\[1\]\.content: is required"),
        (
            [user("Hi"), {**agent(""), "x": [{1}]}],
            r"^messages\[1\]\.x\[0\]: .*\bset\b",
        ),
    ],
)
def test_an_invalid_history_is_not_loaded(talk: Conversation, messages: Any, key_word: str) -> None:
    """The checks are those of `chat.stream`, and the current history stays."""
    talk.load([user("one")])
    with pytest.raises(ConfigurationError, match=key_word):
        talk.load(messages)
    assert talk.messages == [user("one")]
