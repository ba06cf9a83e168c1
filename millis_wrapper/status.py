"""An answer with an error status -> the error of the right class. No I/O; any bytes will do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from http import HTTPStatus
from typing import Any

from .errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    FieldError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)
from .printable import one_line, printable
from .retry import Operation, parse_retry_after

BODY_START = 2_000  # characters of a body that an error keeps
_MESSAGE_DETAIL = 300  # characters of it that a message shows

_CLASSES: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    429: RateLimitError,
}

COPY_MAY_EXIST = "a copy may exist: look before you try again"

_ADVICE = {
    401: "check the key (api_key= or MILLIS_API_KEY)",
    403: "check what this key may do",
}


def error_for_status(
    operation: Operation, status: int, body: bytes, *, retry_after: str | None, now: datetime
) -> APIStatusError:
    """Return the error for an answer with `status`; `retry_after` is that header's value, `now` the moment
    to count a date from.
    """
    text = body_start(body)
    detail = _detail(body)
    details: dict[str, Any] = {
        "status": status,
        "detail": detail,
        "body": text,
        "retry_after": parse_retry_after(retry_after, now),
    }
    if status == 422:
        errors = tuple(_field_errors(detail))
        words = "; ".join(f"{_place(error.loc)}: {_uncapital(error.msg)}" for error in errors)
        return UnprocessableEntityError(
            _message(operation, status, printable(words) or _reason(detail, text)), errors=errors, **details
        )
    cls = InternalServerError if 500 <= status <= 599 else _CLASSES.get(status, APIStatusError)
    return cls(_message(operation, status, _reason(detail, text)), **details)


def body_start(body: bytes) -> str:
    """Return the start of `body` as text, whatever its bytes are."""
    return body[: 4 * BODY_START].decode("utf-8", "replace")[:BODY_START]


def stated_reason(value: Any) -> str | None:
    """Return the reason that a JSON answer states under `detail` or `error`, in one line; None when it
    states none.
    """
    if not isinstance(value, dict):
        return None
    for key in ("detail", "error"):
        stated = value.get(key)
        if isinstance(stated, dict) and stated.get("message"):
            stated = stated["message"]
        if stated:
            return one_line(stated if isinstance(stated, str) else _json(stated), _MESSAGE_DETAIL)
    return None


def parse_json(body: bytes | str) -> Any:
    """Return the JSON value in `body`; raises ValueError for anything that is none, however it is broken."""
    try:
        return json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _detail(body: bytes) -> Any:
    try:
        value = parse_json(body)
    except ValueError:
        return None
    if isinstance(value, dict):
        return value.get("detail", value.get("error"))
    return value if isinstance(value, str) else None


def _reason(detail: Any, text: str) -> str:
    return stated_reason({"detail": detail}) or one_line(text, _MESSAGE_DETAIL)


def _message(operation: Operation, status: int, reason: str) -> str:
    try:
        name = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        name = str(status)
    parts = [f"[{name}]", reason or "the service gave no reason"]
    if operation == "duplicate" and (status >= 500 or status == 408):
        parts.append(f"({COPY_MAY_EXIST})")
    if status in _ADVICE:
        parts.append(f"({_ADVICE[status]})")
    if 300 <= status <= 399:
        parts.append("(a redirect is not followed, since the key would go along: check the base URL)")
    return " ".join(parts)


def _field_errors(detail: Any) -> Iterator[FieldError]:
    # FastAPI's form of a 422: a list of {"loc", "msg", "type"}; whatever departs from it stays readable in
    # `detail`.
    for item in detail if isinstance(detail, list) else ():
        if not isinstance(item, dict):
            continue
        loc = item.get("loc")
        steps = [step for step in loc if isinstance(step, str | int)] if isinstance(loc, list) else []
        if steps and steps[0] == "body":
            del steps[0]
        msg, kind = item.get("msg"), item.get("type")
        yield FieldError(
            tuple(steps),
            msg if isinstance(msg, str) else _json(item),
            kind if isinstance(kind, str) else "",
        )


def _place(loc: tuple[str | int, ...]) -> str:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc)
    return path.removeprefix(".") or "the request"


def _uncapital(text: str) -> str:
    return text[:1].lower() + text[1:]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
