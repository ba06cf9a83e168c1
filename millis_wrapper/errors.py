"""The exceptions that this library raises.

MillisError                       `maybe_processed`: whether the service may have acted on the request
├── ConfigurationError            an argument or setting is missing or invalid (also a ValueError)
├── APIConnectionError            the connection failed, or the response was cut off
│   └── APITimeoutError           a timeout expired
├── APIStatusError                the service returned an error status
│   ├── BadRequestError           400
│   ├── AuthenticationError       401
│   ├── PermissionDeniedError     403
│   ├── NotFoundError             404
│   ├── UnprocessableEntityError  422; `errors` lists the invalid fields
│   ├── RateLimitError            429; `retry_after` is in seconds
│   └── InternalServerError       5xx
├── StreamError                   the reply is incomplete; `reply` holds the received part
│   ├── StreamInterruptedError    the stream was cut off, malformed or closed early, or it timed out
│   └── StreamFailedError         the service reported an error in the stream
└── UnexpectedResponseError       a success response does not match the contract; `body` holds its start

UnknownFieldWarning               a config has a key that the contract does not describe; it is still sent

Each class can be created from a message alone, as task queues and mocks do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from .results import ChatReply

if TYPE_CHECKING:
    from collections.abc import Mapping

# With these statuses, the service has not processed the request. A 408 does not show whether it has.
_REFUSED = frozenset(range(400, 500)) - {408}

# Parts of a message that name a Python attribute or argument -> their replacements.
_PYTHON_NAMES = (
    (re.compile(r"[;,] [^;,]*(?<![\w.])\.(?:reply|body|raw|headers)\b[^;]*"), ""),
    (re.compile(r"\bpass \w+= or "), ""),
    (re.compile(r"(?<![\w.])\w+=\w* or (?=MILLIS_)|, or pass \w+="), ""),
    (re.compile(r"\bregion or base_url\b"), "region or MILLIS_BASE_URL"),
    (re.compile(r'\bagent_config\["prompt"\]'), "the config's prompt"),
)


class MillisError(Exception):
    """Base class of all exceptions that this library raises."""

    maybe_processed: bool = True
    """Whether the service may have acted on the request. False if the client sent nothing or the service
    refused the request."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)

    # By default, pickle and copy would call __init__ with the message alone.
    def __reduce__(self) -> tuple[Any, ...]:
        return Exception.__new__, (type(self), *self.args), self.__dict__


class ConfigurationError(MillisError, ValueError):
    """An argument or setting is missing or invalid. The client sent nothing."""

    maybe_processed = False


class APIConnectionError(MillisError):
    """The connection failed, or the response was cut off."""

    body: str
    """The received part of the response body, as text."""
    is_permanent: bool
    """Whether a retry would fail, too, for example because the certificate is invalid."""

    def __init__(
        self, message: str = "", *, maybe_processed: bool = True, body: str = "", is_permanent: bool = False
    ) -> None:
        super().__init__(message)
        self.maybe_processed = maybe_processed
        self.body = body
        self.is_permanent = is_permanent


class APITimeoutError(APIConnectionError):
    """A timeout expired before the client received the complete response."""


class APIStatusError(MillisError):
    """The service returned an error status."""

    status_code: int = 0
    """The HTTP status code, or 0 if the error was created without one."""
    detail: Any
    """The reason that the service gave: usually a str, for a 422 a list, or None."""
    body: str
    """The start of the response body, as text."""
    headers: Mapping[str, str]
    """The response headers by lowercase name, with secrets masked. They may contain a request id, which
    helps in a support request."""
    retry_after: float | None
    """The delay before a retry that the service asks for, in seconds, or None."""

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
    """400: the request is malformed."""

    status_code: int = 400


class AuthenticationError(APIStatusError):
    """401: the key is missing or invalid."""

    status_code: int = 401


class PermissionDeniedError(APIStatusError):
    """403: the key does not have permission for this request."""

    status_code: int = 403


class NotFoundError(APIStatusError):
    """404: the agent or the URL path does not exist."""

    status_code: int = 404


class FieldError(NamedTuple):
    """One invalid field of a request that the service refused."""

    loc: tuple[str | int, ...]
    """The path to the field in the request body, such as `("messages", 0, "content")`."""
    msg: str
    """The service's description of the problem."""
    type: str
    """The kind of problem, as a code of the service."""


class UnprocessableEntityError(APIStatusError):
    """422: the request contains an invalid value."""

    status_code: int = 422

    errors: tuple[FieldError, ...]
    """The invalid fields, as far as the service named them."""

    def __init__(self, message: str = "", *, errors: tuple[FieldError, ...] = (), **details: Any) -> None:
        super().__init__(message, **details)
        self.errors = errors


class RateLimitError(APIStatusError):
    """429: the client sent too many requests. The service did not process this one."""

    status_code: int = 429


class InternalServerError(APIStatusError):
    """5xx: the service, or a gateway in front of it, failed. It may have acted on the request."""

    status_code: int = 500


class StreamError(MillisError):
    """The reply is incomplete."""

    reply: ChatReply
    """The received part of the reply."""

    def __init__(
        self, message: str = "", *, reply: ChatReply | None = None, maybe_processed: bool = True
    ) -> None:
        super().__init__(message)
        self.reply = ChatReply() if reply is None else reply
        self.maybe_processed = maybe_processed


class StreamInterruptedError(StreamError):
    """The stream was cut off, malformed or closed early, or it timed out."""


class StreamFailedError(StreamError):
    """The service reported an error in the stream."""

    error: Any
    """The error that the service sent: a dict for a JSON object, otherwise a str."""

    def __init__(self, message: str = "", *, reply: ChatReply | None = None, error: Any = None) -> None:
        super().__init__(message, reply=reply)
        self.error = error


class UnexpectedResponseError(MillisError):
    """A success response does not match the contract."""

    body: str
    """The start of the response body, as text."""
    headers: Mapping[str, str]
    """The response headers by lowercase name, with secrets masked."""

    def __init__(
        self, message: str = "", *, body: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.body = body
        self.headers = dict(headers or {})


def missing_extra(what: str, package: str, extra: str) -> ConfigurationError:
    """Return the error for a missing `package`, which `what` needs and the extra `extra` installs."""
    return ConfigurationError(
        f"{what} needs {package}; in a clone of millis-wrapper, run pip install '.[{extra}]'"
    )


def plain_message(error: BaseException) -> str:
    """Return the message of `error` without Python names, for users of the command and the servers."""
    message = str(error)
    for pattern, replacement in _PYTHON_NAMES:
        message = pattern.sub(replacement, message)
    return message


class UnknownFieldWarning(UserWarning):
    """A config has a key that the contract does not describe. The key is still sent."""
