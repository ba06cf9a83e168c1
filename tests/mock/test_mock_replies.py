"""The mock's agents say what they are told to say, in the documented form."""

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
    """The bytes of a reply are those of the documentation, one event for each word."""
    answer = await post(mock.app, CHAT, chat_body("Hello there"))
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.pieces == [
        b'data: {"choices":[{"delta":{"content":"Hello"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":" there"}}]}\n\n',
        b"data: [DONE]\n\n",
    ]
    assert answer.complete


@pytest.mark.anyio
@pytest.mark.parametrize("text", ["", " ", "a", "  two  words \n", "Grüße 👋\ud83d", "one\n\ntwo\tthree"])
async def test_the_pieces_of_a_reply_are_the_whole_reply(mock: MockMillis, text: str) -> None:
    """However a text is cut into pieces, nothing of it is lost or added."""
    answer = await post(mock.app, CHAT, chat_body(text))
    assert "".join(texts(answer.body)) == text


@pytest.mark.anyio
async def test_the_echo_says_the_last_message_and_nothing_when_there_is_none(mock: MockMillis) -> None:
    """Without further ado the agents repeat what was said last, by whom ever."""
    history = [
        {"role": "user", "content": "first"},
        {"role": "tool", "content": "last", "tool_call_id": "1"},
    ]
    assert texts((await post(mock.app, CHAT, {**chat_body(), "messages": history})).body) == ["last"]
    assert texts((await post(mock.app, CHAT, {**chat_body(), "messages": []})).body) == [""]


@pytest.mark.anyio
async def test_a_script_is_said_in_order_and_its_last_reply_again_and_again(mock: MockMillis) -> None:
    """A script goes on from request to request; a list in it is a reply in these very pieces."""
    mock.reply_with("one", ["t", "wo"], "three")
    said = [texts((await post(mock.app, CHAT, chat_body())).body) for _ in range(4)]
    assert said == [["one"], ["t", "wo"], ["three"], ["three"]]


@pytest.mark.anyio
async def test_a_function_is_given_the_request_and_says_what_it_returns(mock: MockMillis) -> None:
    """A reply function sees the whole request, and may give a text or its pieces."""
    mock.reply_with(lambda body: f"{len(body['messages'])} for {body['agent']['metadata']['name']}")
    body = {**chat_body(), "agent": {"agent_id": DEFAULT_AGENT_ID, "metadata": {"name": "Ada"}}}
    assert texts((await post(mock.app, CHAT, body)).body) == ["1", " for", " Ada"]

    def pieces(body: dict[str, Any]) -> Iterator[str]:
        yield "Hel"
        yield "lo"

    mock.reply_with(pieces)
    assert texts((await post(mock.app, CHAT, body)).body) == ["Hel", "lo"]
    mock.reply_with()
    assert texts((await post(mock.app, CHAT, body)).body) == ["Hello"]


@pytest.mark.anyio
async def test_a_function_that_fails_is_reported_to_the_caller(mock: MockMillis) -> None:
    """A mistake in a test's own reply function reaches that test, in its own words."""

    def broken(body: dict[str, Any]) -> str:
        raise KeyError("no such turn")

    mock.reply_with(broken)
    answer = await post(mock.app, CHAT, chat_body())
    assert answer.status == 500
    assert answer.json == {"detail": "the reply function raised KeyError: 'no such turn'"}

    def of_no_kind(body: dict[str, Any]) -> Any:
        return 7

    mock.reply_with(of_no_kind)
    assert "what is not a reply: 7" in (await post(mock.app, CHAT, chat_body())).json["detail"]


@pytest.mark.anyio
async def test_a_function_that_fails_in_mid_reply_ends_the_stream_with_an_error(mock: MockMillis) -> None:
    """What was said before stays, and the failure is an event of its own."""

    def breaks(body: dict[str, Any]) -> Iterator[Any]:
        yield "Hel"
        raise ValueError("out of words")

    mock.reply_with(breaks)
    answer = await post(mock.app, CHAT, chat_body())
    assert answer.pieces[0] == b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n'
    assert answer.pieces[1:] == [
        b'data: {"error":{"message":"the reply function raised ValueError: out of words"}}\n\n'
    ]

    def of_no_kind(body: dict[str, Any]) -> Iterator[Any]:
        yield 7

    mock.reply_with(of_no_kind)
    assert b"gave a int as a piece" in (await post(mock.app, CHAT, chat_body())).body


@pytest.mark.parametrize("replies", [(7,), (None,), ([],), (["a", 1],), ("a", echo)])
def test_what_is_no_reply_is_refused(mock: MockMillis, replies: tuple[Any, ...]) -> None:
    """A wrong reply is told where it is set, and not when it should be said."""
    with pytest.raises(ConfigurationError, match="reply"):
        mock.reply_with(*replies)


@pytest.mark.anyio
async def test_a_script_can_come_from_a_file(mock: MockMillis, tmp_path: Path) -> None:
    """A file's replies are said as those of code."""
    script = tmp_path / "script.json"
    script.write_text('["Hello!", ["Good", "bye."]]')
    mock.load_script(script)
    assert texts((await post(mock.app, CHAT, chat_body())).body) == ["Hello!"]
    assert texts((await post(mock.app, CHAT, chat_body())).body) == ["Good", "bye."]


@pytest.mark.parametrize("content", [None, "nope", "{}", "[]", "[1]", '["a", []]'])
def test_a_script_file_that_is_wrong_is_named(mock: MockMillis, tmp_path: Path, content: str | None) -> None:
    """Whatever is wrong with a file, the error names it."""
    script = tmp_path / "script.json"
    if content is not None:
        script.write_text(content)
    with pytest.raises(ConfigurationError, match=re.escape(str(script))):
        mock.load_script(script)


@pytest.mark.anyio
async def test_the_pace_is_kept_between_the_pieces() -> None:
    """There is one wait between two pieces, and none before the first or after the last."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    mock = MockMillis(pace=0.25, sleep=sleep)
    await post(mock.app, CHAT, chat_body("one two three"))
    assert waits == [0.25, 0.25]


@pytest.mark.anyio
async def test_the_slow_agent_waits_before_its_first_byte() -> None:
    """Until the wait is over not even the status has been sent."""
    seen: list[tuple[float, int]] = []
    exchange_so_far = Exchange()

    async def sleep(seconds: float) -> None:
        seen.append((seconds, exchange_so_far.status))

    def watch(exchange: Exchange) -> None:
        exchange_so_far.status = exchange.status

    mock = MockMillis(slow=1.5, sleep=sleep)
    answer = await post(mock.app, CHAT, chat_body(agent_id=SLOW), watch=watch)
    assert seen == [(1.5, 0)]
    assert texts(answer.body) == ["Hello"]


CALLS: list[ToolCallDict] = [
    {"id": "call_1", "type": "function", "function": {"name": "book", "arguments": '{"day": "Friday"}'}},
    {"id": "call_2", "type": "function", "function": {"name": "pay", "arguments": "{}"}},
]
USAGE: UsageDict = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


@pytest.mark.parametrize("from_file", [False, True], ids=["in Python", "in a script file"])
def test_a_whole_reply_is_said_in_pieces_and_comes_back_whole(
    millis: Millis, millis_mock: MockMillis, tmp_path: Path, from_file: bool
) -> None:
    """Tool calls, finish_reason and usage can be tested: what the mock is given is what the client reads."""
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
    assert len(arguments) > len(CALLS)  # as services do, in several pieces each


def test_chunks_are_sent_as_they_are(millis: Millis, millis_mock: MockMillis) -> None:
    """Whatever a service may send can be put to the client, among texts or alone."""
    odd = {"choices": [{"delta": {"content": "!"}}], "x_trace": [1, None]}
    millis_mock.reply_with(["Hello", odd], {"error": {"message": "no"}})
    with millis.chat.stream("Hello", agent_id=DEFAULT_AGENT_ID) as stream:
        assert [chunk.data for chunk in stream][1] == odd
    assert stream.get_final_reply().text == "Hello!"
    with pytest.raises(StreamFailedError, match="no"):
        millis.chat.send("Hello", agent_id=DEFAULT_AGENT_ID)


def test_a_function_may_return_any_kind_of_reply(millis: Millis, millis_mock: MockMillis) -> None:
    """The tool is called once, and its result is answered in words."""

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
def test_a_reply_in_a_wrong_form_is_refused(reply: Any) -> None:
    """It is refused where it is set."""
    with pytest.raises(ConfigurationError, match=r"is not a reply|tool_calls"):
        MockMillis().reply_with(reply)
