"""Lines that the SSE decoder ignores, as the standard says, and that can be asked for."""

from __future__ import annotations

import itertools

import pytest
from sse_helpers import cut, outcome, peak_of

from millis_wrapper.sse import ServerSentEvent, SSEDecoder

LIMIT = 64 * 1024


def ignored_of(*chunks: bytes) -> list[str]:
    decoder = SSEDecoder()
    for chunk in chunks:
        decoder.feed(chunk)
    decoder.end()
    return decoder.take_ignored()


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
    """Each line is handed over once, and the decoder says whether there is one."""
    decoder = SSEDecoder()
    assert (decoder.ignored, decoder.take_ignored()) == ([], [])
    decoder.feed(b"x: 1\ny: 2\n")
    assert decoder.ignored == ["x: 1", "y: 2"]
    assert decoder.take_ignored() == ["x: 1", "y: 2"]
    decoder.feed(b"z: 3\n")
    assert decoder.take_ignored() == ["z: 3"]
    assert (decoder.ignored, decoder.take_ignored()) == ([], [])


def test_ignored_lines_add_nothing_to_an_event() -> None:
    """The standard is followed: the event is what its known fields say."""
    stream = b'data: a\nerror: x\n{"data":"y"}\ndata: b\nerror\n\n'
    for chunks in ([stream], cut(stream, 1)):
        assert outcome(chunks).events == [ServerSentEvent(data="a\nb")]


@pytest.mark.parametrize("line", [b"x", b"xy", b"x: y", b"x" * 1000, b"x" * (LIMIT - 1), b"x" * LIMIT])
def test_64_kib_of_them_are_kept(line: bytes) -> None:
    """Of more, in one stream, nothing is kept: the rest is ignored for good."""
    decoder = SSEDecoder()
    chunk = (line + b"\n") * max(1, LIMIT // len(line) // 2)
    kept: list[str] = []
    for _ in range(4):
        decoder.feed(chunk)
        kept += decoder.take_ignored()
    assert decoder.feed(b"data: a\n\n") == [ServerSentEvent(data="a")]
    assert 0 < sum(map(len, kept)) <= LIMIT
    assert "".join(kept) == ((line * len(kept)).decode())[: sum(map(len, kept))]


def test_a_line_beyond_what_is_kept_is_shortened() -> None:
    """Of one long line the start is kept, a broken letter at the cut included, and nothing follows it."""
    assert [len(line) for line in ignored_of(b"x: " + b"a" * 2 * LIMIT + b"\nmore: b\n")] == [LIMIT]
    assert ignored_of(b"x" * (LIMIT - 1) + "é\n".encode()) == ["x" * (LIMIT - 1) + "\ufffd"]


@pytest.mark.parametrize("line", [b"x", b"xy", b"x: y", b"x: " + b"y" * 1000])
def test_a_million_ignored_lines_leave_no_trace(line: bytes) -> None:
    """Comments and unknown fields take neither memory nor the event's room, however short the lines are."""
    chunk = (b":\n%s\n\n" % line) * (LIMIT // (len(line) + 4))
    assert peak_of(lambda: outcome(itertools.repeat(chunk, 64), limit=2000)) < 1_000_000
