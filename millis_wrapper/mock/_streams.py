"""Ways to write a reply as a stream of events: as documented, and wrong on purpose."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeAlias

import anyio

# A text that is added to the reply, or the whole data of one event.
Piece: TypeAlias = str | dict[str, Any]
Pieces: TypeAlias = AsyncGenerator[Piece]
Bytes: TypeAlias = AsyncGenerator[bytes]
Writer: TypeAlias = Callable[[Pieces], Bytes]

END = b"data: [DONE]\n\n"
HTML = b"<!doctype html>\n<title>Mock gateway</title>\n<h1>This is not the service</h1>\n"

# Of a reply that goes wrong, this many pieces are sent before.
_PIECES_BEFORE = 2


class CutError(Exception):
    """Ends an answer without its proper end, and with it the connection."""


def event(data: Any, name: str | None = None) -> bytes:
    """Return one server-sent event with `data` as JSON."""
    # ASCII only, so that half a surrogate pair, which JSON can hold, can be sent back.
    written = b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"
    return written if name is None else f"event: {name}\n".encode() + written


def chunk(piece: Piece) -> dict[str, Any]:
    """Return the data of an event that adds `piece` to a reply, in the form that is documented."""
    return {"choices": [{"delta": {"content": piece}}]} if isinstance(piece, str) else piece


async def as_documented(pieces: Pieces) -> Bytes:
    """Write each piece as one event, then the end mark."""
    async for piece in pieces:
        yield event(chunk(piece))
    yield END


async def without_end_mark(pieces: Pieces) -> Bytes:
    async for piece in pieces:
        yield event(chunk(piece))


async def role_first(pieces: Pieces) -> Bytes:
    yield event({"choices": [{"delta": {"role": "assistant"}}]})
    async for written in as_documented(pieces):
        yield written


async def null_deltas(pieces: Pieces) -> Bytes:
    yield event({"choices": [{"delta": {"role": "assistant", "content": None}}]})
    async for piece in pieces:
        yield event(chunk(piece))
    yield event({"choices": [{"delta": {}}]})
    yield event({"choices": [{"delta": None, "finish_reason": "stop"}]})
    yield event({"choices": []})
    yield END


async def crlf(pieces: Pieces) -> Bytes:
    async for written in as_documented(pieces):
        # Cut between CR and LF, where a reader that knows only whole line ends goes wrong.
        *lines, _ = written.split(b"\n")
        for number, line in enumerate(lines):
            yield (b"\n" if number else b"") + line + b"\r"
        yield b"\n"


async def one_byte_each(pieces: Pieces) -> Bytes:
    async for written in as_documented(pieces):
        for byte in written:
            yield bytes([byte])


async def with_comments(pieces: Pieces) -> Bytes:
    async for written in as_documented(pieces):
        yield b": keep-alive\n\n"
        yield written


async def unknown_fields(pieces: Pieces) -> Bytes:
    yield event({"mock_kind": "greeting", "choices": []}, "mock_event")
    async for piece in pieces:
        delta = {"content": piece, "mock_tone": "calm"}
        odd = {"choices": [{"delta": delta, "mock_score": 0.5}], "mock_trace": {"step": 1}}
        yield b"id: 1\n" + event(odd if isinstance(piece, str) else piece)
    yield END


async def nulls(pieces: Pieces) -> Bytes:
    envelope = dict.fromkeys(("id", "object", "created", "model", "usage", "error"))
    async for piece in pieces:
        delta = {"role": None, "content": piece, "tool_calls": None}
        odd = {"choices": [{"index": None, "delta": delta, "finish_reason": None}], **envelope}
        yield event(odd if isinstance(piece, str) else piece)
    yield END


async def new_values(pieces: Pieces) -> Bytes:
    envelope = {"object": "mock.new_object", "model": "mock-new-model"}
    async for piece in pieces:
        odd = {"choices": [{"delta": {"role": "mock_new_role", "content": piece}}], **envelope}
        yield event(odd if isinstance(piece, str) else piece)
    yield event({"choices": [{"delta": {}, "finish_reason": "mock_new_reason"}], **envelope})
    yield END


def broken_off(end: bytes) -> Writer:
    """Return the writer of the first pieces, and then of `end`."""

    async def write(pieces: Pieces) -> Bytes:
        async for written in _beginning(pieces):
            yield written
        yield end

    return write


error_event = broken_off(event({"message": "the mock's model is overloaded"}, "error"))
error_object = broken_off(
    event({"error": {"message": "the mock's model is overloaded", "type": "overloaded", "code": 529}})
)
half_event = broken_off(b'data: {"choices":[{"delta":{"con')


async def cut(pieces: Pieces) -> Bytes:
    async for written in _beginning(pieces):
        yield written
    raise CutError


async def stall(pieces: Pieces) -> Bytes:
    async for written in _beginning(pieces):
        yield written
    await anyio.sleep_forever()


async def html(pieces: Pieces) -> Bytes:
    yield HTML


async def _beginning(pieces: Pieces) -> Bytes:
    count = 0
    async for piece in pieces:
        yield event(chunk(piece))
        count += 1
        if count == _PIECES_BEFORE:
            return
