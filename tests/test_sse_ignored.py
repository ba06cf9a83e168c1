"""The SSE decoder ignores lines with unknown fields, as the standard requires. On request it returns them."""

from __future__ import annotations

import itertools

import pytest
from sse_helpers import cut, outcome, peak_of

from millis_wrapper.sse import ServerSentEvent, SSEDecoder


def events_of(*chunks: bytes) -> list[ServerSentEvent]:
    """Return the events and the ignored lines of a stream, with the event that its end cut off."""
    decoder = SSEDecoder(with_ignored_lines=True)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    while (last := decoder.end()) is not None:
        events.append(last)
    return events


@pytest.mark.parametrize(
    ("stream", "lines"),
    [
        (b"", []),
        (b"data: a\nevent: b\nid: 1\nretry: 2\n\n", []),
        (b"data\nevent\nid\nretry\n\n", []),
        (b"retry: soon\nid: \x00\n\n", []),
        (b": a comment\n:\n\n", []),
        (b'error: {"code":500}\n', ['error: {"code":500}']),
        (b'{"error":"x"}\n', ['{"error":"x"}']),
        (b"Data: a\n data: b\ndata : c\n", ["Data: a", " data: b", "data : c"]),
        (b"<html>\n\n<p>caf\xe9</p>\r\n\r\n", ["<html>", "<p>caf\ufffd</p>"]),
        (b"data: a\nx\ndata: b\n\ny:\rz", ["x", "y:", "z"]),
        (b"\xef\xbb\xbfx: 1\n", ["x: 1"]),
    ],
)
def test_lines_of_unknown_fields_are_events_without_a_name(stream: bytes, lines: list[str]) -> None:
    """Lines with known fields and comments are dropped. The result does not depend on the split."""

    def ignored_of(*chunks: bytes) -> list[str]:
        return [event.data for event in events_of(*chunks) if not event.event]

    assert ignored_of(stream) == lines
    assert ignored_of(*cut(stream, 1)) == lines
    for at in range(len(stream) + 1):
        assert ignored_of(stream[:at], stream[at:]) == lines


def test_ignored_lines_are_returned_in_their_place_among_the_events() -> None:
    """A line inside of an event comes before the event."""
    stream = b"a\ndata: 1\nb\n\nc\ndata: 2\n\nd\ndata: 3\ne\n"
    for chunks in ([stream], cut(stream, 1)):
        assert [event.data for event in events_of(*chunks)] == ["a", "b", "1", "c", "2", "d", "e", "3"]


def test_a_last_line_with_an_unknown_field_follows_the_event_that_the_end_cut_off() -> None:
    """The data of the event is not lost, and does not contain the line."""
    assert events_of(b"data: 1\n<html>") == [ServerSentEvent(data="1"), ServerSentEvent("", "<html>")]


def test_the_beginning_of_a_field_name_is_not_an_ignored_line() -> None:
    """A last line that the end cut off inside the name of a field belongs to the event before it."""
    assert events_of(b"data: 1\nda") == [ServerSentEvent(data="1")]


@pytest.mark.parametrize("end", [b"", b"\nx"])
def test_ignored_lines_do_not_change_an_event(end: bytes) -> None:
    """Without the option, an event contains only its known fields, as the standard requires."""
    stream = b'data: a\nerror: x\n{"data":"y"}\ndata: b\nerror'
    for chunks in ([stream + end], cut(stream + end, 1)):
        assert outcome(chunks).unfinished == ServerSentEvent(data="a\nb")
    for chunks in ([stream + b"\n\n"], cut(stream + b"\n\n", 1)):
        assert outcome(chunks).events == [ServerSentEvent(data="a\nb")]


@pytest.mark.untraced
@pytest.mark.parametrize("line", [b"x", b"xy", b"x: y", b"x: " + b"y" * 1000])
@pytest.mark.parametrize("with_ignored_lines", [False, True])
def test_the_memory_for_ignored_lines_is_bounded(line: bytes, with_ignored_lines: bool) -> None:
    """The decoder does not keep comments and unknown fields."""
    chunk = (b":\n%s\n\n" % line) * (64 * 1024 // (len(line) + 4))

    def peak(chunks: int) -> int:
        decoder = SSEDecoder(max_event_bytes=2000, with_ignored_lines=with_ignored_lines)
        return peak_of(lambda: [len(decoder.feed(each)) for each in itertools.repeat(chunk, chunks)])

    assert peak(16) < peak(2) + len(chunk) * 4
