"""Any input gives a result or one of our own errors.

Every run tests the same small number of examples, so that CI is fast and reproducible. MILLIS_FUZZ=100000
tests that many random examples.
"""

from __future__ import annotations

import copy
import json
import os
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import leaks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paths import EXAMPLES
from random_input import KEY, as_json, bodies, duplicate_bodies, streams, values

from millis_wrapper._json import NOT_JSON, is_object, read_json
from millis_wrapper._key import Secret
from millis_wrapper._text import escape_control_characters, shorten
from millis_wrapper.chat import ReplyBuilder
from millis_wrapper.errors import APIStatusError, MillisError, StreamError, UnexpectedResponseError
from millis_wrapper.response import error_for_status, read_duplicated_agent, read_moment
from millis_wrapper.results import ChatReply, DuplicatedAgent
from millis_wrapper.retry import parse_retry_after

FUZZ = int(os.environ.get("MILLIS_FUZZ", "0"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)

bounded = settings(
    max_examples=FUZZ or 60,
    derandomize=not FUZZ,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

T = TypeVar("T")


def result_or_error(function: Callable[[], T]) -> T | MillisError:
    """Return the result or our own error. Any other exception fails the test."""
    try:
        return function()
    except MillisError as error:
        assert_well_made(error)
        return error


def assert_well_made(error: MillisError) -> None:
    """Assert that an error can be printed, encoded, pickled and copied, and does not contain the key."""
    assert escape_control_characters(str(error)) == str(error)
    assert "\n" not in str(error)
    str(error).encode()
    assert 0 < len(str(error)) < 3000
    assert not leaks.places(error, KEY)
    for copied in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(copied) is type(error)
        assert repr(vars(copied)) == repr(vars(error))


def read_stream(pieces: list[bytes]) -> tuple[str, ChatReply | MillisError]:
    builder = ReplyBuilder(redact=Secret(KEY).redact)
    text: list[str] = []

    def read() -> ChatReply:
        for piece in pieces:
            text.extend(chunk.text for chunk in builder.feed(piece))
        text.extend(chunk.text for chunk in builder.end())
        return builder.final_reply()

    outcome = result_or_error(read)
    assert builder.state != "open"
    return "".join(text), outcome


def state(outcome: ChatReply | MillisError) -> str:
    return repr(outcome) if isinstance(outcome, ChatReply) else repr((outcome, vars(outcome)))


@given(stream=streams | st.binary(max_size=300), at=st.integers(0, 2000))
@bounded
def test_any_bytes_are_a_reply_or_an_error(stream: bytes, at: int) -> None:
    """The outcome does not depend on the split of the stream."""
    if KEY.encode() in stream:
        stream = stream.replace(KEY.encode(), b"")  # a reply may contain the key; only errors are checked
    text, complete = read_stream([stream])
    reply = complete.reply if isinstance(complete, StreamError) else complete
    if isinstance(reply, ChatReply):
        assert reply.text in (
            text,
            text + "\ufffd",
        )  # a lone surrogate at the end does not become a chunk
        json.dumps(reply.message).encode()
    at %= len(stream) + 1
    for pieces in ([stream[:at], stream[at:]], [bytes([byte]) for byte in stream]):
        again, outcome = read_stream(pieces)
        assert (again, state(outcome)) == (text, state(complete))


@given(body=bodies)
@bounded
def test_any_body_that_is_not_a_stream_is_an_error_without_the_key(body: bytes) -> None:
    """The error shows the body of a 200 response, with the key redacted."""
    read_stream([body, b"\nevent: error\ndata: " + body.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n\n"])


@given(
    status=st.integers(300, 599),
    body=bodies,
    retry_after=st.none() | st.text(max_size=40) | st.from_regex(r"[A-Za-z0-9:, .-]{0,40}", fullmatch=True),
    operation=st.sampled_from(["chat", "duplicate"]),
)
@bounded
def test_any_status_with_any_body_is_an_error(
    status: int, body: bytes, retry_after: str | None, operation: Any
) -> None:
    """Parsing an error response never raises another exception."""
    headers = {} if retry_after is None else {"retry-after": retry_after}
    hidden = Secret(KEY).redact(body)
    error = error_for_status(operation, status, hidden, headers=headers, now=NOW)
    assert isinstance(error, APIStatusError)
    assert error.status_code == status
    assert error.retry_after is None or error.retry_after >= 0
    assert_well_made(error)


@given(body=duplicate_bodies)
@bounded
def test_any_response_is_a_copy_or_an_error(body: bytes) -> None:
    """For a JSON object with an id, the copy has the id and the complete config."""
    agent = result_or_error(lambda: read_duplicated_agent(body, redact=Secret(KEY).redact))
    value = read_json(body, deep_as_text=True)
    if isinstance(agent, DuplicatedAgent):
        assert repr(agent.raw) == repr(value)
        if agent.config is not None:
            written = json.dumps(agent.config.to_dict(), sort_keys=True)
            assert written == json.dumps(value["config"], sort_keys=True)
    else:
        assert isinstance(agent, UnexpectedResponseError)
        assert not (is_object(value) and isinstance(value.get("id"), str) and value["id"])


FULL = json.loads((EXAMPLES / "agent-full.json").read_text())


@given(
    config=st.dictionaries(st.sampled_from(sorted(FULL["config"])), values, max_size=4),
    created_at=values,
    name=values,
)
@bounded
def test_any_config_is_returned_unchanged(config: dict[str, Any], created_at: Any, name: Any) -> None:
    """Known keys may have any values, which are not lost or converted."""
    response = {"id": "x", "config": config, "created_at": created_at, "name": name}
    agent = read_duplicated_agent(as_json(response))
    assert agent.id == "x"
    assert agent.config is not None
    assert json.dumps(agent.config.to_dict(), sort_keys=True) == json.dumps(config, sort_keys=True)
    assert json.dumps(agent.raw) == json.dumps(response)


@given(
    value=values | st.text() | st.datetimes().map(str) | st.from_regex(r"[0-9TZ:.+-]{0,30}", fullmatch=True)
)
@bounded
def test_any_value_is_a_time_or_none(value: Any) -> None:
    """A time that cannot be parsed is None."""
    moment = read_moment(value)
    assert moment is None or moment.tzinfo is UTC


@given(
    value=st.text(max_size=80)
    | st.from_regex(r"(Mon|Tue)[a-z]{0,3}[, ]{1,2}[A-Za-z0-9 :-]{0,40}", fullmatch=True)
)
@bounded
def test_any_retry_after_is_a_delay_or_none(value: str) -> None:
    """A Retry-After that cannot be parsed is None."""
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or seconds >= 0


@given(data=bodies | st.text(max_size=200))
@bounded
def test_any_json_value_can_be_written_copied_and_pickled(data: bytes | str) -> None:
    """Text that is not JSON returns NOT_JSON and never raises."""
    value = read_json(data)
    if value is not NOT_JSON:
        assert repr(copy.deepcopy(value)) == repr(pickle.loads(pickle.dumps(value))) == repr(value)
        json.dumps(value)


@given(text=st.text(), limit=st.integers(1, 40))
@bounded
def test_any_text_can_be_shortened(text: str, limit: int) -> None:
    """The result is one printable line of limited length that can be encoded."""
    line = shorten(text, limit)
    assert len(line) <= limit
    assert escape_control_characters(line) == line
    assert not {"\n", "\t"} & set(line)
    line.encode()


def test_the_number_of_examples_is_limited_by_default() -> None:
    """Without MILLIS_FUZZ, every run tests the same examples."""
    assert (bounded.max_examples, bounded.derandomize) == (FUZZ or 60, not FUZZ)
