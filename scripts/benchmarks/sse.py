"""The SSE decoder beside httpx-sse: the same chunks of bytes in, the same events out.

httpx-sse reads text from an httpx response. It is given one that decodes the chunks and nothing more, without
the layers of httpx, so that nothing but the two decoders is compared.
"""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import httpx
import httpx_sse

from millis_wrapper.sse import ServerSentEvent, decode

from .measure import Ratio, compare

_SMALL = b'data: {"choices":[{"delta":{"content":"Hello"}}]}\n\n'
_TYPED = b'event: delta\ndata: {"choices":[{"delta":{"content":"Hello"}}]}\n\n'
_LARGE = b'data: {"text":"' + b"a" * 2**20 + b'"}\n\n'
_MANY_LINES = b"".join(b"data: line %d\n" % number for number in range(100_000)) + b"\n"
_COUNT = 10_000


class Load(NamedTuple):
    name: str
    chunks: list[bytes]
    target: float | None = None


class TextOnly(httpx.Response):
    """A response without httpx's layers."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        super().__init__(200, headers={"content-type": "text/event-stream"})
        self._chunks = chunks

    def iter_text(self, chunk_size: int | None = None) -> Iterator[str]:
        decode_text = codecs.getincrementaldecoder("utf-8")("replace").decode
        for chunk in self._chunks:
            if text := decode_text(chunk):
                yield text


def run(rounds: int) -> list[Ratio]:
    return [_measure(load, rounds) for load in _loads()]


def _loads() -> list[Load]:
    return [
        Load("small events, 4 KiB chunks", _cut(_SMALL * _COUNT, 4096), target=1.6),
        Load("small events, one to a chunk", [_SMALL] * _COUNT, target=2.0),
        Load("small events with CRLF, 4 KiB chunks", _cut(_SMALL.replace(b"\n", b"\r\n") * _COUNT, 4096)),
        Load("small events with a type, 4 KiB chunks", _cut(_TYPED * _COUNT, 4096)),
        Load("small events with a type, one to a chunk", [_TYPED] * _COUNT),
        Load("1 MiB events, one to a chunk", [_LARGE] * 10, target=1.0),
        Load("1 MiB events, 64 KiB chunks", _cut(_LARGE * 10, 2**16), target=1.0),
        Load("1 MiB events, 4 KiB chunks", _cut(_LARGE * 10, 4096), target=1.0),
        Load("an event of 100,000 lines, 4 KiB chunks", _cut(_MANY_LINES, 4096)),
    ]


def _measure(load: Load, rounds: int) -> Ratio:
    chunks = load.chunks
    assert [event.data for event in _ours(chunks)] == [event.data for event in _theirs(chunks)]
    return compare(
        f"sse, {load.name}: over httpx-sse",
        lambda: deque(_ours(chunks), maxlen=0),
        "httpx-sse",
        lambda: deque(_theirs(chunks), maxlen=0),
        rounds=rounds,
        target=load.target,
    )


def _ours(chunks: list[bytes]) -> Iterator[ServerSentEvent]:
    return decode(chunks)


def _theirs(chunks: list[bytes]) -> Iterator[httpx_sse.ServerSentEvent]:
    return httpx_sse.EventSource(TextOnly(chunks)).iter_sse()


def _cut(stream: bytes, size: int) -> list[bytes]:
    return [stream[start : start + size] for start in range(0, len(stream), size)]
