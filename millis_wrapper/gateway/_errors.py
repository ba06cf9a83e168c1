"""Errors -> responses in OpenAI's error format. After a chat, no client retries their status codes."""

from __future__ import annotations

import json
import math
from typing import Any

import attrs
from starlette.responses import Response

from millis_wrapper import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    MillisError,
    StreamError,
    StreamFailedError,
    UnexpectedResponseError,
)
from millis_wrapper.errors import plain_message

# The service did not process these requests, so clients see the status itself. Every other refusal becomes a
# 400, because clients retry after 408, 409 and (LangChain JS) 422.
_REFUSALS = {
    401: ("authentication_error", "millis_key_refused", "the service refused the gateway's MILLIS_API_KEY"),
    403: ("permission_error", "millis_key_not_permitted", "the gateway's MILLIS_API_KEY may not do this"),
    404: (
        "invalid_request_error",
        "model_not_found",
        "the service does not know the agent; pass an agent id, or a name that GET /v1/models lists",
    ),
    429: ("rate_limit_error", "rate_limit_exceeded", "too many requests"),
}
# The first class that an error is an instance of counts.
_CODES: dict[type[MillisError], str] = {
    StreamFailedError: "stream_failed",
    StreamError: "reply_incomplete",
    UnexpectedResponseError: "unexpected_response",
    APITimeoutError: "timeout",
    APIConnectionError: "connection_lost",
}
# Path at which the wrapper found a mistake -> parameter of the client's request.
_PARAMS = {"agent_id": "model", "agent.metadata": "metadata"}


@attrs.frozen
class Failure:
    """A failed request: its status code and OpenAI's error object."""

    status_code: int
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    headers: dict[str, str] = attrs.field(factory=dict[str, str])
    partial_text: str | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The failure in OpenAI's error format."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        if self.partial_text is not None:
            error["partial_text"] = self.partial_text
        return {"error": error}

    def response(self) -> Response:
        """Return the response; only 429 and 503 invite the client to retry."""
        may_retry = self.status_code in (429, 503)
        headers = self.headers if may_retry else {**self.headers, "x-should-retry": "false"}
        return json_response(self.body, self.status_code, headers)


class RequestError(Exception):
    """The gateway rejects a request before it sends anything to the service."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def json_response(body: Any, status_code: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON response in ASCII, which can also carry half of a surrogate pair."""
    return Response(json.dumps(body), status_code, headers, media_type="application/json")


def failure_of(error: MillisError) -> Failure:
    """Return the failure that a client sees for an error of the wrapper."""
    message = plain_message(error)
    if isinstance(error, ConfigurationError):
        for place, parameter in _PARAMS.items():
            if message.startswith(place):
                return Failure(400, parameter + message.removeprefix(place), param=parameter)
        return Failure(400, message)
    if isinstance(error, APIStatusError) and error.status_code in _REFUSALS:
        kind, code, message = _REFUSALS[error.status_code]
        if isinstance(error.detail, str) and error.detail:
            message += f" ({error.detail[:200]})"
        wait = error.retry_after if error.status_code == 429 else None
        headers = {} if wait is None else {"retry-after": str(math.ceil(wait))}
        at = "model" if error.status_code == 404 else None
        return Failure(error.status_code, message, kind, at, code, headers)
    if isinstance(error, APIStatusError) and not error.maybe_processed:
        return Failure(400, message, code=f"millis_{error.status_code}")
    if isinstance(error, APIConnectionError) and not error.maybe_processed:
        return Failure(503, message, "connection_error", code="not_sent")
    known = (code for kind, code in _CODES.items() if isinstance(error, kind))
    code = (
        f"millis_{error.status_code}" if isinstance(error, APIStatusError) else next(known, "upstream_error")
    )
    text = error.reply.text if isinstance(error, StreamError) else None
    message += "; the service may have processed the request, so a retry may cost twice"
    return Failure(400, message, "upstream_error", code=code, partial_text=text)
