"""One reply of an agent, as the response to a chat completion request."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import anyio
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from millis_wrapper import AsyncChatStream, ChatReply, MillisError

from ._errors import Failure, failure_of, json_response

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from ._requests import ChatCall

log = logging.getLogger("millis_wrapper.gateway")

_STREAM_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


class Reply:
    """The ASGI response for `call`: it opens `stream` and passes the reply on.

    A client that disconnects closes the stream at once, also before the response has begun.
    """

    def __init__(self, stream: AsyncChatStream, call: ChatCall) -> None:
        self._stream = stream
        self._call = call
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": call.model}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, and stop when the client disconnects."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_cancel_on_disconnect, receive, group.cancel_scope)
                try:
                    response = await self._response()
                    await response(scope, _never, send)
                finally:
                    with anyio.CancelScope(shield=True):
                        await self._stream.close()
                group.cancel_scope.cancel()
        except* (ClientDisconnect, OSError):
            pass  # A server may report the disconnect from `send` instead of `receive`.

    async def _response(self) -> Response:
        try:
            if self._call.stream:
                await self._stream.open()
                return StreamingResponse(
                    self._events(), headers=_STREAM_HEADERS, media_type="text/event-stream"
                )
            reply = await self._stream.get_final_reply()
        except MillisError as error:
            return _report(failure_of(error)).response()
        choice = {"index": 0, "message": reply.message, "finish_reason": _finish_reason(reply)}
        usage = _token_counts(reply)
        body = {**self._head, "object": "chat.completion", "choices": [choice]}
        return json_response(body if usage is None else {**body, "usage": usage})

    async def _events(self) -> AsyncGenerator[bytes]:
        yield self._chunk({"role": "assistant", "content": ""})
        try:
            async for text in self._stream.text_stream:
                yield self._chunk({"content": text})
        except MillisError as error:
            # An `error` event without a finish reason or `[DONE]` makes every client raise.
            yield _event(_report(failure_of(error)).body)
            return
        reply = self._stream.reply
        if reply.tool_calls:
            yield self._chunk(
                {"tool_calls": [{"index": i, **call} for i, call in enumerate(reply.tool_calls)]}
            )
        yield self._chunk({}, _finish_reason(reply))
        if self._call.include_usage and (usage := _token_counts(reply)):
            yield _event({**self._head, "object": "chat.completion.chunk", "choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return _event({**self._head, "object": "chat.completion.chunk", "choices": [choice]})


def _report(failure: Failure) -> Failure:
    # The message may hold control characters that the service sent.
    log.info("%s: %.500s", failure.code, ascii(failure.message)[1:-1])
    return failure


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def _finish_reason(reply: ChatReply) -> str:
    # Clients that rely on the finish reason would not run a tool after "stop".
    if reply.tool_calls and reply.finish_reason in (None, "stop"):
        return "tool_calls"
    return reply.finish_reason or "stop"


def _token_counts(reply: ChatReply) -> dict[str, int] | None:
    """Return the token counts, or None unless the service sent all three, because clients add them up."""
    counts = {name: (reply.usage or {}).get(name) for name in _COUNTS}
    known = {name: count for name, count in counts.items() if type(count) is int}
    return known if len(known) == len(_COUNTS) else None


async def _cancel_on_disconnect(receive: Callable[[], Awaitable[Message]], scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _never() -> Message:
    await anyio.sleep_forever()
    raise AssertionError  # unreachable
