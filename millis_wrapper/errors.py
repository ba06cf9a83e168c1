"""The exceptions that this library raises.

MillisError                       `maybe_processed`: whether the service may have acted on the request
├── ConfigurationError            an argument or setting is invalid; nothing was sent (also a ValueError)
├── APIConnectionError            no complete response arrived
│   └── APITimeoutError           no complete response arrived in time
├── APIStatusError                the service returned an error status
│   ├── BadRequestError           400
│   ├── AuthenticationError       401
│   ├── PermissionDeniedError     403
│   ├── NotFoundError             404
│   ├── UnprocessableEntityError  422; `errors` names each faulty field
│   ├── RateLimitError            429; `retry_after` in seconds
│   └── InternalServerError       5xx
├── StreamError                   the reply is incomplete; `reply` holds the part that was received
│   ├── StreamInterruptedError    connection lost, timed out, cut off, malformed, or closed early
│   └── StreamFailedError         the service reported an error in the stream
└── UnexpectedResponseError       a success response does not match the contract; `body` holds its start

UnknownFieldWarning               a config has a key that the contract does not describe (it is still sent)

Each class can be built from a message alone, as task queues and mocks do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from .results import ChatReply

if TYPE_CHECKING:
    from collections.abc import Mapping

# With these statuses the service refused the request unprocessed. A 408 can follow a request that was
# processed.
_REFUSED = frozenset(range(400, 500)) - {408}

# Parts of a message that name Python attributes and arguments -> their replacements.
_PYTHON_NAMES = (
    (re.compile(r"[;,] [^;,]*(?<![\w.])\.(?:reply|body|raw|headers)\b[^;]*"), ""),
    (re.compile(r"\bpass \w+= or "), ""),
    (re.compile(r"(?<![\w.])\w+=\w* or (?=MILLIS_)|, or pass \w+="), ""),
    (re.compile(r"\bregion or base_url\b"), "region or MILLIS_BASE_URL"),
)


class MillisError(Exception):
    """Base class of all exceptions that this library raises."""

    maybe_processed: bool = True
    """Whether the service may have acted on the request. False only if nothing was sent or the service
    refused the request without processing it."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)

    # Without this method, pickle and deepcopy would call __init__ without the keyword arguments.
    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(cls: type[MillisError], args: tuple[Any, ...], state: dict[str, Any]) -> MillisError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class ConfigurationError(MillisError, ValueError):
    """An argument or setting is missing or invalid; nothing was sent."""

    maybe_processed = False


class APIConnectionError(MillisError):
    """No complete response arrived."""

    body: str
    """The received part of a response body that was cut off, as text; "" if nothing was received."""
    is_permanent: bool
    """Whether a retry would fail in the same way, such as after a bad certificate or a refused proxy
    password."""

    def __init__(
        self,
        message: str = "",
        *,
        maybe_processed: bool = True,
        body: str = "",
        is_permanent: bool = False,
    ) -> None:
        super().__init__(message)
        self.maybe_processed = maybe_processed
        self.body = body
        self.is_permanent = is_permanent


class APITimeoutError(APIConnectionError):
    """A timeout expired before the response was complete."""


class APIStatusError(MillisError):
    """The service returned an error status."""

    status_code: int = 0
    """The HTTP status code; 0 in an error that was built without one."""
    detail: Any
    """The reason that the service gave: usually a str, a list for a 422, or None without a reason."""
    body: str
    """The start of the response body, as text."""
    headers: Mapping[str, str]
    """The response headers by lowercase name, with the key redacted. They may hold a request id for
    support."""
    retry_after: float | None
    """How long the service asks to wait before a retry, in seconds, or None."""

    def __init__(
        self,
        message: str = "",
        *,
        status_code: int | None = None,
        detail: Any = None,
        body: str = "",
        headers: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = type(self).status_code if status_code is None else status_code
        self.detail = detail
        self.body = body
        self.headers = dict(headers or {})
        self.retry_after = retry_after
        self.maybe_processed = self.status_code not in _REFUSED


class BadRequestError(APIStatusError):
    """400: the service could not parse the request."""

    status_code: int = 400


class AuthenticationError(APIStatusError):
    """401: the key is missing or invalid."""

    status_code: int = 401


class PermissionDeniedError(APIStatusError):
    """403: the key has no permission for this request."""

    status_code: int = 403


class NotFoundError(APIStatusError):
    """404: the agent, or the URL path, does not exist."""

    status_code: int = 404


class FieldError(NamedTuple):
    """One invalid field of a request that the service refused."""

    loc: tuple[str | int, ...]
    """Path to the field from the top of the request body, such as `("messages", 0, "content")`."""
    msg: str
    """The service's description of the problem."""
    type: str
    """The service's code for the kind of problem."""


class UnprocessableEntityError(APIStatusError):
    """422: the service refused a value in the request."""

    status_code: int = 422

    errors: tuple[FieldError, ...]
    """The invalid fields that the service named."""

    def __init__(
        self,
        message: str = "",
        *,
        status_code: int | None = None,
        detail: Any = None,
        body: str = "",
        headers: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        errors: tuple[FieldError, ...] = (),
    ) -> None:
        super().__init__(
            message,
            status_code=status_code,
            detail=detail,
            body=body,
            headers=headers,
            retry_after=retry_after,
        )
        self.errors = errors


class RateLimitError(APIStatusError):
    """429: too many requests; nothing was processed."""

    status_code: int = 429


class InternalServerError(APIStatusError):
    """5xx: the service, or a gateway in front of it, failed; the service may have acted on the request."""

    status_code: int = 500


class StreamError(MillisError):
    """The reply is incomplete."""

    reply: ChatReply
    """The part of the reply that was received."""

    def __init__(
        self, message: str = "", *, reply: ChatReply | None = None, maybe_processed: bool = True
    ) -> None:
        super().__init__(message)
        self.reply = ChatReply() if reply is None else reply
        self.maybe_processed = maybe_processed


class StreamInterruptedError(StreamError):
    """The connection was lost, the stream timed out, was cut off, was malformed, or was closed early."""


class StreamFailedError(StreamError):
    """The service reported an error in the stream."""

    error: Any
    """The error that the service sent: a dict if it is a JSON object, otherwise text."""

    def __init__(self, message: str = "", *, reply: ChatReply | None = None, error: Any = None) -> None:
        super().__init__(message, reply=reply)
        self.error = error


class UnexpectedResponseError(MillisError):
    """The service returned a success response that does not match the contract."""

    body: str
    """The start of the response body, as text."""
    headers: Mapping[str, str]
    """The response headers by lowercase name, with the key redacted."""

    def __init__(
        self, message: str = "", *, body: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.body = body
        self.headers = dict(headers or {})


def missing_extra(what: str, package: str, extra: str) -> ConfigurationError:
    """Return the error for an optional dependency that is not installed.

    Args:
        what: The feature that needs the package.
        package: The missing package.
        extra: The extra of millis-wrapper that installs it.
    """
    return ConfigurationError(
        f"{what} needs {package}; in a clone of millis-wrapper, run pip install '.[{extra}]'"
    )


def plain_message(error: BaseException) -> str:
    """Return the message of `error` without Python names, for users of a command, a server or a tool."""
    message = str(error)
    for pattern, replacement in _PYTHON_NAMES:
        message = pattern.sub(replacement, message)
    return message


class UnknownFieldWarning(UserWarning):
    """A config has a key that the contract does not describe. The key is still sent."""
