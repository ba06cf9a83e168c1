"""An answer with an error status -> the error of the right class. No I/O; any bytes will do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from http import HTTPStatus
from typing import Any

from ._json import is_array, is_object, read_json, write_json
from ._text import one_line
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
from .retry import Operation, parse_retry_after

BODY_START = 2_000  # characters of a body that an error keeps
_MESSAGE_DETAIL = 300  # characters of it that a message shows
_MESSAGE_PLACES = 2_000  # characters of the faulty places of a 422 that a message shows

_CLASSES: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    429: RateLimitError,
}

COPY_MAY_EXIST = "a copy may exist: look before you try again"

_ADVICE = {
    401: "check the key: api_key= or MILLIS_API_KEY",
    403: "check what this key may do",
    404: "check the agent's id, and that the region or base_url is where it lives",
}


def error_for_status(
    operation: Operation, status: int, body: bytes, *, retry_after: str | None, now: datetime
) -> APIStatusError:
    """Return the error for an answer with `status`; `retry_after` is that header's value, `now` the moment
    to count a date from.
    """
    detail = _detail(body)
    details: dict[str, Any] = {
        "status": status,
        "detail": detail,
        "body": body_start(body),
        "retry_after": parse_retry_after(retry_after, now),
    }
    if status == 422:
        errors = tuple(_field_errors(detail))
        words = "; ".join(f"{_place(error.loc)}: {_uncapital(error.msg)}" for error in errors)
        return UnprocessableEntityError(
            _message(operation, status, one_line(words, _MESSAGE_PLACES) or _reason(detail, body)),
            errors=errors,
            **details,
        )
    cls = InternalServerError if 500 <= status <= 599 else _CLASSES.get(status, APIStatusError)
    return cls(_message(operation, status, _reason(detail, body)), **details)


def body_start(body: bytes) -> str:
    """Return the start of `body` as text, whatever its bytes are."""
    return body[: 4 * BODY_START].decode("utf-8", "replace")[:BODY_START]


def stated_reason(value: Any) -> str | None:
    """Return the reason that a JSON answer states under `detail` or `error`, in one line; None when it
    states none.
    """
    if not is_object(value):
        return None
    for key in ("detail", "error"):
        stated = value.get(key)
        if is_object(stated) and stated.get("message"):
            stated = stated["message"]
        if stated:
            return one_line(stated if isinstance(stated, str) else write_json(stated), _MESSAGE_DETAIL)
    return None


def _detail(body: bytes) -> Any:
    value = read_json(body)
    if is_object(value):
        detail = value.get("detail")
        return detail if detail is not None else value.get("error")
    return value if isinstance(value, str) else None


def reason_in(body: bytes) -> str:
    """Return why a body is not what it should be, in its own words as far as it has any."""
    stated = stated_reason(read_json(body))
    return stated or one_line(body_start(body.lstrip()), _MESSAGE_DETAIL) or "its body is empty"


def _reason(detail: Any, body: bytes) -> str:
    return stated_reason({"detail": detail}) or one_line(body_start(body.lstrip()), _MESSAGE_DETAIL)


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
        parts.append("(a redirect is not followed, since the key would go along: check base_url)")
    return " ".join(parts)


def _field_errors(detail: Any) -> Iterator[FieldError]:
    # FastAPI's form of a 422: a list of {"loc", "msg", "type"}. What departs from it is shown as it came.
    for item in detail if is_array(detail) else ():
        if not is_object(item):
            yield FieldError((), write_json(item), "")
            continue
        loc, msg, kind = item.get("loc"), item.get("msg"), item.get("type")
        steps = [step for step in loc if isinstance(step, str | int)] if is_array(loc) else []
        if steps and steps[0] == "body":
            del steps[0]
        yield FieldError(
            tuple(steps),
            msg if isinstance(msg, str) else write_json(item),
            kind if isinstance(kind, str) else "",
        )


def _place(loc: tuple[str | int, ...]) -> str:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc)
    return path.removeprefix(".") or "the request"


def _uncapital(text: str) -> str:
    # "URL scheme" stays as it is.
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
