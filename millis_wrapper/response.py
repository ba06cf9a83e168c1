"""A complete response -> `DuplicatedAgent`, or the error for its status. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ._fork import delays_fork
from ._json import NOT_JSON, is_array, is_number, is_object, read_json, write_json
from ._key import Secret
from ._text import escape_control_characters, shorten
from .errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    FieldError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnexpectedResponseError,
    UnprocessableEntityError,
)
from .results import DuplicatedAgent
from .retry import Operation, parse_retry_after

if TYPE_CHECKING:
    from millis_api.models import AgentConfig


BODY_START = 2_000  # characters of a body that an error keeps
_MESSAGE_DETAIL = 300  # characters of a body that a message shows
_MESSAGE_PLACES = 2_000  # characters of the field errors of a 422 that a message shows

_CLASSES: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    429: RateLimitError,
}

_CONFIG = ("agent", "agent_config")  # where the config is in a chat request

COPY_MAY_EXIST = "a copy may exist, check before you retry"
# Headers whose values are credentials.
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})

_ADVICE = {
    401: "check the key: api_key= or MILLIS_API_KEY",
    403: "check the permissions of this key",
    404: "check the agent id, and that region or base_url is where the agent was created",
}


def error_for_status(
    operation: Operation,
    status_code: int,
    body: bytes,
    *,
    headers: Mapping[str, str],
    now: datetime,
    attempt: int = 1,
) -> APIStatusError:
    """Return the error for a response with an error status.

    Args:
        operation: The operation of the request.
        status_code: The HTTP status code.
        body: The response body, or its start.
        headers: The response headers by lowercase name.
        now: The current time, from which a Retry-After date counts.
        attempt: The number of this attempt, from 1.
    """
    detail = _detail(body)
    retry_after = parse_retry_after(headers.get("retry-after"), now)
    details: dict[str, Any] = {
        "status_code": status_code,
        "detail": detail,
        "body": body_start(body),
        "headers": headers,
        "retry_after": retry_after,
    }
    if status_code == 422:
        errors = tuple(_field_errors(detail))
        places = "; ".join(f"{_place(error.loc)}: {_uncapital(error.msg)}" for error in errors)
        reason = shorten(places, _MESSAGE_PLACES) or _reason_of(detail, body)
        if any(error.loc[:2] == _CONFIG for error in errors):
            reason += " (`millis config check FILE` explains configs)"
        return UnprocessableEntityError(
            _status_message(operation, status_code, reason),
            errors=errors,
            **details,
        )
    message = _status_message(operation, status_code, _reason_of(detail, body))
    if retry_after is not None:
        message += f" (the service asks to wait {retry_after:g} s)"
    if attempt > 1:
        message += f" (sent {attempt} times)"
    is_5xx = 500 <= status_code <= 599
    cls = InternalServerError if is_5xx else _CLASSES.get(status_code, APIStatusError)
    return cls(message, **details)


def shown_headers(headers: Iterable[tuple[str, str]], key: Secret) -> dict[str, str]:
    """Return response headers with credentials masked and control characters escaped, for an error."""
    return {
        name.lower(): "****"
        if name.lower() in _SECRET_HEADERS
        else escape_control_characters(key.redact_text(value))
        for name, value in headers
    }


def body_start(body: bytes) -> str:
    """Return the start of `body` as text, whatever its bytes are."""
    return body[: 4 * BODY_START].decode("utf-8", "replace")[:BODY_START]


def stated_reason(value: Any) -> str | None:
    """Return the reason that a JSON response gives, for example under `detail`, in one line, or None."""
    if not is_object(value):
        return None
    for key in ("detail", "error", "message"):
        stated = value.get(key)
        if is_object(stated) and stated.get("message"):
            stated = stated["message"]
        if stated:
            return shorten(stated if isinstance(stated, str) else write_json(stated), _MESSAGE_DETAIL)
    return None


def _detail(body: bytes) -> Any:
    value = read_json(body)
    if is_object(value):
        detail = value.get("detail")
        return detail if detail is not None else value.get("error")
    return value if isinstance(value, str) else None


def reason_in(body: bytes) -> str:
    """Return the reason in a response body: the stated one, or the start of the body."""
    stated = stated_reason(read_json(body))
    return stated or shorten(body_start(body.lstrip()), _MESSAGE_DETAIL) or "its body is empty"


def _reason_of(detail: Any, body: bytes) -> str:
    return stated_reason({"detail": detail}) or shorten(body_start(body.lstrip()), _MESSAGE_DETAIL)


def _status_message(operation: Operation, status: int, reason: str) -> str:
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
        parts.append("(the client does not follow redirects, which would take the key along; check base_url)")
    return " ".join(parts)


def _field_errors(detail: Any) -> Iterator[FieldError]:
    # FastAPI's form of a 422 is a list of {"loc", "msg", "type"}. Other items are shown unchanged.
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


# The contract says integer without a unit, so the size decides: this number of seconds is in the year 5138,
# and this number of milliseconds in 1973.
_LARGEST_SECONDS = 1e11
# A date without hyphens (20250101) is shorter. dateutil would read longer digits as a date and a time.
_COUNT = re.compile(r"\d{9,20}", re.ASCII)


@cache
@delays_fork
def prepare_reading() -> None:
    """Import the modules that `read_duplicated_agent` needs.

    This runs before the request is sent: an import that fails afterwards (no more file descriptors, a warning
    that is an error) would lose the id of a copy that was made.
    """
    from millis_api import models

    for name in models.__all__:  # each is imported at its first use
        getattr(models, name)
    # Parsers and codecs import more modules at their first use.
    read_duplicated_agent(b'{"id": "x", "name": "", "config": {"voice": {}}, "created_at": "2025-01-01"}')


def read_duplicated_agent(
    body: bytes, headers: Mapping[str, str] | None = None, *, redact: Callable[[bytes], bytes] = bytes
) -> DuplicatedAgent:
    """Parse the response of `duplicate`.

    Args:
        body: The response body.
        headers: The response headers, for an error.
        redact: Removes the key from bytes that go into an error.

    Raises:
        UnexpectedResponseError: The body has no agent id. Any other oddity is kept in `raw`.
    """
    raw = read_json(body, deep_as_text=True)
    agent_id = _id(raw.get("id")) if is_object(raw) else None
    if raw is NOT_JSON:
        problem = "is not JSON"
    elif not is_object(raw):
        problem = "is not a JSON object"
    else:
        problem = "has no id"
    if agent_id is None:
        body, raw = redact(body), None  # so that the frames of a traceback do not hold the key
        coding = (headers or {}).get("content-encoding")
        coded = f"content-encoding: {coding}; " if coding else ""
        message = f"the response to duplicate {problem} ({coded}{reason_in(body)}); {COPY_MAY_EXIST}"
        raise UnexpectedResponseError(message, body=body_start(body), headers=headers)
    name = raw.get("name")
    return DuplicatedAgent(
        id=agent_id,
        name=name if isinstance(name, str) else None,
        created_at=read_moment(raw.get("created_at")),
        # Parsed again, so that changing the config does not change `raw`.
        config=_config(read_json(body, deep_as_text=True).get("config")),
        raw=raw,
    )


def read_moment(value: Any) -> datetime | None:
    """Return a moment as an aware datetime in UTC, or None if `value` is not one.

    A number, also as text, counts from the epoch: in milliseconds above 1e11, otherwise in seconds. Other
    text is parsed as ISO 8601, in UTC unless it has a time zone.
    """
    try:
        if isinstance(value, str) and _COUNT.fullmatch(value):
            value = int(value)
        if isinstance(value, str):
            from dateutil import parser

            moment = parser.isoparse(value)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        if is_number(value):
            return datetime.fromtimestamp(value / 1000 if abs(value) > _LARGEST_SECONDS else value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def _id(value: Any) -> str | None:
    # A whole number is accepted as an id; true and 1.5 are not.
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def _config(value: Any) -> AgentConfig | None:
    if not is_object(value):
        return None
    from millis_api.models import AgentConfig

    return AgentConfig.from_dict(value)
