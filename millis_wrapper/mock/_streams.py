"""Write a reply as a stream of events: as documented, or with the fault of a failure scenario."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeAlias

import anyio

# Text to add to the reply, or the data of one event.
Chunk: TypeAlias = str | dict[str, Any]
Chunks: TypeAlias = AsyncGenerator[Chunk]
Bytes: TypeAlias = AsyncGenerator[bytes]
Writer: TypeAlias = Callable[[Chunks], Bytes]

END = b"data: [DONE]\n\n"
HTML = b"<!doctype html>\n<title>Mock gateway</title>\n<h1>This is not the service</h1>\n"

# The number of chunks before the failure.
_CHUNKS_BEFORE_FAILURE = 2


class CutError(Exception):
    """Raised to cut off a response and its connection."""


def event(data: Any, name: str | None = None) -> bytes:
    """Return one server-sent event with `data` as JSON."""
    # ASCII only, so that an echo can contain half a surrogate pair, which UTF-8 cannot encode.
    encoded = b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"
    return encoded if name is None else f"event: {name}\n".encode() + encoded


def event_data(chunk: Chunk) -> dict[str, Any]:
    """Return the data of an event for `chunk`, in the documented form."""
    return {"choices": [{"delta": {"content": chunk}}]} if isinstance(chunk, str) else chunk


async def as_documented(chunks: Chunks) -> Bytes:
    """Write each chunk as one event, then `[DONE]`."""
    async for chunk in chunks:
        yield event(event_data(chunk))
    yield END


async def without_end_mark(chunks: Chunks) -> Bytes:
    async for chunk in chunks:
        yield event(event_data(chunk))


async def role_first(chunks: Chunks) -> Bytes:
    yield event({"choices": [{"delta": {"role": "assistant"}}]})
    async for data in as_documented(chunks):
        yield data


async def null_deltas(chunks: Chunks) -> Bytes:
    yield event({"choices": [{"delta": {"role": "assistant", "content": None}}]})
    async for chunk in chunks:
        yield event(event_data(chunk))
    yield event({"choices": [{"delta": {}}]})
    yield event({"choices": [{"delta": None, "finish_reason": "stop"}]})
    yield event({"choices": []})
    yield END


async def crlf(chunks: Chunks) -> Bytes:
    async for data in as_documented(chunks):
        # Split between CR and LF, which breaks clients that expect complete line ends in a chunk.
        *lines, _ = data.split(b"\n")
        for number, line in enumerate(lines):
            yield (b"\n" if number else b"") + line + b"\r"
        yield b"\n"


async def one_byte_each(chunks: Chunks) -> Bytes:
    async for data in as_documented(chunks):
        for byte in data:
            yield bytes([byte])


async def with_comments(chunks: Chunks) -> Bytes:
    async for data in as_documented(chunks):
        yield b": keep-alive\n\n"
        yield data


async def unknown_fields(chunks: Chunks) -> Bytes:
    yield event({"mock_kind": "greeting", "choices": []}, "mock_event")
    async for chunk in chunks:
        delta = {"content": chunk, "mock_tone": "calm"}
        extended = {"choices": [{"delta": delta, "mock_score": 0.5}], "mock_trace": {"step": 1}}
        yield b"id: 1\n" + event(extended if isinstance(chunk, str) else chunk)
    yield END


async def nulls(chunks: Chunks) -> Bytes:
    envelope = dict.fromkeys(("id", "object", "created", "model", "usage", "error"))
    async for chunk in chunks:
        delta = {"role": None, "content": chunk, "tool_calls": None}
        extended = {"choices": [{"index": None, "delta": delta, "finish_reason": None}], **envelope}
        yield event(extended if isinstance(chunk, str) else chunk)
    yield END


async def new_values(chunks: Chunks) -> Bytes:
    envelope = {"object": "mock.new_object", "model": "mock-new-model"}
    async for chunk in chunks:
        extended = {"choices": [{"delta": {"role": "mock_new_role", "content": chunk}}], **envelope}
        yield event(extended if isinstance(chunk, str) else chunk)
    yield event({"choices": [{"delta": {}, "finish_reason": "mock_new_reason"}], **envelope})
    yield END


def ending_with(end: bytes) -> Writer:
    """Return a writer that writes the first chunks and then `end`."""

    async def write(chunks: Chunks) -> Bytes:
        async for data in _first_chunks(chunks):
            yield data
        yield end

    return write


error_event = ending_with(event({"message": "the mock's model is overloaded"}, "error"))
error_object = ending_with(
    event({"error": {"message": "the mock's model is overloaded", "type": "overloaded", "code": 529}})
)
half_event = ending_with(b'data: {"choices":[{"delta":{"con')


async def cut(chunks: Chunks) -> Bytes:
    async for data in _first_chunks(chunks):
        yield data
    raise CutError


async def stall(chunks: Chunks) -> Bytes:
    async for data in _first_chunks(chunks):
        yield data
    await anyio.sleep_forever()


async def html(chunks: Chunks) -> Bytes:
    yield HTML


async def _first_chunks(chunks: Chunks) -> Bytes:
    count = 0
    async for chunk in chunks:
        yield event(event_data(chunk))
        count += 1
        if count == _CHUNKS_BEFORE_FAILURE:
            return
