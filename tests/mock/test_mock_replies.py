"""Mock agents stream the replies that a test sets, in the documented form."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgi import CHAT, Exchange, chat_body, post, texts

from millis_wrapper import ChatReply, ConfigurationError, Millis, StreamFailedError, ToolCallDict, UsageDict
from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis
from millis_wrapper.mock._replies import Reply, echo

SLOW = "-mock-slow----------"


@pytest.mark.anyio
async def test_a_reply_streams_as_documented_chunks_and_ends_with_done(mock: MockMillis) -> None:
    """The body has the documented form, with one event per word."""
    response = await post(mock.app, CHAT, chat_body("Hello there"))
    assert response.status == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.chunks == [
        b'data: {"choices":[{"delta":{"content":"Hello"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":" there"}}]}\n\n',
        b"data: [DONE]\n\n",
    ]
    assert response.complete


@pytest.mark.anyio
@pytest.mark.parametrize("text", ["", " ", "a", "  two  words \n", "Grüße 👋\ud83d", "one\n\ntwo\tthree"])
async def test_the_chunks_of_a_reply_add_up_to_its_text(mock: MockMillis, text: str) -> None:
    """Splitting a text into chunks does not lose or add a character."""
    response = await post(mock.app, CHAT, chat_body(text))
    assert "".join(texts(response.body)) == text


@pytest.mark.anyio
async def test_the_echo_is_the_last_message(mock: MockMillis) -> None:
    """By default, agents repeat the last message, of any role; without messages, the reply is empty."""
    history = [
        {"role": "user", "content": "first"},
        {"role": "tool", "content": "last", "tool_call_id": "1"},
    ]
    assert texts((await post(mock.app, CHAT, {**chat_body(), "messages": history})).body) == ["last"]
    assert texts((await post(mock.app, CHAT, {**chat_body(), "messages": []})).body) == [""]


@pytest.mark.anyio
async def test_replies_come_in_order_and_the_last_one_repeats(mock: MockMillis) -> None:
    """Every request takes the next reply. A list in a script is one reply with these chunks."""
    mock.reply_with("one", ["t", "wo"], "three")
    replies = [texts((await post(mock.app, CHAT, chat_body())).body) for _ in range(4)]
    assert replies == [["one"], ["t", "wo"], ["three"], ["three"]]


@pytest.mark.anyio
async def test_a_reply_function_gets_the_request_and_returns_the_reply(mock: MockMillis) -> None:
    """The function gets the request body, and returns a string or yields chunks."""
    mock.reply_with(lambda body: f"{len(body['messages'])} for {body['agent']['metadata']['name']}")
    body = {**chat_body(), "agent": {"agent_id": DEFAULT_AGENT_ID, "metadata": {"name": "Ada"}}}
    assert texts((await post(mock.app, CHAT, body)).body) == ["1", " for", " Ada"]

    def chunks(body: dict[str, Any]) -> Iterator[str]:
        yield "Hel"
        yield "lo"

    mock.reply_with(chunks)
    assert texts((await post(mock.app, CHAT, body)).body) == ["Hel", "lo"]
    mock.reply_with()
    assert texts((await post(mock.app, CHAT, body)).body) == ["Hello"]


@pytest.mark.anyio
async def test_the_error_of_a_reply_function_is_in_the_response(mock: MockMillis) -> None:
    """A mistake in a test's own reply function returns status 500 with the message of its exception."""

    def broken(body: dict[str, Any]) -> str:
        raise KeyError("no such turn")

    mock.reply_with(broken)
    response = await post(mock.app, CHAT, chat_body())
    assert response.status == 500
    assert response.json == {"detail": "the reply function raised KeyError: 'no such turn'"}

    def invalid(body: dict[str, Any]) -> Any:
        return 7

    mock.reply_with(invalid)
    assert "invalid reply" in (await post(mock.app, CHAT, chat_body())).json["detail"]


@pytest.mark.anyio
async def test_a_reply_function_that_fails_halfway_ends_the_stream_with_an_error(
    mock: MockMillis,
) -> None:
    """The text before the failure is sent, followed by an error event."""

    def breaks(body: dict[str, Any]) -> Iterator[Any]:
        yield "Hel"
        raise ValueError("no more text")

    mock.reply_with(breaks)
    response = await post(mock.app, CHAT, chat_body())
    assert response.chunks[0] == b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n'
    assert response.chunks[1:] == [
        b'data: {"error":{"message":"the reply function raised ValueError: no more text"}}\n\n'
    ]

    def invalid(body: dict[str, Any]) -> Iterator[Any]:
        yield 7

    mock.reply_with(invalid)
    assert b"must be a str or a dict, got int" in (await post(mock.app, CHAT, chat_body())).body


@pytest.mark.parametrize("replies", [(7,), (None,), ([],), (["a", 1],), ("a", echo)])
def test_an_invalid_reply_is_rejected(mock: MockMillis, replies: tuple[Any, ...]) -> None:
    """The error is raised when the reply is set, not when it is used."""
    with pytest.raises(ConfigurationError, match="reply"):
        mock.reply_with(*replies)


@pytest.mark.anyio
async def test_a_script_can_be_loaded_from_a_file(mock: MockMillis, tmp_path: Path) -> None:
    """Replies from a file work like replies from code."""
    script = tmp_path / "script.json"
    script.write_text('["Hello!", ["Good", "bye."]]')
    mock.load_script(script)
    assert texts((await post(mock.app, CHAT, chat_body())).body) == ["Hello!"]
    assert texts((await post(mock.app, CHAT, chat_body())).body) == ["Good", "bye."]


@pytest.mark.parametrize("content", [None, "nope", "{}", "[]", "[1]", '["a", []]'])
def test_the_message_for_an_invalid_script_file_names_the_file(
    mock: MockMillis, tmp_path: Path, content: str | None
) -> None:
    """The message names the file for every kind of mistake."""
    script = tmp_path / "script.json"
    if content is not None:
        script.write_text(content)
    with pytest.raises(ConfigurationError, match=re.escape(str(script))):
        mock.load_script(script)


@pytest.mark.anyio
async def test_the_pace_is_the_delay_between_two_chunks() -> None:
    """The mock server does not wait before the first chunk or after the last one."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    mock = MockMillis(pace=0.25, sleep=sleep)
    await post(mock.app, CHAT, chat_body("one two three"))
    assert waits == [0.25, 0.25]


@pytest.mark.anyio
async def test_the_slow_agent_waits_before_its_first_byte() -> None:
    """The status code is sent only after the delay."""
    seen: list[tuple[float, int]] = []
    exchange_so_far = Exchange()

    async def sleep(seconds: float) -> None:
        seen.append((seconds, exchange_so_far.status))

    def watch(exchange: Exchange) -> None:
        exchange_so_far.status = exchange.status

    mock = MockMillis(slow=1.5, sleep=sleep)
    response = await post(mock.app, CHAT, chat_body(agent_id=SLOW), watch=watch)
    assert seen == [(1.5, 0)]
    assert texts(response.body) == ["Hello"]


CALLS: list[ToolCallDict] = [
    {"id": "call_1", "type": "function", "function": {"name": "book", "arguments": '{"day": "Friday"}'}},
    {"id": "call_2", "type": "function", "function": {"name": "pay", "arguments": "{}"}},
]
USAGE: UsageDict = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


@pytest.mark.parametrize("from_file", [False, True], ids=["in Python", "in a script file"])
def test_a_chat_reply_is_streamed_and_returned_unchanged(
    millis: Millis, millis_mock: MockMillis, tmp_path: Path, from_file: bool
) -> None:
    """The client returns the tool calls, finish_reason and usage that the test passed to the mock server."""
    wanted = ChatReply("One moment.", "tool_calls", "done", USAGE, CALLS)
    if from_file:
        script = tmp_path / "script.json"
        script.write_text(json.dumps([wanted.to_dict()]), "utf-8")
        millis_mock.load_script(script)
    else:
        millis_mock.reply_with(wanted)
    with millis.chat.stream("Hello", agent_id=DEFAULT_AGENT_ID) as stream:
        chunks = list(stream)
    assert stream.get_final_reply() == wanted
    arguments = [chunk for chunk in chunks if "arguments" in json.dumps(chunk.data)]
    assert len(arguments) > len(CALLS)  # several chunks per call, like from a real service


def test_chunk_dicts_are_sent_unchanged(millis: Millis, millis_mock: MockMillis) -> None:
    """A test can send any event data to the client, between strings or alone."""
    extended = {"choices": [{"delta": {"content": "!"}}], "x_trace": [1, None]}
    millis_mock.reply_with(["Hello", extended], {"error": {"message": "no"}})
    with millis.chat.stream("Hello", agent_id=DEFAULT_AGENT_ID) as stream:
        assert [chunk.data for chunk in stream][1] == extended
    assert stream.get_final_reply().text == "Hello!"
    with pytest.raises(StreamFailedError, match="no"):
        millis.chat.send("Hello", agent_id=DEFAULT_AGENT_ID)


def test_a_function_may_return_any_kind_of_reply(millis: Millis, millis_mock: MockMillis) -> None:
    """The agent calls a tool once and then replies to the result of the tool."""

    def agent(body: dict[str, Any]) -> Reply:
        if body["messages"][-1]["role"] == "tool":
            return ["Booked ", {"choices": [{"delta": {"content": "it."}}]}]
        return ChatReply(tool_calls=CALLS[:1], finish_reason="tool_calls")

    millis_mock.reply_with(agent)
    first = millis.chat.send("Book Friday", agent_id=DEFAULT_AGENT_ID)
    assert (first.tool_calls, first.finish_reason, first.ended) == (CALLS[:1], "tool_calls", "done")
    result = {"role": "tool", "content": "ok", "tool_call_id": "call_1"}
    history = [{"role": "user", "content": "Book Friday"}, first.message, result]
    assert millis.chat.send(history, agent_id=DEFAULT_AGENT_ID).text == "Booked it."


@pytest.mark.parametrize("reply", [{"tool_calls": 5}, {"tool_calls": ["book"]}, {1, 2}, 7, None, []])
def test_a_reply_of_a_wrong_type_is_rejected(reply: Any) -> None:
    """`reply_with` raises the error."""
    with pytest.raises(ConfigurationError, match=r"a reply must|tool_calls"):
        MockMillis().reply_with(reply)
