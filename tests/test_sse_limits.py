"""The SSE decoder on hostile streams: the limit of one event, the work for each byte, and the memory."""

from __future__ import annotations

import asyncio
import copy
import itertools
import pickle
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterable
from io import BytesIO

import pytest
from sse_helpers import Outcome, cut, outcome, peak_of, pieces

from millis_wrapper import sse
from millis_wrapper.sse import EventTooLargeError, ServerSentEvent, SSEDecoder, adecode, decode

# --- Limits

LINES_OF_20_BYTES = {
    "data": b"data: 12345678901234",
    "data without a space": b"data:123456789012345",
    "event": b"event: 1234567890123",
    "id": b"id: 1234567890123456",
    "retry": b"retry: 1234567890123",
    "unknown": b"12345678901234567890",
    "unknown with a colon": b"unknown: 12345678901",
    "comment": b": 123456789012345678",
}


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n"])
@pytest.mark.parametrize("line", LINES_OF_20_BYTES.values(), ids=LINES_OF_20_BYTES.keys())
def test_a_line_may_be_as_long_as_the_limit(line: bytes, end: bytes) -> None:
    """A line of any kind, ended or not, may have as many bytes as the limit says, and not one more."""
    for at in range(len(line + end) + 1):
        chunks = [(line + end)[:at], (line + end)[at:]]
        assert not outcome(chunks, limit=20).too_large
        assert outcome(chunks, limit=19) == Outcome([], too_large=True)
        assert not outcome([b"\n", *chunks], limit=20).too_large
        assert outcome([b"\n", *chunks], limit=19) == Outcome([], too_large=True)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize(
    "fields",
    [
        b"data: 123456|data: 12",
        b"event: 1234|id: 12345",
        b"retry: 1234567|id: 1",
        b"data|data|data|data|data",
    ],
)
def test_the_fields_of_an_event_add_up(fields: bytes, end: bytes) -> None:
    """All known fields of one event count together, without their line ends."""
    stream = fields.replace(b"|", end) + end + end
    size = len(fields.replace(b"|", b""))
    for chunks in ([stream], cut(stream, 1), cut(stream, 7)):
        assert not outcome(chunks, limit=size).too_large
        assert outcome(chunks, limit=size - 1).too_large


def test_each_event_has_the_limit_to_itself() -> None:
    """A blank line begins the count anew, whether it dispatched an event or not."""
    stream = b"data: 12345\n\n" * 3 + b"event: 1234\n\nid: 1234567\n\n" * 3
    for chunks in ([stream], cut(stream, 1), cut(stream, 13)):
        assert [event.data for event in outcome(chunks, limit=11).events] == ["12345"] * 3
        assert not outcome(chunks, limit=11).too_large


def test_ignored_lines_do_not_count() -> None:
    """Comments and unknown fields add nothing to an event, however many they are."""
    stream = b"data: 1\n" + b": 345678901234\nunknown: 01234\n" * 50 + b"data: 2\n\n"
    for chunks in ([stream], cut(stream, 1), cut(stream, 7)):
        assert outcome(chunks, limit=14) == Outcome([ServerSentEvent(data="1\n2")])


def test_the_byte_order_mark_does_not_count() -> None:
    """The bytes of the BOM belong to no line."""
    stream = b"\xef\xbb\xbfdata: 1\n\n"
    for chunks in ([stream], cut(stream, 1)):
        assert outcome(chunks, limit=7) == Outcome([ServerSentEvent(data="1")])


def test_events_before_an_error_are_not_lost() -> None:
    """Events that were complete are returned first; then the next call raises."""
    decoder = SSEDecoder(max_event_bytes=10)
    assert decoder.feed(b"data: a\n\ndata: bb\n\ndata: 12345") == [
        ServerSentEvent(data="a"),
        ServerSentEvent(data="bb"),
    ]
    with pytest.raises(EventTooLargeError):
        decoder.feed(b"data: c\n\n")


@pytest.mark.parametrize(
    "too_large", [b"data: 12345", b"data: 12345\n", b"data: 12345\n\n", b": 1234567890\n"]
)
@pytest.mark.parametrize("more", [b"", b"\n", b"\n\ndata: a\n\n", b"data: a\n\n", b"\r\rdata: a\r\r"])
def test_nothing_comes_after_an_error(too_large: bytes, more: bytes) -> None:
    """A decoder that has raised raises again, whatever it is fed."""
    decoder = SSEDecoder(max_event_bytes=10)
    assert decoder.feed(b"data: a\n\n") == [ServerSentEvent(data="a")]
    for chunk in (too_large, more, more):
        with pytest.raises(EventTooLargeError):
            decoder.feed(chunk)
    with pytest.raises(EventTooLargeError):
        decoder.end()


def test_an_error_without_events_is_raised_at_once() -> None:
    """Nothing has to be fed on, or ended, to learn of the error."""
    with pytest.raises(EventTooLargeError):
        SSEDecoder(max_event_bytes=10).feed(b"data: 12345")


def test_the_end_does_not_hide_the_error() -> None:
    """A stream that ends right behind its too large event is not taken for a good one."""
    stream = b"data: a\n\ndata: 12345\n\n"
    events = decode([stream], max_event_bytes=10)
    assert next(events) == ServerSentEvent(data="a")
    with pytest.raises(EventTooLargeError):
        next(events)


def test_adecode_has_the_same_limit() -> None:
    """The async generator raises the same error after the same events."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"data: a\n\ndata: 12345\n\n"

    async def take() -> None:
        events = aiter(adecode(chunks(), max_event_bytes=10))
        assert await anext(events) == ServerSentEvent(data="a")
        with pytest.raises(EventTooLargeError):
            await anext(events)

    asyncio.run(take())


def test_the_last_line_may_break_the_limit_of_its_event() -> None:
    """A line that the end cut off counts with the fields before it."""
    assert outcome([b"data: 1\ndata: 2"], limit=14) == Outcome([], ServerSentEvent(data="1\n2"))
    assert outcome([b"data: 1\ndata: 2"], limit=13).too_large


def test_the_error_names_the_limit() -> None:
    """The error is a ValueError that says how much is allowed and what to change, and can be pickled."""
    error = EventTooLargeError(10)
    assert isinstance(error, ValueError)
    for same in (error, pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert same.limit == 10
        assert "exceeds 10 bytes" in str(same)


def test_the_limit_is_16_mib_by_default() -> None:
    """One event may hold 16 MiB, and not one byte more."""
    text = "a" * (16 * 1024 * 1024 - len("data: "))
    assert outcome([f"data: {text}\n\n".encode()]).events == [ServerSentEvent(data=text)]
    assert outcome([f"data: {text}a\n\n".encode()]).too_large
    assert list(decode([f"data: {text}\n\n".encode()])) == [ServerSentEvent(data=text)]


# --- Work


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterable[bytes]], int]:
    """Counts the bytes that are read from the decoder's buffers."""
    total = 0

    class CountingBuffer(bytearray):
        def __bytes__(self) -> bytes:
            nonlocal total
            total += len(self)
            return memoryview(self).tobytes()

        def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
            nonlocal total
            total += len(self)
            return super().decode(encoding, errors)

    def counting_bytes_io(data: bytes) -> BytesIO:
        nonlocal total
        total += len(data)
        return BytesIO(data)

    monkeypatch.setattr(sse, "bytearray", CountingBuffer, raising=False)
    monkeypatch.setattr(sse, "BytesIO", counting_bytes_io)

    def measure(chunks: Iterable[bytes]) -> int:
        nonlocal total
        total = 0
        outcome(chunks)
        return total

    return measure


SHAPES: dict[str, Callable[[int], list[bytes]]] = {
    "a long line in single bytes": lambda n: list(pieces(b"data: " + b"a" * n + b"\n\n", 1)),
    "a long line in small chunks": lambda n: [b"data: ", *[b"a" * 16] * (n // 16), b"\n\n"],
    "a long line after another field": lambda n: [b"event: e\ndata: ", *[b"a" * 16] * (n // 16), b"\n\n"],
    "a long comment": lambda n: [b": ", *[b"a" * 16] * (n // 16), b"\n\n"],
    "a long line that never ends": lambda n: [b"data: ", *[b"a" * 16] * (n // 16)],
    "many lines in one event": lambda n: [*[b"a\ndata: aaaaaaaa"] * (n // 16), b"\n\n"],
    "many lines in one event, by CRs": lambda n: [*[b"a\r\ndata: aaaaaaa"] * (n // 16), b"\r\n\r\n"],
    "many small events": lambda n: [b"a\n\ndata: aaaaaaa"] * (n // 16),
    "many comments": lambda n: [b"aa\n: aaaaaaaaaaa"] * (n // 16),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_work_grows_like_the_stream(
    work: Callable[[Iterable[bytes]], int], shape: Callable[[int], list[bytes]]
) -> None:
    """No byte is looked at more than a few times, however long the line or the event it stands in."""
    assert 2**16 < work(shape(2**17)) < 4 * 2**17


def test_a_1_mib_line_in_single_bytes() -> None:
    """The smallest chunks there are give the same event."""
    text = "0123456789abcdef" * 2**16
    assert outcome(pieces(f"data: {text}\n\n".encode(), 1)).events == [ServerSentEvent(data=text)]


# --- Memory


def test_a_200_mb_stream_leaves_no_trace() -> None:
    """Memory stays below a MB for 200 MB of events that lie across the chunks' borders."""
    events = (b"data: " + b"a" * 4088 + b"\n\n") * 16
    chunk = events[1000:] + events[:1000]
    count = 0

    def run() -> None:
        nonlocal count
        count = sum(1 for _ in decode(itertools.repeat(chunk, 3125)))

    assert peak_of(run) < 1_000_000
    assert len(chunk) * 3125 > 200_000_000
    assert count == 3125 * 16 - 1  # the first is cut off at its start, and so is the last at its end


def test_an_event_of_100_000_lines_takes_its_size() -> None:
    """The lines of an event are held as bytes, not as so many objects."""
    stream = b"".join(b"data: line %d\n" % n for n in range(100_000)) + b"\n"
    text = "\n".join(f"line {n}" for n in range(100_000))
    result = Outcome([])

    def run() -> None:
        nonlocal result
        result = outcome(pieces(stream, 4096))

    assert peak_of(run) < 3 * len(stream)
    assert result == Outcome([ServerSentEvent(data=text)])


def test_a_huge_chunk_is_not_turned_into_events_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """decode() takes a huge chunk in parts, so that its memory does not depend on the size of the chunks."""
    monkeypatch.setattr(sse, "_PART_BYTES", 2**14)
    chunk = b"data: 0123456789\n\n" * 2**16
    assert peak_of(lambda: sum(1 for _ in decode([chunk]))) < len(chunk) / 4


@pytest.mark.parametrize(
    "chunk",
    [b"a" * 4096, b": " + b"a" * 4094, b"data: aaaaaa\n" * 300, b"id: 1\nevent: e\nretry: 1\n" * 200],
    ids=["a line", "another line", "data lines", "other fields"],
)
def test_an_endless_event_ends_in_an_error(chunk: bytes) -> None:
    """A server that never ends its line, or its event, is stopped at the limit and cannot fill the memory."""
    result = Outcome([])

    def run() -> None:
        nonlocal result
        result = outcome(itertools.repeat(chunk), limit=2**18)

    assert peak_of(run) < 2**20
    assert result == Outcome([], too_large=True)


@pytest.mark.parametrize("chunk", [b"a" * 4096, b"data: aaaaaa\n" * 300], ids=["a line", "data lines"])
def test_an_error_frees_the_memory(chunk: bytes) -> None:
    """A decoder that is kept after its error, in a traceback for instance, holds nothing large."""
    decoder = SSEDecoder(max_event_bytes=2**18)

    def feed_for_ever() -> None:
        for same in itertools.repeat(chunk):
            decoder.feed(same)

    tracemalloc.start()
    try:
        with pytest.raises(EventTooLargeError):
            feed_for_ever()
        assert tracemalloc.get_traced_memory()[0] < 2**16
    finally:
        tracemalloc.stop()
