from __future__ import annotations

import json
from typing import TypeVar

import leaks
import pytest
from chat_streams import delta, event, feed_all, play, read_all

from millis_wrapper._key import Secret
from millis_wrapper._reader import MAX_BYTES_BEFORE_FIRST_EVENT
from millis_wrapper.chat import ReplyBuilder
from millis_wrapper.errors import (
    MillisError,
    StreamFailedError,
    StreamInterruptedError,
    UnexpectedResponseError,
)
from millis_wrapper.response import BODY_START
from millis_wrapper.sse import MAX_EVENT_BYTES

E = TypeVar("E", bound=MillisError)


def error_of(builder: ReplyBuilder, cls: type[E]) -> E:
    """The error that the final reply raises."""
    assert builder.state == "failed"
    with pytest.raises(cls) as caught:
        builder.final_reply()
    return caught.value


# Limits.


def test_a_body_without_an_event_is_not_read_for_ever() -> None:
    """A page or a file in place of a stream ends in an error after a megabyte, whatever its pieces are."""
    builder = ReplyBuilder()
    piece = b"<p>Hello</p>\n"
    as_many_as_may_be = MAX_BYTES_BEFORE_FIRST_EVENT // len(piece)
    assert feed_all(builder, [piece] * as_many_as_may_be) == []
    assert not builder.is_over
    assert feed_all(builder, [piece]) == []
    error = error_of(builder, UnexpectedResponseError)
    limit = f"no event in {MAX_BYTES_BEFORE_FIRST_EVENT} bytes"
    assert str(error).startswith(f"the response is not an event stream: {limit}: <p>Hello</p> <p>")
    assert error.body == (piece * BODY_START)[:BODY_START].decode()


def test_comments_between_events_are_not_counted() -> None:
    """Once a stream has shown that it is one, it may keep its connection alive for ever."""
    builder = ReplyBuilder()
    list(builder.feed(event(delta("Hi"))))
    for _ in range(3):
        list(builder.feed(b": ping\n\n" * (MAX_BYTES_BEFORE_FIRST_EVENT // 16)))
    list(builder.end())
    assert builder.final_reply().text == "Hi"


MEGABYTE = b"x" * (1024 * 1024)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: ", *[MEGABYTE] * 16],
        [*[b"data: " + MEGABYTE + b"\n"] * 16],
        [b"data: " + 16 * MEGABYTE],
    ],
    ids=["one line", "many lines", "one read"],
)
def test_one_event_is_not_read_for_ever(pieces: list[bytes]) -> None:
    """A broken server cannot fill the memory with one event; what had come is on the error."""
    assert len(MEGABYTE) * 16 == MAX_EVENT_BYTES
    builder = ReplyBuilder()
    assert [chunk.text for chunk in feed_all(builder, [event(delta("Hi")), *pieces])] == ["Hi"]
    error = error_of(builder, StreamInterruptedError)
    assert str(error).startswith(f"an event is larger than {MAX_EVENT_BYTES} bytes;")
    assert error.reply.text == "Hi"


def test_an_event_that_is_too_large_follows_others_of_the_same_read() -> None:
    """The events before it are handed out, and the error comes at the end too, as a MillisError."""
    builder = ReplyBuilder()
    huge = b"data: " + 16 * MEGABYTE + b"\n"
    assert [chunk.text for chunk in builder.feed(event(delta("Hi")) + huge)] == ["Hi"]
    assert list(builder.end()) == []
    assert str(error_of(builder, StreamInterruptedError)).startswith("an event is larger than")


def test_a_first_event_that_is_too_large_is_an_unexpected_response() -> None:
    """Nothing had come, so there is nothing to hand over but the start of it."""
    builder = ReplyBuilder()
    assert read_all(builder, b"data: " + 16 * MEGABYTE) == []
    error = error_of(builder, UnexpectedResponseError)
    assert str(error).startswith("the response is not an event stream: no event in 1048576 bytes")
    assert error.body == "data: " + "x" * (BODY_START - 6)


def test_a_stream_that_was_left_has_no_limits_any_more() -> None:
    """What still comes after the caller left is neither read nor complained of."""
    builder = ReplyBuilder()
    builder.close()
    assert feed_all(builder, [2 * MEGABYTE, b"data: " + 16 * MEGABYTE, b"\n\n"]) == []


def test_a_long_json_body_shows_its_reason() -> None:
    """The reason may stand behind more than the error keeps of the body."""
    body = json.dumps({"trace": "x" * 5000, "detail": "Agent not found"}).encode()
    error = play([body]).error
    assert isinstance(error, UnexpectedResponseError)
    assert str(error) == "the response is not an event stream: Agent not found"
    assert len(error.body) == BODY_START


@pytest.mark.parametrize("number", ["9" * 5000, "-" + "9" * 5000, "1e999", "NaN", "Infinity"])
def test_numbers_beyond_all_bounds_harm_nothing(number: str) -> None:
    """A chunk with a number that cannot be an int is a chunk, and its JSON no text."""
    stream = b'data: {"n":%s,"choices":[{"delta":{"content":"Hi"}}]}\n\n' % number.encode()
    assert play([stream]).text() == "Hi"


def test_json_that_is_nested_too_deeply_ends_in_no_recursion_error() -> None:
    """After an object it is a chunk without text, as other JSON that cannot be read."""
    deep = b'{"choices":' + b"[" * 100_000
    outcome = play([event(delta("Hi")) + b"data: " + deep + b"\n\n"])
    assert [chunk.text for chunk in outcome.chunks] == ["Hi", ""]
    assert outcome.chunks[1].data == deep.decode()


def test_bytes_that_are_no_utf8_are_shown_as_such() -> None:
    """A letter that came broken costs that letter."""
    assert play([b'data: {"choices":[{"delta":{"content":"caf\xe9!"}}]}\n\n']).text() == "caf\ufffd!"


# Secrets.

KEY = "k3Y" * 10


@pytest.mark.parametrize(
    "stream",
    [
        "bad key {key}",
        '{{"detail":"bad key {key}"}}',
        "<html>{key}",
        'data: {{"error":"bad key {key}"}}\n\n',
        'data: {{"error":{{"message":"x","key":"{key}"}}}}\n\n',
        'data: {{"error":{{"{key}":1}}}}\n\n',
        "event: error\ndata: bad key {key}\n\n",
        'event: error\ndata: "{key}"\n\n',
        "event: error\ndata: {{{key}}}\n\n",
        'data: {{"choices":[]}}\n\ndata: bad key {key}',
        "data: {key}",
        'data: {{"choices":[],"id":"{key}"}}\n\n',
        "data: " + "{key} " * 100,
    ],
)
def test_an_error_holds_no_key(stream: str) -> None:
    """A service that echoes the key puts it into no message, reply, body, payload or cause."""
    builder = ReplyBuilder(redact=Secret(KEY).redact)
    read_all(builder, stream.format(key=KEY).encode())
    error = error_of(builder, MillisError)
    assert not leaks.places(error, KEY)
    assert "****" in repr(vars(error)) + str(error)


def test_an_error_whose_json_does_not_survive_redaction_is_kept_as_text() -> None:
    """A key of digits alone, sent back as a number, leaves no JSON."""
    builder = ReplyBuilder(redact=Secret("1234567890").redact)
    assert list(builder.feed(b'data: {"error":{"key":1234567890}}\n\n')) == []
    assert error_of(builder, StreamFailedError).error == '{"error":{"key":****}}'
