"""The errors of one stream, without the key. No I/O."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ._json import NOT_JSON, is_array, is_object, read_json
from ._text import shorten
from .errors import StreamFailedError, StreamInterruptedError, UnexpectedResponseError
from .response import body_start, reason_in, stated_reason
from .results import ChatReply

Redact = Callable[[bytes], bytes]


def interrupted(
    reason: str, part: str | None, cause: Exception | None, reply: ChatReply, redact: Redact
) -> StreamInterruptedError:
    """Return the error for an incomplete reply.

    Args:
        reason: The start of the message. The start of `part` replaces `{}` in it.
        part: The text in the stream that shows the reason, or None.
        cause: The error of the transport, without frames.
        reply: The received part of the reply.
        redact: Removes the key from bytes.
    """
    if part is not None:
        start = shorten(_redacted(part, redact), 80)
        reason = reason.format(start if start.startswith(("{", "[", '"')) else f'"{start}"')
    error = StreamInterruptedError(f"{reason}; the received part is in .reply", reply=reply)
    error.__cause__ = cause
    return error


def closed(reply: ChatReply, *, was_sent: bool) -> StreamInterruptedError:
    """Return the error for a stream that the caller closed early."""
    message = "the stream was closed before it was opened; the request was not sent"
    if was_sent:
        message = "the stream was closed before its end; the received part is in .reply"
    return StreamInterruptedError(message, reply=reply, maybe_processed=was_sent)


def failed(payload: str | dict[str, Any], reply: ChatReply, redact: Redact) -> StreamFailedError:
    """Return the exception for an error that the service reported."""
    if not isinstance(payload, str):
        payload = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    text = _redacted(payload, redact)
    error = read_json(text)
    choices: Any = error.get("choices") if is_object(error) else None
    stated = map(stated_reason, (error, *(choices if is_array(choices) else ())))
    reason = next(filter(None, stated), None) or shorten(text, 300)
    return StreamFailedError(
        f"the service reported an error in the stream: {reason}; the received part is in .reply",
        reply=reply,
        error=text if error is NOT_JSON else error,
    )


def unexpected(what: str, head: bytes, encoding: str | None, redact: Redact) -> UnexpectedResponseError:
    """Return the error for a response that is not the stream of a reply.

    Args:
        what: The start of the message.
        head: The start of the body.
        encoding: The content-encoding of the body, if it has one.
        redact: Removes the key from bytes.
    """
    head = redact(head)
    encoded = f" (content-encoding: {encoding})" if encoding else ""
    return UnexpectedResponseError(f"{what}{encoded}: {reason_in(head)}", body=body_start(head))


def _redacted(text: str, redact: Redact) -> str:
    return redact(text.encode("utf-8", "replace")).decode("utf-8", "replace")
