"""What goes into a cassette: no secret, no personal text, and no more headers than the client looks at."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Protocol

from millis_wrapper._json import is_array, is_object

REAL_HOST = "https://api-west.millis.ai"

_KEPT_ANSWER_HEADERS = {"content-type", "retry-after"}
_KEPT_REQUEST_HEADERS = {"accept", "accept-encoding", "content-type", "user-agent"}
# Which texts of an answer say something about the service, and nothing about its customer.
_KEPT_KEYS = {"object", "role", "type", "finish_reason", "msg", "detail"} | {
    "provider",
    "model",
    "action",
    "response_mode",
    "language",
    "method",
}


class Request(Protocol):
    """What is looked at of a vcrpy request; vcrpy has no types."""

    uri: str
    headers: dict[str, str]
    body: bytes | None


def request_filter(recorded_url: str, *, live: bool) -> Callable[[Request], Request]:
    """Return what takes the key, the recorder's host, and a live agent's words out of a request."""

    def clean(request: Request) -> Request:
        request.uri = request.uri.replace(recorded_url, REAL_HOST)
        for name in list(request.headers):
            if name.lower() not in _KEPT_REQUEST_HEADERS:
                del request.headers[name]
        if live and request.body:
            request.body = _with_masked_history(request.body)
        return request

    return clean


def answer_filter(*, live: bool) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what takes the rest out of an answer; of a live one also every text of its owner."""

    def clean(answer: dict[str, Any]) -> dict[str, Any]:
        headers: dict[str, Any] = answer["headers"]
        answer["headers"] = {
            name: value for name, value in headers.items() if name.lower() in _KEPT_ANSWER_HEADERS
        }
        # The words for a status are the server's Python's, and another's differ.
        answer["status"]["message"] = ""
        if live:
            body: bytes = answer["body"]["string"]
            answer["body"]["string"] = masked_body(body.decode("utf-8", "replace")).encode()
        return answer

    return clean


def _with_masked_history(body: bytes) -> bytes:
    # A reply goes back as history in the next turn, and has to be there what it is in the answer before.
    value: dict[str, Any] = json.loads(body)
    for message in value.get("messages", ()):
        if message.get("role") == "assistant":
            message["content"] = _letters(message["content"])
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def masked_body(body: str) -> str:
    """Return a JSON body, or a stream of JSON events, with the same form and none of the words."""
    return (
        "".join(_masked_line(line) for line in re.split(r"(?<=\n)", body))
        if "data:" in body
        else _masked_json(body)
    )


def _masked_line(line: str) -> str:
    match = re.fullmatch(r"(data: ?)(.*?)(\s*)", line, re.DOTALL)
    if match is None:
        return line if not line.strip() or line.startswith((":", "event:")) else _letters(line)
    field, payload, end = match.groups()
    return field + (payload if payload == "[DONE]" else _masked_json(payload)) + end


def _masked_json(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return _letters(text)
    return json.dumps(_masked(value, ""), ensure_ascii=False)


def _masked(value: Any, key: str) -> Any:
    if is_object(value):
        # The owner's own names: of metadata, of headers, of words to listen for.
        own = key in {"header", "headers", "credentials", "keywords", "settings", "metadata"}
        return {_letters(name) if own else name: _masked(child, name) for name, child in value.items()}
    if is_array(value):
        return [_masked(child, key) for child in value]
    if isinstance(value, str) and key not in _KEPT_KEYS:
        return _letters(value)
    return value


def _letters(text: str) -> str:
    return re.sub(r"\d", "0", re.sub(r"[^\W\d_]", "x", text))
