"""Run the SSE decoder over a stream that was split into chunks, and measure its memory."""

from __future__ import annotations

import itertools
import re
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from millis_wrapper.sse import MAX_EVENT_BYTES, EventTooLargeError, ServerSentEvent, SSEDecoder


class Outcome(NamedTuple):
    events: list[ServerSentEvent]
    unfinished: ServerSentEvent | None = None
    too_large: bool = False


def outcome(chunks: Iterable[bytes], limit: int = MAX_EVENT_BYTES) -> Outcome:
    """Feed the chunks to one decoder and return its events and its end."""
    decoder = SSEDecoder(max_event_bytes=limit)
    events: list[ServerSentEvent] = []
    try:
        for chunk in chunks:
            events += decoder.feed(chunk)
        return Outcome(events, decoder.end())
    except EventTooLargeError:
        return Outcome(events, too_large=True)


def cut(stream: bytes, *sizes: int) -> list[bytes]:
    """Split a stream into chunks of these sizes, in turn."""
    chunks: list[bytes] = []
    turns = itertools.cycle(sizes)
    while stream:
        size = next(turns)
        chunks.append(stream[:size])
        stream = stream[size:]
    return chunks


def cut_after_blank_lines(stream: bytes) -> list[bytes]:
    """Split a stream as most servers send it: one event per chunk."""
    return [chunk for chunk in re.split(rb"(?<=\n\n)", stream) if chunk]


def chunks_of(stream: bytes, size: int) -> Iterator[bytes]:
    """Split a large stream without keeping all chunks in memory."""
    for start in range(0, len(stream), size):
        yield stream[start : start + size]


def peak_of(action: Callable[[], object]) -> int:
    """Return the peak of the memory allocated while the action runs, in bytes."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
