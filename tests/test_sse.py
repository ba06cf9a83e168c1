"""The SSE decoder follows the standard for every split of a stream. test_sse_limits.py tests its limits."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, NamedTuple

import paths
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sse_helpers import Outcome, cut, cut_after_blank_lines, outcome
from sse_reference import reference_events, utf8_decode

from millis_wrapper.sse import ServerSentEvent, SSEDecoder, adecode, decode


class Case(NamedTuple):
    stream: bytes
    events: list[ServerSentEvent]
    unfinished: ServerSentEvent | None


def load_cases() -> Iterator[Any]:
    for path in sorted((paths.CORPUS / "sse").glob("*.json")):
        for case in json.loads(path.read_text("utf-8"))["cases"]:
            parts = [case["stream"]] if isinstance(case["stream"], str) else case["stream"]
            stream = b"".join(
                part.encode() if isinstance(part, str) else bytes.fromhex(part["hex"]) for part in parts
            )
            events = [ServerSentEvent(**event) for event in case["events"]]
            unfinished = ServerSentEvent(**case["unfinished"]) if "unfinished" in case else None
            yield pytest.param(Case(stream, events, unfinished), id=f"{path.stem}: {case['name']}")


each_case = pytest.mark.parametrize("case", list(load_cases()))


async def adecoded(chunks: Iterable[bytes]) -> list[ServerSentEvent]:
    async def achunks() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return [event async for event in adecode(achunks())]


# --- The corpus


@each_case
def test_the_corpus_holds_for_every_split_of_the_stream(case: Case) -> None:
    """The events are identical for one chunk, two chunks, and single bytes with or without empty chunks."""
    expected = Outcome(case.events, case.unfinished)
    for at in range(len(case.stream) + 1):
        assert outcome([case.stream[:at], case.stream[at:]]) == expected, at
    assert outcome([case.stream]) == expected
    assert outcome(cut(case.stream, 1)) == expected
    assert outcome(chunk for byte in cut(case.stream, 1) for chunk in (b"", byte, b"")) == expected


@each_case
def test_the_corpus_holds_in_the_middle_of_a_stream(case: Case) -> None:
    """After the start of a stream, where the fast paths apply, all rules except the one for the BOM hold."""
    expected = Outcome(*reference_events(b"\n" + case.stream))
    for at in range(len(case.stream) + 1):
        assert outcome([b"\n", case.stream[:at], case.stream[at:]]) == expected, at


@each_case
def test_the_corpus_holds_for_decode_and_adecode(case: Case) -> None:
    """The generators yield the same events, and drop an event that the end of the stream cuts off."""
    for chunks in ([case.stream], cut(case.stream, 1), cut(case.stream, 3, 2)):
        assert list(decode(chunks)) == case.events
    assert asyncio.run(adecoded([case.stream])) == case.events
    assert asyncio.run(adecoded(cut(case.stream, 1))) == case.events


@each_case
def test_the_reference_agrees_after_every_byte(case: Case) -> None:
    """The reference returns the corpus's events and, for every prefix, the decoder's events."""
    assert reference_events(case.stream) == (case.events, case.unfinished)
    decoder = SSEDecoder()
    events: list[ServerSentEvent] = []
    for end in range(1, len(case.stream) + 1):
        prefix = case.stream[:end]
        events += decoder.feed(prefix[-1:])
        assert (events, outcome([prefix]).unfinished) == reference_events(prefix)


# --- Random streams against the reference

TOKENS = [
    *(
        b"data: a\n\n",
        b"data: b\n\n",
        b"data: c\r\n\r\n",
        b"data: \xe2\x82\xac\n\n",
        b"\n\ndata: ",
        b"\ndata: ",
    ),
    *(b"data", b"event", b"id", b"retry", b"data:", b"data: ", b"event: ", b"id: ", b"retry: ", b"da", b"x"),
    *(b":", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\0", b"\t", b"\v", b"\f", b"0", b"9"),
    *(
        b"\xef\xbb\xbf",
        b"\xef",
        b"\xbb",
        b"\xbf",
        b"\xe2\x80\xa8",
        b"\xc2\x85",
        b"\xf0\x9f\x98\x80",
        b"\xf0\x9f",
    ),
    *(b"\xc3", b"\x80", b"\xed\xa0\x80", b"\xc0\x8a", b"\xff", b"\xf4\x90"),
]
streams = st.lists(st.sampled_from(TOKENS) | st.binary(max_size=3), max_size=40).map(b"".join)
sizes = st.lists(st.integers(1, 20), min_size=1, max_size=6)
# Every run uses the same examples, so that a failure can be reproduced anywhere.
bounded = settings(max_examples=400, derandomize=True, database=None)


@bounded
@given(streams, sizes)
def test_random_streams_agree_with_the_reference(stream: bytes, sizes: list[int]) -> None:
    """The decoder and the slow reference return the same events for random bytes, split anywhere."""
    events, unfinished = reference_events(stream)
    for chunks in ([stream], cut(stream, 1), cut(stream, *sizes), cut_after_blank_lines(stream)):
        assert outcome(chunks) == Outcome(events, unfinished)


@bounded
@given(streams, sizes, st.integers(0, 30))
def test_the_limit_does_not_depend_on_the_chunks(stream: bytes, sizes: list[int], limit: int) -> None:
    """For every split of the stream, the decoder returns the same events before the same error."""
    byte_by_byte = outcome(cut(stream, 1), limit)
    assert outcome([stream], limit) == byte_by_byte
    assert outcome(cut(stream, *sizes), limit) == byte_by_byte
    assert outcome(cut_after_blank_lines(stream), limit) == byte_by_byte
    if not byte_by_byte.too_large:
        assert byte_by_byte == Outcome(*reference_events(stream))


@bounded
@given(st.lists(st.sampled_from(TOKENS) | st.binary(max_size=5)).map(b"".join))
def test_the_reference_decodes_utf8_like_python(stream: bytes) -> None:
    """The Encoding Standard's algorithm and Python's decoder replace the same bytes."""
    assert utf8_decode(stream) == stream.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")


# --- Generators


def test_decode_yields_before_it_requests_more() -> None:
    """An event is yielded as soon as its blank line has arrived, before the next chunk is requested."""
    taken: list[bytes] = []

    def chunks() -> Iterator[bytes]:
        for chunk in (b"data: a\n", b"\ndata: b\r\r", b"\ndata: c\n\ndata: d\n\n"):
            taken.append(chunk)
            yield chunk

    events = decode(chunks())
    seen = [(next(events).data, len(taken)) for _ in range(4)]
    assert seen == [("a", 2), ("b", 2), ("c", 3), ("d", 3)]


def test_adecode_yields_before_it_requests_more() -> None:
    """The async generator also yields an event before it requests the next chunk."""

    async def first_of(chunks: AsyncIterator[bytes]) -> ServerSentEvent:
        return await anext(aiter(adecode(chunks)))

    async def one_then_never() -> AsyncIterator[bytes]:
        yield b"data: a\n\n"
        raise AssertionError("requested another chunk before the first event was yielded")

    assert asyncio.run(first_of(one_then_never())) == ServerSentEvent(data="a")


def test_decode_continues_where_its_caller_stopped() -> None:
    """A caller may stop in the middle of a chunk's events and take the rest later."""
    events = decode([b"id: 1\ndata: a\n\ndata: b\n\ndata: c", b"c\n\n"])
    for event in events:
        assert event == ServerSentEvent(data="a", id="1")
        break
    assert list(events) == [ServerSentEvent(data="b", id="1"), ServerSentEvent(data="cc", id="1")]


def test_decode_propagates_the_error_of_its_source() -> None:
    """A connection error reaches the caller after the events before it."""

    def broken() -> Iterator[bytes]:
        yield b"data: a\n\ndata: b"
        raise ConnectionResetError("gone")

    events = decode(broken())
    assert next(events).data == "a"
    with pytest.raises(ConnectionResetError, match="gone"):
        next(events)


def test_end_returns_the_unfinished_event_once() -> None:
    """The first `end()` returns the event that the end of the stream cut off; the second returns None."""
    decoder = SSEDecoder()
    assert decoder.feed(b"event: e\ndata: a") == []
    assert decoder.end() == ServerSentEvent("e", "a")
    assert decoder.end() is None


# --- The event


def test_an_event_is_a_plain_value() -> None:
    """Events with the same content are equal, hash alike, and survive pickle and copies."""
    event = ServerSentEvent("e", "data", "1", 5)
    assert event == ServerSentEvent(event="e", data="data", id="1", retry=5)
    assert event != ServerSentEvent("e", "data", "1")
    assert hash(event) == hash(ServerSentEvent("e", "data", "1", 5))
    for other in (pickle.loads(pickle.dumps(event)), copy.copy(event), copy.deepcopy(event)):
        assert other == event
        assert type(other) is ServerSentEvent


@pytest.mark.parametrize("stream", [b"data: a\n\n", b"data: a\n\ndata: a\n\n", b"data:a\n\n"])
def test_the_fast_paths_return_complete_events(stream: bytes) -> None:
    """The fast paths and the full path return the same ServerSentEvent."""
    decoder = SSEDecoder()
    decoder.feed(b"\n")  # the fast paths are not used at the start of a stream
    for event in decoder.feed(stream):
        assert type(event) is ServerSentEvent
        assert repr(event) == "ServerSentEvent(event='message', data='a', id='', retry=None)"


@pytest.mark.parametrize("name", ["event", "data", "id", "retry", "other"])
def test_an_event_is_immutable(name: str) -> None:
    """Setting a field or adding an attribute raises AttributeError."""
    event = ServerSentEvent(data="a")
    with pytest.raises(AttributeError):
        setattr(event, name, "b")
    assert not hasattr(event, "__dict__")


# --- Hostile numbers


@pytest.mark.parametrize(
    ("digits", "retry"),
    [
        pytest.param("9" * 640, 10**640 - 1, id="640 digits are read"),
        pytest.param("9" * 641, None, id="641 digits are ignored"),
        pytest.param("1" + "0" * 640, None, id="10 to the 640 is ignored"),
        pytest.param("9" * 100_000, None, id="100000 digits are ignored"),
        pytest.param("0" * 10_000 + "5", 5, id="leading zeros do not count"),
        pytest.param("0" * 10_000, 0, id="zeros only are zero"),
    ],
)
def test_a_retry_of_more_than_640_digits_is_ignored(digits: str, retry: int | None) -> None:
    """Leading zeros do not count, and the result does not depend on the interpreter's own limit."""
    allowed = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        assert list(decode([f"retry: {digits}\ndata: a\n\n".encode()])) == [
            ServerSentEvent(data="a", retry=retry)
        ]
    finally:
        sys.set_int_max_str_digits(allowed)
