"""Streams for tests of the chat core, and what they come to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import attrs

from millis_wrapper.chat import ChatChunk, ChatReply, ReplyBuilder
from millis_wrapper.errors import MillisError


@attrs.define
class Outcome:
    """Everything that one stream comes to."""

    chunks: list[ChatChunk] = attrs.field(factory=list[ChatChunk])
    reply: ChatReply | None = None
    error: MillisError | None = attrs.field(default=None, eq=False)

    @property
    def failure(self) -> tuple[str, str, dict[str, Any]] | None:
        error = self.error
        return (type(error).__name__, str(error), vars(error)) if error is not None else None

    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)


def play(pieces: Iterable[bytes]) -> Outcome:
    """Feed a core as the shells do, and see that it says exactly once that it is over."""
    over: list[ReplyBuilder] = []
    core = ReplyBuilder(when_over=over.append)
    outcome = Outcome()
    try:
        for piece in pieces:
            outcome.chunks.extend(core.feed(piece))
            if core.done:
                break
        else:
            for chunk in core.end():
                outcome.chunks.append(chunk)
        outcome.reply = core.final_reply()
    except MillisError as error:
        outcome.error = error
    assert over == [core]
    assert core.over
    assert core.failed is (outcome.error is not None)
    return outcome


def read_all(core: ReplyBuilder, *pieces: bytes) -> list[ChatChunk]:
    """Feed `pieces`, and the end of the body."""
    return [*feed_all(core, pieces), *core.end()]


def feed_all(core: ReplyBuilder, pieces: Iterable[bytes]) -> list[ChatChunk]:
    return [chunk for piece in pieces for chunk in core.feed(piece)]


def event(data: Any) -> bytes:
    return b"data: %s\n\n" % json.dumps(data, separators=(",", ":")).encode()


def delta(content: Any, **more: Any) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": content}}], **more}
