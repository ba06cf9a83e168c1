"""Lines that the SSE decoder ignores, as the standard says, and that can be asked for."""

from __future__ import annotations

import itertools

import pytest
from sse_helpers import cut, outcome, peak_of

from millis_wrapper.sse import IgnoredLine, ServerSentEvent, SSEDecoder

LIMIT = 64 * 1024


def ignored_of(*chunks: bytes) -> list[str]:
    decoder = SSEDecoder()
    lines: list[str] = []
    for chunk in chunks:
        decoder.feed(chunk)
        lines += [line.text for line in decoder.take_ignored()]
    decoder.end()
    return lines + [line.text for line in decoder.take_ignored()]


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
def test_lines_of_unknown_fields_are_kept(stream: bytes, lines: list[str]) -> None:
    """Only they: neither fields, whatever their values, nor comments; wherever the stream is cut."""
    assert ignored_of(stream) == lines
    assert ignored_of(*cut(stream, 1)) == lines
    for at in range(len(stream) + 1):
        assert ignored_of(stream[:at], stream[at:]) == lines


def test_what_was_taken_is_not_given_again() -> None:
    """Each line is handed over once; what nobody took is forgotten when the next lines come."""
    decoder = SSEDecoder()
    assert decoder.take_ignored() == []
    decoder.feed(b"x: 1\ny: 2\n")
    assert decoder.take_ignored() == [IgnoredLine("x: 1", 0), IgnoredLine("y: 2", 0)]
    decoder.feed(b"z: 3\n")
    decoder.feed(b"a: 4\n")
    assert decoder.take_ignored() == [IgnoredLine("a: 4", 0)]
    assert decoder.take_ignored() == []


def test_a_line_says_which_events_were_before_it() -> None:
    """Its position counts the events that the same bytes completed before it."""
    decoder = SSEDecoder()
    assert len(decoder.feed(b"a\ndata: 1\nb\n\nc\ndata: 2\n\nd\ndata: 3\ne\n")) == 2
    assert [(line.text, line.position) for line in decoder.take_ignored()] == [
        ("a", 0),
        ("b", 0),
        ("c", 1),
        ("d", 2),
        ("e", 2),
    ]


def test_ignored_lines_add_nothing_to_an_event() -> None:
    """The standard is followed: the event is what its known fields say."""
    stream = b'data: a\nerror: x\n{"data":"y"}\ndata: b\nerror\n\n'
    for chunks in ([stream], cut(stream, 1)):
        assert outcome(chunks).events == [ServerSentEvent(data="a\nb")]


@pytest.mark.parametrize("line", [b"", b"x", b"x: y", b"x" * 1000])
def test_none_of_64_kib_is_lost(line: bytes) -> None:
    """However short the lines are, and also in a stream that has had many of them before."""
    decoder = SSEDecoder()
    lines = LIMIT // (len(line) + 1)
    for _ in range(3):
        decoder.feed((line + b"\n") * lines)
        assert len(decoder.take_ignored()) == (lines if line else 0)
    assert decoder.feed(b"data: a\n\n") == [ServerSentEvent(data="a")]


def test_more_than_65536_lines_at_once_are_not_all_kept() -> None:
    """The first of them are, so that a hostile stream cannot fill the memory."""
    decoder = SSEDecoder()
    decoder.feed(b"first\n" + b"x\n" * 100_000)
    ignored = decoder.take_ignored()
    assert (len(ignored), ignored[0].text) == (65_536, "first")


def test_a_line_beyond_what_is_kept_is_shortened() -> None:
    """The start of a long line is kept, a letter that is cut included; lines after it are kept whole."""
    assert [len(line) for line in ignored_of(b"x: " + b"a" * 2 * LIMIT + b"\nmore: b\n")] == [LIMIT, 7]
    assert ignored_of(b"x" * (LIMIT - 1) + "é\n".encode()) == ["x" * (LIMIT - 1) + "\ufffd"]


@pytest.mark.parametrize("line", [b"x", b"xy", b"x: y", b"x: " + b"y" * 1000])
def test_a_million_ignored_lines_leave_no_trace(line: bytes) -> None:
    """Comments and unknown fields take no more memory than those of the last bytes do."""
    chunk = (b":\n%s\n\n" % line) * (LIMIT // (len(line) + 4))
    assert peak_of(lambda: outcome(itertools.repeat(chunk, 64), limit=2000)) < 5_000_000
