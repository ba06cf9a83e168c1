from __future__ import annotations

import json
from typing import TypeVar

import leaks
import pytest
from chat_streams import delta, event, feed_all, play, read_all

from millis_wrapper._key import Secret
from millis_wrapper.chat import MAX_BYTES_BEFORE_FIRST_EVENT, ReplyBuilder
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
    """Return the error that the final reply raises."""
    assert builder.state == "failed"
    with pytest.raises(cls) as caught:
        builder.final_reply()
    return caught.value


# Limits.


def test_a_body_without_events_is_an_error_after_1_mib() -> None:
    """A page or a file instead of a stream is an error, for chunks of any size."""
    builder = ReplyBuilder()
    chunk = b"<p>Hello</p>\n"
    count = MAX_BYTES_BEFORE_FIRST_EVENT // len(chunk)
    assert feed_all(builder, [chunk] * count) == []
    assert builder.state == "open"
    assert feed_all(builder, [chunk]) == []
    error = error_of(builder, UnexpectedResponseError)
    assert f"no event in {MAX_BYTES_BEFORE_FIRST_EVENT} bytes" in str(error)
    assert "<p>Hello</p> <p>" in str(error)
    assert error.body == (chunk * BODY_START)[:BODY_START].decode()


def test_comments_after_the_first_event_are_not_limited() -> None:
    """A stream may keep its connection alive with any number of comments."""
    builder = ReplyBuilder()
    list(builder.feed(event(delta("Hi"))))
    for _ in range(3):
        list(builder.feed(b": ping\n\n" * (MAX_BYTES_BEFORE_FIRST_EVENT // 16)))
    list(builder.end())
    assert builder.final_reply().text == "Hi"


MEGABYTE = b"x" * (1024 * 1024)


@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: ", *[MEGABYTE] * 16],
        [*[b"data: " + MEGABYTE + b"\n"] * 16],
        [b"data: " + 16 * MEGABYTE],
    ],
    ids=["one line", "many lines", "one read"],
)
def test_an_event_that_is_too_large_is_an_error(chunks: list[bytes]) -> None:
    """A single event cannot fill the memory. The error has the text before it."""
    assert len(MEGABYTE) * 16 == MAX_EVENT_BYTES
    builder = ReplyBuilder()
    assert [chunk.text for chunk in feed_all(builder, [event(delta("Hi")), *chunks])] == ["Hi"]
    error = error_of(builder, StreamInterruptedError)
    assert f"larger than {MAX_EVENT_BYTES} bytes" in str(error)
    assert error.reply.text == "Hi"


def test_events_before_an_event_that_is_too_large_are_returned() -> None:
    """The final reply raises a MillisError."""
    builder = ReplyBuilder()
    huge = b"data: " + 16 * MEGABYTE + b"\n"
    assert [chunk.text for chunk in builder.feed(event(delta("Hi")) + huge)] == ["Hi"]
    assert list(builder.end()) == []
    assert "larger than" in str(error_of(builder, StreamInterruptedError))


@pytest.mark.parametrize("line", [b"<" * 70_000, b"<\n" * 70_000], ids=["one line", "many lines"])
def test_a_complete_response_before_many_other_lines_is_not_accepted(line: bytes) -> None:
    """The builder keeps at most 64 KiB of ignored lines, but does not forget that there were more."""
    body = json.dumps({"choices": [{"message": {"content": "Hi"}}]}).encode() + b"\n"
    assert play([body]).text() == "Hi"
    assert isinstance(play([body, line]).error, UnexpectedResponseError)


def test_a_first_event_that_is_too_large_is_an_unexpected_response() -> None:
    """The error has the start of the body."""
    builder = ReplyBuilder()
    assert read_all(builder, b"data: " + 16 * MEGABYTE) == []
    error = error_of(builder, UnexpectedResponseError)
    assert "no event in 1048576 bytes" in str(error)
    assert error.body == "data: " + "x" * (BODY_START - 6)


def test_a_closed_builder_ignores_data() -> None:
    """Data of any size after the close does not cause an error."""
    builder = ReplyBuilder()
    builder.close()
    assert feed_all(builder, [2 * MEGABYTE, b"data: " + 16 * MEGABYTE, b"\n\n"]) == []


def test_a_long_json_body_shows_its_reason() -> None:
    """The message shows the reason even if it is beyond the part of the body that the error keeps."""
    body = json.dumps({"trace": "x" * 5000, "detail": "Agent not found"}).encode()
    error = play([body]).error
    assert isinstance(error, UnexpectedResponseError)
    assert str(error).endswith(": Agent not found")
    assert len(error.body) == BODY_START


@pytest.mark.parametrize("number", ["9" * 5000, "-" + "9" * 5000, "1e999", "NaN", "Infinity"])
def test_a_huge_number_does_not_make_a_chunk_fail(number: str) -> None:
    """A number that Python cannot parse as an int does not turn the JSON into text."""
    stream = b'data: {"n":%s,"choices":[{"delta":{"content":"Hi"}}]}\n\n' % number.encode()
    assert play([stream]).text() == "Hi"


def test_json_that_is_nested_too_deeply_does_not_raise_recursion_error() -> None:
    """After a JSON object, it is a chunk without text, like other malformed JSON."""
    deep = b'{"choices":' + b"[" * 100_000
    outcome = play([event(delta("Hi")) + b"data: " + deep + b"\n\n"])
    assert [chunk.text for chunk in outcome.chunks] == ["Hi", ""]
    assert outcome.chunks[1].data == deep.decode()


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    """An invalid byte becomes U+FFFD, and the other characters are kept."""
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
        'data: {{"choices":[{{"delta":{{"reasoning":"{key}"}}}}]}}\n\ndata: [DONE]\n\n',
        "data: " + "{key} " * 100,
    ],
)
def test_an_error_does_not_contain_the_key(stream: str) -> None:
    """A key that the service echoes is redacted in the message, reply, body, payload and causes."""
    builder = ReplyBuilder(redact=Secret(KEY).redact)
    read_all(builder, stream.format(key=KEY).encode())
    error = error_of(builder, MillisError)
    assert not leaks.places(error, KEY)
    assert "****" in repr(vars(error)) + str(error)


def test_an_error_whose_json_is_invalid_after_redaction_is_kept_as_text() -> None:
    """Redacting a numeric key makes the JSON invalid."""
    builder = ReplyBuilder(redact=Secret("1234567890").redact)
    assert list(builder.feed(b'data: {"error":{"key":1234567890}}\n\n')) == []
    assert error_of(builder, StreamFailedError).error == '{"error":{"key":****}}'
