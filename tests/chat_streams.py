"""Build streams, feed them to the reply builder and record the outcome."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import attrs

from millis_wrapper.chat import ReplyBuilder
from millis_wrapper.errors import MillisError
from millis_wrapper.results import ChatChunk, ChatReply


@attrs.define
class Outcome:
    """The chunks of one stream, and its reply or error."""

    chunks: list[ChatChunk] = attrs.field(factory=list[ChatChunk])
    reply: ChatReply | None = None
    error: MillisError | None = attrs.field(default=None, eq=False)

    @property
    def failure(self) -> tuple[str, str, dict[str, Any]] | None:
        error = self.error
        return (type(error).__name__, str(error), vars(error)) if error is not None else None

    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)


def play(chunks: Iterable[bytes]) -> Outcome:
    """Feed body chunks to a builder the way a chat stream does."""
    builder = ReplyBuilder()
    outcome = Outcome()
    for data in chunks:
        outcome.chunks.extend(builder.feed(data))
        if builder.state != "open":
            break
    else:
        outcome.chunks.extend(builder.end())
    assert builder.state != "open"
    try:
        outcome.reply = builder.final_reply()
    except MillisError as error:
        outcome.error = error
    assert (builder.state == "failed") is (outcome.error is not None)
    return outcome


def read_all(builder: ReplyBuilder, *chunks: bytes) -> list[ChatChunk]:
    """Feed `chunks` and the end of the body, and return the chunks."""
    return [*feed_all(builder, chunks), *builder.end()]


def feed_all(builder: ReplyBuilder, chunks: Iterable[bytes]) -> list[ChatChunk]:
    return [chunk for data in chunks for chunk in builder.feed(data)]


def event(data: Any) -> bytes:
    return b"data: %s\n\n" % json.dumps(data, separators=(",", ":")).encode()


def delta(content: Any, **more: Any) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": content}}], **more}
