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
from ._paths import format_path
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
    cls.status_code: cls
    for cls in (
        BadRequestError,
        AuthenticationError,
        PermissionDeniedError,
        NotFoundError,
        UnprocessableEntityError,
        RateLimitError,
    )
}

COPY_MAY_EXIST = "a copy may exist, check before you retry"
# Headers whose values are credentials.
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})

_ADVICE = {
    401: "check the key (api_key= or MILLIS_API_KEY)",
    403: "check the permissions of this key",
    404: "check the agent id, and that region or base_url selects the host on which the agent was created",
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

    `headers` have lowercase names, a Retry-After date counts from `now`, and `attempt` counts from 1.
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
    reason = ""
    if status_code == 422:
        details["errors"] = tuple(_field_errors(detail))
        places = "; ".join(map(_describe, details["errors"]))
        reason = shorten(_masked(places), _MESSAGE_PLACES)
    try:
        status = f"{status_code} {HTTPStatus(status_code).phrase}"
    except ValueError:
        status = str(status_code)
    reason = reason or reason_in(body, "the service did not give a reason")
    parts = [f"[{status}] {reason.removesuffix('.')}"]
    if operation == "duplicate" and (status_code >= 500 or status_code == 408):
        parts.append(COPY_MAY_EXIST)
    if status_code in _ADVICE:
        parts.append(_ADVICE[status_code])
    if 300 <= status_code <= 399:
        parts.append(
            "the client does not follow redirects, which could forward the key; check region or base_url"
        )
    if retry_after is not None:
        parts.append(f"retry after {retry_after:g} s")
    if attempt > 1:
        parts.append(f"the client sent the request {attempt} times")
    is_5xx = 500 <= status_code <= 599
    cls = InternalServerError if is_5xx else _CLASSES.get(status_code, APIStatusError)
    return cls("; ".join(parts), **details)


def masked_headers(headers: Iterable[tuple[str, str]], key: Secret) -> dict[str, str]:
    """Return response headers with credentials masked and control characters escaped, for an error."""
    return {
        name.lower(): "****"
        if name.lower() in _SECRET_HEADERS
        else escape_control_characters(key.redact_text(value))
        for name, value in headers
    }


def body_start(body: bytes) -> str:
    """Return the start of `body` as text, even if it is not valid UTF-8."""
    return body[: 4 * BODY_START].decode("utf-8", "replace")[:BODY_START]


def stated_reason(value: Any) -> str | None:
    """Return the `detail`, `error` or `message` of a JSON object in one line, or None."""
    if not is_object(value):
        return None
    for key in ("detail", "error", "message"):
        stated = value.get(key)
        if is_object(stated) and stated.get("message"):
            stated = stated["message"]
        if stated:
            return _quote(stated)
    return None


def reason_in(body: bytes, default: str = "its body is empty") -> str:
    """Return the reason that a response body states, or else the start of the body, or `default`."""
    value = read_json(body)
    stated = stated_reason({"detail": value} if isinstance(value, str) else value)
    if stated is None:
        has_secret = value is not NOT_JSON and _masked(value) != value
        stated = _quote(value if has_secret else body_start(body.lstrip()))
    return stated or default


def _quote(value: Any) -> str:
    """Return a value of a response in one line, with masked secrets, because it may repeat a config."""
    masked = _masked(value)
    return shorten(masked if isinstance(masked, str) else write_json(masked), _MESSAGE_DETAIL)


@delays_fork
def _masked(value: Any) -> Any:
    from millis_api.masking import mask_unknown

    return mask_unknown(value)


def _detail(body: bytes) -> Any:
    value = read_json(body)
    if is_object(value):
        detail = value.get("detail")
        return detail if detail is not None else value.get("error")
    return value if isinstance(value, str) else None


def _field_errors(detail: Any) -> Iterator[FieldError]:
    # FastAPI's form of a 422 is a list of {"loc", "msg", "type"}. The message of another item is its JSON.
    for item in detail if is_array(detail) else ():
        fields: dict[str, Any] = item if is_object(item) else {}
        loc, msg, kind = fields.get("loc"), fields.get("msg"), fields.get("type")
        steps = [step for step in loc if isinstance(step, str | int)] if is_array(loc) else []
        if steps and steps[0] == "body":
            del steps[0]
        yield FieldError(
            tuple(steps),
            msg if isinstance(msg, str) else write_json(_masked(item)),
            kind if isinstance(kind, str) else "",
        )


def _describe(error: FieldError) -> str:
    text = error.msg
    if not text[1:2].isupper():  # "URL scheme" keeps its capitals
        text = text[:1].lower() + text[1:]
    return f"{format_path(error.loc) or 'the request'}: {text}"


# The contract does not state a unit, so the size decides: this number of seconds is in the year 5138,
# and this number of milliseconds in 1973.
_LARGEST_SECONDS = 1e11
# Fewer digits can be a date without hyphens (20250101). More would be a date and a time for dateutil.
_COUNT = re.compile(r"\d{9,20}", re.ASCII)


@cache
@delays_fork
def prepare_reading() -> None:
    """Import the modules that `read_duplicated_agent` needs, before the client sends the request.

    An import that fails afterwards, because of too many open files or a warning that is an error, would lose
    the id of the copy.
    """
    from millis_api import models

    for name in models.__all__:  # each is imported at its first use
        getattr(models, name)
    # Masking, parsers and codecs import more modules at their first use.
    _masked(None)
    read_duplicated_agent(b'{"id": "x", "name": "", "config": {"voice": {}}, "created_at": "2025-01-01"}')


def read_duplicated_agent(
    body: bytes, headers: Mapping[str, str] | None = None, *, redact: Callable[[bytes], bytes] = bytes
) -> DuplicatedAgent:
    """Parse the response of `duplicate`. `redact` removes the key from the body in an error.

    Raises:
        UnexpectedResponseError: The body does not contain an agent id. `raw` keeps other invalid values.
    """
    raw = read_json(body, deep_as_text=True)
    agent_id = _id(raw.get("id")) if is_object(raw) else None
    if agent_id is None:
        what = "JSON" if raw is NOT_JSON else "a JSON object"
        problem = "has no id" if is_object(raw) else f"is not {what}"
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

    A number, also as a str, counts from the epoch: in milliseconds above 1e11, otherwise in seconds. Another
    str is parsed as ISO 8601, in UTC unless it has a time zone.
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
    # An integer is accepted as an id; true and 1.5 are not.
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def _config(value: Any) -> AgentConfig | None:
    if not is_object(value):
        return None
    from millis_api.models import AgentConfig

    return AgentConfig.from_dict(value)
