"""The SSE decoder ignores unknown lines, as the standard requires, and returns them on request."""

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
    """Lines with known fields and comments are dropped. The result is the same for every split."""
    assert ignored_of(stream) == lines
    assert ignored_of(*cut(stream, 1)) == lines
    for at in range(len(stream) + 1):
        assert ignored_of(stream[:at], stream[at:]) == lines


def test_ignored_lines_are_returned_once() -> None:
    """Lines that the caller did not take are dropped when the next lines arrive."""
    decoder = SSEDecoder()
    assert decoder.take_ignored() == []
    decoder.feed(b"x: 1\ny: 2\n")
    assert decoder.take_ignored() == [IgnoredLine("x: 1", 0), IgnoredLine("y: 2", 0)]
    decoder.feed(b"z: 3\n")
    decoder.feed(b"a: 4\n")
    assert decoder.take_ignored() == [IgnoredLine("a: 4", 0)]
    assert decoder.take_ignored() == []


def test_the_position_of_an_ignored_line_counts_the_events_before_it() -> None:
    """The position counts only events that the same chunk completed."""
    decoder = SSEDecoder()
    assert len(decoder.feed(b"a\ndata: 1\nb\n\nc\ndata: 2\n\nd\ndata: 3\ne\n")) == 2
    assert [(line.text, line.position) for line in decoder.take_ignored()] == [
        ("a", 0),
        ("b", 0),
        ("c", 1),
        ("d", 2),
        ("e", 2),
    ]


def test_ignored_lines_do_not_change_an_event() -> None:
    """An event contains only its known fields, as the standard requires."""
    stream = b'data: a\nerror: x\n{"data":"y"}\ndata: b\nerror\n\n'
    for chunks in ([stream], cut(stream, 1)):
        assert outcome(chunks).events == [ServerSentEvent(data="a\nb")]


@pytest.mark.parametrize("line", [b"", b"x", b"x: y", b"x" * 1000])
def test_64_kib_of_ignored_lines_are_kept(line: bytes) -> None:
    """The decoder keeps all lines up to 64 KiB, however short they are, and from every chunk."""
    decoder = SSEDecoder()
    lines = LIMIT // (len(line) + 1)
    for _ in range(3):
        decoder.feed((line + b"\n") * lines)
        assert len(decoder.take_ignored()) == (lines if line else 0)
    assert decoder.feed(b"data: a\n\n") == [ServerSentEvent(data="a")]


def test_at_most_65536_ignored_lines_are_kept() -> None:
    """The decoder keeps the first lines, so that a hostile stream cannot fill the memory."""
    decoder = SSEDecoder()
    decoder.feed(b"first\n" + b"x\n" * 100_000)
    ignored = decoder.take_ignored()
    assert (len(ignored), ignored[0].text) == (65_536, "first")


def test_a_long_ignored_line_is_shortened() -> None:
    """The start of a long line is kept. A character that is cut becomes U+FFFD. Later lines are not cut."""
    assert [len(line) for line in ignored_of(b"x: " + b"a" * 2 * LIMIT + b"\nmore: b\n")] == [LIMIT, 7]
    assert ignored_of(b"x" * (LIMIT - 1) + "é\n".encode()) == ["x" * (LIMIT - 1) + "\ufffd"]


@pytest.mark.untraced
@pytest.mark.parametrize("line", [b"x", b"xy", b"x: y", b"x: " + b"y" * 1000])
def test_the_memory_for_ignored_lines_is_bounded(line: bytes) -> None:
    """The memory for comments and unknown fields does not grow with the number of chunks."""
    chunk = (b":\n%s\n\n" % line) * (LIMIT // (len(line) + 4))

    def peak(chunks: int) -> int:
        return peak_of(lambda: outcome(itertools.repeat(chunk, chunks), limit=2000))

    assert peak(16) < peak(2) + len(chunk) * 4
