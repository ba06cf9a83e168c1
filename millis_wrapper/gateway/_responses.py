"""Replies and errors as responses in OpenAI's format."""

from __future__ import annotations

import json
import logging
import math
import re
import time
import uuid
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

import anyio
from anyio.lowlevel import checkpoint
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from millis_wrapper import AsyncChatStream, ChatReply, MillisError, errors

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

log = logging.getLogger("millis_wrapper.gateway")

# The service did not process these requests, so clients see the status itself. Every other refusal becomes a
# 400, because clients retry after 408, 409 and (LangChain JS) 422.
_KEPT_STATUSES = (401, 403, 404, 429)
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


class Failure(HTTPException):
    """A failed request: its status code, and the fields of OpenAI's error object."""

    def __init__(
        self, status_code: int, message: str, headers: dict[str, str] | None = None, **fields: str
    ) -> None:
        super().__init__(status_code, message, headers)
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        self.body = {"error": {**error, **fields}}

    def response(self) -> Response:
        """Return the response; only 429 and 503 invite the client to retry."""
        headers = {} if self.status_code in (429, 503) else {"x-should-retry": "false"}
        return json_response(self.body, self.status_code, {**headers, **(self.headers or {})})


def json_response(body: Any, status_code: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON response in ASCII, which can also carry half of a surrogate pair."""
    return Response(json.dumps(body), status_code, headers, media_type="application/json")


def failure_of(error: MillisError) -> Failure:
    """Log an error of the library, and return the failure that a client sees."""
    code, message = type(error).__name__, errors.plain_message(error)
    log.info("%s: %s", code, message)
    if error.maybe_processed:
        partial = {"partial_text": error.reply.text} if isinstance(error, errors.StreamError) else {}
        message += "; the service may have processed the request, so a retry may cost twice"
        return Failure(400, message, None, type="upstream_error", code=code, **partial)
    if isinstance(error, errors.ConfigurationError):
        message = re.sub("^agent_id", "model", message.removeprefix("agent."))
        param = re.match("model|metadata", message)
        return Failure(400, message, None, code=code, **({"param": param[0]} if param else {}))
    if isinstance(error, errors.APIConnectionError):
        return Failure(503, message, type="upstream_error", code=code)
    status = error.status_code if isinstance(error, errors.APIStatusError) else 400
    wait = error.retry_after if isinstance(error, errors.RateLimitError) else None
    headers = None if wait is None else {"retry-after": str(math.ceil(wait))}
    return Failure(status if status in _KEPT_STATUSES else 400, message, headers, code=code)


class Reply:
    """The ASGI response that opens `stream` and passes the reply on.

    A client that disconnects closes the stream at once, also before the response has begun.

    Args:
        stream: The agent's reply.
        request: The valid body of the chat completion request.
    """

    def __init__(self, stream: AsyncChatStream, request: dict[str, Any]) -> None:
        self._stream = stream
        self._request = request
        created = int(time.time())
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": created, "model": request["model"]}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, and stop when the client disconnects."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_cancel_on_disconnect, receive, group.cancel_scope)
                try:
                    async with self._stream:
                        response = await self._response()
                        await response(scope, receive, send)
                except MillisError as error:
                    await failure_of(error).response()(scope, receive, send)
                group.cancel_scope.cancel()
        except* (ClientDisconnect, OSError):
            pass  # A server may report the disconnect from `send` instead of `receive`.

    async def _response(self) -> Response:
        if self._request.get("stream"):
            headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
            return StreamingResponse(self._events(), headers=headers, media_type="text/event-stream")
        reply = await self._stream.get_final_reply()
        choice = {"index": 0, "message": reply.message, "finish_reason": _finish_reason(reply)}
        usage = _token_counts(reply)
        more = {} if usage is None else {"usage": usage}
        return json_response({**self._head, "object": "chat.completion", "choices": [choice], **more})

    async def _events(self) -> AsyncGenerator[str]:
        yield self._chunk({"role": "assistant", "content": ""})
        try:
            async for text in self._stream.text_stream:
                yield self._chunk({"content": text})
                # Only a turn of the event loop lets the server notice that the client has disconnected.
                await checkpoint()
        except MillisError as error:
            # An `error` event without a finish reason or `[DONE]` makes every client raise.
            yield _event(failure_of(error).body)
            return
        reply = self._stream.reply
        if reply.tool_calls:
            calls = [{"index": number, **call} for number, call in enumerate(reply.tool_calls)]
            yield self._chunk({"tool_calls": calls})
        yield self._chunk({}, _finish_reason(reply))
        options: dict[str, Any] = self._request.get("stream_options") or {}
        if options.get("include_usage") and (usage := _token_counts(reply)):
            yield _event({**self._head, "object": "chat.completion.chunk", "choices": [], "usage": usage})
        yield "data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return _event({**self._head, "object": "chat.completion.chunk", "choices": [choice]})


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"


def _finish_reason(reply: ChatReply) -> str:
    # Clients that rely on the finish reason would not run a tool after "stop".
    if reply.tool_calls and reply.finish_reason in (None, "stop"):
        return "tool_calls"
    return reply.finish_reason or "stop"


def _token_counts(reply: ChatReply) -> dict[str, Any] | None:
    """Return the token counts, or None unless the service sent all three, because clients add them up."""
    counts = {name: (reply.usage or {}).get(name) for name in _COUNTS}
    return counts if all(type(count) is int for count in counts.values()) else None


async def _cancel_on_disconnect(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
