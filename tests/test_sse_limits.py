"""The SSE decoder on hostile streams: the size limit of an event, the work per byte, and the memory."""

from __future__ import annotations

import asyncio
import copy
import itertools
import pickle
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterable
from io import BytesIO

import pytest
from sse_helpers import Outcome, chunks_of, cut, outcome, peak_of

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
    """A line of any kind, with or without its end, may have exactly as many bytes as the limit."""
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
    """The limit applies to the sum of all known fields of an event, without line ends."""
    stream = fields.replace(b"|", end) + end + end
    size = len(fields.replace(b"|", b""))
    for chunks in ([stream], cut(stream, 1), cut(stream, 7)):
        assert not outcome(chunks, limit=size).too_large
        assert outcome(chunks, limit=size - 1).too_large


def test_a_blank_line_resets_the_count() -> None:
    """The count starts again after each blank line, whether or not it dispatches an event."""
    stream = b"data: 12345\n\n" * 3 + b"event: 1234\n\nid: 1234567\n\n" * 3
    for chunks in ([stream], cut(stream, 1), cut(stream, 13)):
        assert [event.data for event in outcome(chunks, limit=11).events] == ["12345"] * 3
        assert not outcome(chunks, limit=11).too_large


def test_ignored_lines_do_not_count() -> None:
    """Any number of comments and unknown fields adds nothing to the size of an event."""
    stream = b"data: 1\n" + b": 345678901234\nunknown: 01234\n" * 50 + b"data: 2\n\n"
    for chunks in ([stream], cut(stream, 1), cut(stream, 7)):
        assert outcome(chunks, limit=14) == Outcome([ServerSentEvent(data="1\n2")])


def test_the_byte_order_mark_does_not_count() -> None:
    """The BOM is not part of a line."""
    stream = b"\xef\xbb\xbfdata: 1\n\n"
    for chunks in ([stream], cut(stream, 1)):
        assert outcome(chunks, limit=7) == Outcome([ServerSentEvent(data="1")])


def test_events_before_an_error_are_not_lost() -> None:
    """The decoder returns the complete events first, and the next call raises."""
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
def test_a_failed_decoder_keeps_raising(too_large: bytes, more: bytes) -> None:
    """A decoder that has raised raises again for any input."""
    decoder = SSEDecoder(max_event_bytes=10)
    assert decoder.feed(b"data: a\n\n") == [ServerSentEvent(data="a")]
    for chunk in (too_large, more, more):
        with pytest.raises(EventTooLargeError):
            decoder.feed(chunk)
    with pytest.raises(EventTooLargeError):
        decoder.end()


def test_an_error_without_events_is_raised_at_once() -> None:
    """Without complete events before it, the error is raised by the same call."""
    with pytest.raises(EventTooLargeError):
        SSEDecoder(max_event_bytes=10).feed(b"data: 12345")


def test_the_end_does_not_hide_the_error() -> None:
    """If the stream ends directly after an event that is too large, the error is still raised."""
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


def test_a_cut_off_line_counts_toward_the_limit() -> None:
    """A line that the end of the stream cuts off counts together with the fields before it."""
    assert outcome([b"data: 1\ndata: 2"], limit=14) == Outcome([], ServerSentEvent(data="1\n2"))
    assert outcome([b"data: 1\ndata: 2"], limit=13).too_large


def test_the_error_names_the_limit() -> None:
    """The error is a ValueError, shows the limit, and can be pickled and copied."""
    error = EventTooLargeError(10)
    assert isinstance(error, ValueError)
    for same in (error, pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert same.limit == 10
        assert "exceeds 10 bytes" in str(same)


def test_the_default_limit_is_16_mib() -> None:
    """An event of exactly 16 MiB is accepted, and one more byte is an error."""
    text = "a" * (16 * 1024 * 1024 - len("data: "))
    assert outcome([f"data: {text}\n\n".encode()]).events == [ServerSentEvent(data=text)]
    assert outcome([f"data: {text}a\n\n".encode()]).too_large
    assert list(decode([f"data: {text}\n\n".encode()])) == [ServerSentEvent(data=text)]


# --- Work


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterable[bytes]], int]:
    """Return a function that counts the bytes read from the decoder's buffers."""
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
    "a long line in single bytes": lambda n: list(chunks_of(b"data: " + b"a" * n + b"\n\n", 1)),
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
@pytest.mark.untraced
def test_the_work_grows_linearly_with_the_stream(
    work: Callable[[Iterable[bytes]], int], shape: Callable[[int], list[bytes]]
) -> None:
    """The decoder reads every byte at most four times, for lines and events of any length."""
    assert 2**16 < work(shape(2**17)) < 4 * 2**17


@pytest.mark.untraced
def test_a_1_mib_line_can_arrive_in_single_bytes() -> None:
    """Chunks of one byte produce the same event."""
    text = "0123456789abcdef" * 2**16
    assert outcome(chunks_of(f"data: {text}\n\n".encode(), 1)).events == [ServerSentEvent(data=text)]


# --- Memory


@pytest.mark.untraced
def test_the_memory_for_a_200_mb_stream_is_bounded() -> None:
    """200 MB of events that cross the chunk boundaries take less than 1 MB."""
    events = (b"data: " + b"a" * 4088 + b"\n\n") * 16
    chunk = events[1000:] + events[:1000]
    count = 0

    def run() -> None:
        nonlocal count
        count = sum(1 for _ in decode(itertools.repeat(chunk, 3125)))

    assert peak_of(run) < 1_000_000
    assert len(chunk) * 3125 > 200_000_000
    assert count == 3125 * 16 - 1  # the first and the last event are incomplete


@pytest.mark.untraced
def test_an_event_of_100_000_lines_takes_no_extra_memory() -> None:
    """The decoder stores the lines of an event as bytes, not as one object per line."""
    stream = b"".join(b"data: line %d\n" % n for n in range(100_000)) + b"\n"
    text = "\n".join(f"line {n}" for n in range(100_000))
    result = Outcome([])

    def run() -> None:
        nonlocal result
        result = outcome(chunks_of(stream, 4096))

    assert peak_of(run) < 3 * len(stream)
    assert result == Outcome([ServerSentEvent(data=text)])


@pytest.mark.untraced
def test_decode_splits_a_huge_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory that `decode()` uses does not depend on the size of the chunks."""
    monkeypatch.setattr(sse, "_PART_BYTES", 2**14)
    chunk = b"data: 0123456789\n\n" * 2**16
    assert peak_of(lambda: sum(1 for _ in decode([chunk]))) < len(chunk) / 4


@pytest.mark.parametrize(
    "chunk",
    [b"a" * 4096, b": " + b"a" * 4094, b"data: aaaaaa\n" * 300, b"id: 1\nevent: e\nretry: 1\n" * 200],
    ids=["a line", "another line", "data lines", "other fields"],
)
@pytest.mark.untraced
def test_an_endless_event_raises_an_error(chunk: bytes) -> None:
    """A server that never ends a line or an event is stopped at the limit and cannot fill the memory."""
    result = Outcome([])

    def run() -> None:
        nonlocal result
        result = outcome(itertools.repeat(chunk), limit=2**18)

    assert peak_of(run) < 2**20
    assert result == Outcome([], too_large=True)


@pytest.mark.parametrize("chunk", [b"a" * 4096, b"data: aaaaaa\n" * 300], ids=["a line", "data lines"])
@pytest.mark.untraced
def test_an_error_frees_the_memory(chunk: bytes) -> None:
    """A failed decoder that stays referenced, for example by a traceback, holds less than 64 KiB."""
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
