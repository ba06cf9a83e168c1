"""The state of one reply: streaming, times, the end, and access to the reply."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from chat_streams import delta, event, read_all

from millis_wrapper import ToolCallDict
from millis_wrapper.chat import ReplyBuilder
from millis_wrapper.errors import StreamInterruptedError
from millis_wrapper.results import ChatReply

LONE_SURROGATE = event(delta("a\ud83d"))
FINISHED = event({"choices": [{"delta": {}, "finish_reason": "stop"}]})


@pytest.mark.parametrize(
    ("stream", "text", "ended"),
    [
        (b"data: 4\n\ndata: 2\n\n", "42", None),
        (b"data: 4\n\ndata: 2\n\ndata: [DONE]", "42", "done"),
        (LONE_SURROGATE + b"data: [DONE]", "a\ufffd", "done"),
        (LONE_SURROGATE, "a", None),
        (event(delta("Hel")) + event(delta("lo")).rstrip(), "Hello", None),
        (event(delta("Hi")) + b'data: {"choices":[', "Hi", None),
    ],
    ids=[
        "tokens",
        "tokens, [DONE]",
        "lone surrogate, [DONE]",
        "lone surrogate",
        "event",
        "truncated event",
    ],
)
def test_a_lost_connection_loses_no_text_that_arrived(stream: bytes, text: str, ended: str | None) -> None:
    """`cut` returns the chunks that had to wait for more, so the chunks add up to the reply's text."""
    builder = ReplyBuilder()
    chunks = [*builder.feed(stream), *builder.cut("connection lost")]
    assert (builder.reply.text, builder.reply.ended) == (text, ended)
    assert "".join(chunk.text for chunk in chunks) == text
    assert builder.cut("again") == []


def test_a_wait_for_the_end_mark_loses_no_text_that_arrived() -> None:
    """The last chunk has U+FFFD in place of a lone surrogate."""
    builder = ReplyBuilder()
    chunks = [*builder.feed(LONE_SURROGATE + FINISHED), *builder.end()]
    assert builder.final_reply().text == "".join(chunk.text for chunk in chunks) == "a\ufffd"


# Streaming.


def test_an_event_is_returned_when_its_blank_line_arrives() -> None:
    """A chunk does not wait for the next event (promise 3 of the design)."""
    builder = ReplyBuilder()
    assert list(builder.feed(b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n')) == []
    assert [chunk.text for chunk in builder.feed(b"\n")] == ["Hi"]


def test_the_reply_grows_chunk_by_chunk() -> None:
    """The reply contains only the chunks that the caller has taken, even if more have arrived."""
    builder = ReplyBuilder()
    seen = [(chunk.text, builder.reply.text) for chunk in builder.feed(event(delta("a")) + event(delta("b")))]
    assert seen == [("a", "a"), ("b", "ab")]
    assert builder.reply.ended is None


def test_a_returned_reply_does_not_change() -> None:
    """The property returns a new reply on every access."""
    builder = ReplyBuilder()
    list(builder.feed(event(delta("a"))))
    early = builder.reply
    list(builder.feed(event(delta("b"))))
    assert (early.text, builder.reply.text) == ("a", "ab")


# Times.


class Clock:
    """A clock with a settable time."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def timed(clock: Clock) -> ReplyBuilder:
    builder = ReplyBuilder(clock=clock)
    builder.sent_at = clock.now
    return builder


def test_times_count_from_the_moment_the_request_was_sent() -> None:
    """The first text and the end each have their own time; a role alone is not text."""
    clock = Clock()
    builder = timed(clock)
    for now, data in ((101.0, {"choices": [{"delta": {"role": "assistant"}}]}), (102.5, delta("Hi"))):
        assert builder.reply.time_to_first_text is None
        clock.now = now
        list(builder.feed(event(data)))
    assert (builder.reply.time_to_first_text, builder.reply.duration) == (2.5, None)
    clock.now = 104.0
    last = {"choices": [{"delta": {"content": "!"}, "finish_reason": "stop"}]}
    list(builder.feed(event(last) + b"data: [DONE]\n\n"))
    clock.now = 200.0
    reply = builder.final_reply()
    assert (reply.time_to_first_text, reply.duration) == (2.5, 4.0)
    assert reply.to_dict()["duration"] == 4.0


@pytest.mark.parametrize("end", [b"", b"data: [DONE]\n\n", b"event: error\ndata: overloaded\n\n", b"data: a"])
def test_a_reply_that_is_only_a_number_has_a_time_to_its_first_text(end: bytes) -> None:
    """Its text is known at the end of the reply, because a number can also be a keep-alive."""
    clock = Clock()
    builder = timed(clock)
    list(builder.feed(b"data: 42\n\n"))
    assert not builder.reply.text
    clock.now = 101.5
    read_all(builder, end)
    assert (builder.reply.text, builder.reply.time_to_first_text) == ("42", 1.5)


def test_the_wait_for_a_missing_end_mark_is_not_part_of_the_duration() -> None:
    """If `[DONE]` does not follow, the reply ends with its finish reason."""
    clock = Clock()
    builder = timed(clock)
    clock.now = 101.0
    list(builder.feed(event(delta("Hi")) + event({"choices": [{"delta": {}, "finish_reason": "stop"}]})))
    clock.now = 104.0
    builder.end()
    assert builder.final_reply().duration == 1.0


def test_the_duration_of_a_failed_reply_is_none() -> None:
    """The time of its first text is known."""
    clock = Clock()
    builder = timed(clock)
    clock.now = 101.0
    list(builder.feed(event(delta("Hi")) + FINISHED))
    builder.cut("connection lost")
    assert (builder.reply.time_to_first_text, builder.reply.duration) == (1.0, None)


# The end.


def test_an_end_mark_may_be_required() -> None:
    """With `require_end`, a reply without an end mark fails; a finish reason is an end mark, too."""
    for stream, state in ((event(delta("Hi")), "failed"), (event(delta("Hi")) + FINISHED, "finish_reason")):
        builder = ReplyBuilder()
        list(builder.feed(stream))
        assert builder.end(require_end=True) == []
        assert (builder.state, builder.reply.text) == (state, "Hi")


@pytest.mark.parametrize(("reason", "is_finishing"), [(None, False), ("stop", True), ("tool_calls", False)])
def test_after_a_finish_reason_only_the_end_mark_is_expected(reason: str | None, is_finishing: bool) -> None:
    """After tool calls, the stream may continue with the result of the tool."""
    builder = ReplyBuilder()
    list(builder.feed(event({"choices": [{"delta": {"content": "Hi"}, "finish_reason": reason}]})))
    assert builder.is_finishing is is_finishing


@pytest.mark.parametrize(
    "rest", [event(delta("x")), event({"error": "x"}), b"data: x\n\n", b"data: [DONE]\n\n", b"x"]
)
def test_data_after_the_end_mark_is_ignored(rest: bytes) -> None:
    """It does not matter whether the data arrives in the same chunk or later."""
    builder = ReplyBuilder()
    list(builder.feed(event(delta("Hi")) + b"data: [DONE]\n\n" + rest))
    assert builder.state == "done"
    assert list(builder.feed(rest)) == []
    assert list(builder.end()) == []
    builder.fail(ValueError())
    builder.close()
    assert builder.final_reply() == ChatReply(text="Hi", ended="done")


def test_a_stream_that_was_left_is_incomplete() -> None:
    """The read text is kept, and the final reply is an error instead of a shorter reply."""
    builder = ReplyBuilder()
    builder.sent_at = 0.0
    chunks = builder.feed(event(delta("Hel")) + event(delta("lo")) + b"data: [DONE]\n\n")
    next(chunks)
    builder.close()
    builder.close()
    assert list(chunks) == []
    assert list(builder.feed(event(delta("!")))) == []
    assert list(builder.end()) == []
    assert (builder.reply, builder.state) == (ChatReply(text="Hel"), "closed")
    with pytest.raises(StreamInterruptedError, match="closed"):
        builder.final_reply()


def test_a_failed_stream_keeps_its_first_error() -> None:
    """All later calls raise this error."""
    builder = ReplyBuilder()
    list(builder.feed(event(delta("Hel"))))
    builder.cut("connection lost")
    with pytest.raises(StreamInterruptedError) as first:
        builder.final_reply()
    error = first.value
    assert "connection lost" in str(error)
    assert error.reply.text == "Hel"
    builder.fail(ValueError("later"))
    builder.close()
    assert list(builder.feed(event(delta("lo")))) == []
    for _ in range(2):
        with pytest.raises(StreamInterruptedError) as caught:
            builder.final_reply()
        assert caught.value is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("x")])
def test_an_exception_of_another_kind_is_not_raised_again(error: BaseException) -> None:
    """After Ctrl-C, the reply is incomplete, but reading it does not raise KeyboardInterrupt."""
    builder = ReplyBuilder()
    builder.fail(error)
    assert builder.state == "failed"
    with pytest.raises(StreamInterruptedError):
        builder.final_reply()


def test_the_final_reply_needs_the_end_of_the_stream() -> None:
    """For an open stream, the final reply is an error."""
    with pytest.raises(StreamInterruptedError):
        ReplyBuilder().final_reply()


# The reply.


def test_the_reply_is_a_message_of_the_next_turn() -> None:
    """A reply without tool calls gives a message without `tool_calls`."""
    assert ChatReply(text="Hi", finish_reason="stop", ended="done", usage={}).message == {
        "role": "assistant",
        "content": "Hi",
    }
    calls: list[ToolCallDict] = [
        {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    ]
    assert ChatReply(tool_calls=calls).message == {"role": "assistant", "content": "", "tool_calls": calls}


def test_text_that_arrives_during_an_access_to_the_reply_is_not_lost() -> None:
    """Another thread may add text between any two steps of the access."""
    builder = ReplyBuilder()
    texts: list[str] = []

    def more() -> None:
        texts.extend(chunk.text for chunk in builder.feed(b"data: x\n\n"))

    def trace(frame: FrameType, what: str, argument: Any) -> Callable[..., Any]:
        if frame.f_code.co_name == "reply":
            frame.f_trace_opcodes = True
            if what == "opcode":
                more()
        return trace

    for _ in range(3):
        more()
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            assert builder.reply.text
        finally:
            sys.settrace(before)
    assert builder.reply.text == "".join(texts)
    assert len(texts) > 10
