"""The errors of one stream, without the key. No I/O."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ._json import NOT_JSON, is_array, is_object, read_json
from ._meanings import ReportedError
from ._text import shorten
from .errors import StreamFailedError, UnexpectedResponseError
from .response import body_start, reason_in, stated_reason
from .results import ChatReply


class StreamErrors:
    """Makes the errors of one stream, without the key."""

    def __init__(self, redact: Callable[[bytes], bytes]) -> None:
        self._redact = redact

    def quote(self, text: str) -> str:
        """Return the start of `text` as a JSON string."""
        return json.dumps(shorten(self._redact_text(text), 80), ensure_ascii=False)

    def failed(self, failure: ReportedError, reply: ChatReply) -> StreamFailedError:
        """Return the error for one that the service reported."""
        payload = failure.payload
        if not isinstance(payload, str):
            payload = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
        text = self._redact_text(payload)
        error = read_json(text)
        choices: Any = error.get("choices") if is_object(error) else None
        stated = map(stated_reason, (error, *(choices if is_array(choices) else ())))
        reason = next(filter(None, stated), None) or shorten(text, 300)
        return StreamFailedError(
            f"the service reported an error in the stream: {reason}; the received part is in .reply",
            reply=reply,
            error=text if error is NOT_JSON else error,
        )

    def unexpected(self, what: str, head: bytes, encoding: str | None) -> UnexpectedResponseError:
        """Return the error for a response that is not the stream of a reply.

        Args:
            what: the start of the message.
            head: the start of the body.
            encoding: the content-encoding of the body, if it has one.
        """
        head = self._redact(head)
        encoded = f" (content-encoding: {encoding})" if encoding else ""
        return UnexpectedResponseError(f"{what}{encoded}: {reason_in(head)}", body=body_start(head))

    def _redact_text(self, text: str) -> str:
        return self._redact(text.encode("utf-8", "replace")).decode("utf-8", "replace")
