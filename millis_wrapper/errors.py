"""Every way in which a call can fail.

MillisError
├── ConfigurationError            the call or the client is wrong; nothing was sent (also a ValueError)
├── APIConnectionError            no whole answer; `maybe_processed` tells whether the service may have acted
│   └── APITimeoutError           no whole answer within a limit
├── APIStatusError                the service answered with an error status
│   ├── BadRequestError           400
│   ├── AuthenticationError       401
│   ├── PermissionDeniedError     403
│   ├── NotFoundError             404
│   ├── UnprocessableEntityError  422; `errors` names each faulty place
│   ├── RateLimitError            429; `retry_after` in seconds
│   └── InternalServerError       5xx
├── StreamError                   the reply is not whole; `reply` holds what had come
│   ├── StreamInterruptedError    lost, timed out, cut, or left early
│   └── StreamFailedError         the service reported an error in the stream
└── UnexpectedResponseError       a success that is not what the contract says; `body` holds what had come

UnknownFieldWarning               a config key that the contract does not know (it is sent all the same)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .chat import ChatReply


class MillisError(Exception):
    """The root of all errors that this library raises."""

    # Without this, pickle and deepcopy would call __init__ with the message alone, and miss the keyword
    # arguments.
    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(cls: type[MillisError], args: tuple[Any, ...], state: dict[str, Any]) -> MillisError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class ConfigurationError(MillisError, ValueError):
    """An argument or a setting is missing or wrong; nothing was sent."""


class APIConnectionError(MillisError):
    """No usable answer came back.

    `maybe_processed` is False only when the request provably never reached the service; `body` is what had
    come of an answer that broke off.
    """

    def __init__(self, message: str, *, maybe_processed: bool, body: str = "") -> None:
        super().__init__(message)
        self.maybe_processed = maybe_processed
        self.body = body


class APITimeoutError(APIConnectionError):
    """A time limit passed before the answer was there."""


class APIStatusError(MillisError):
    """The service answered with an error status.

    `status_code` is the HTTP status, `detail` what the service gave as the reason (mostly a str, a list for a
    422, None when it gave none), `body` the start of the body as text, `retry_after` the seconds that the
    service asked to wait, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        detail: Any = None,
        body: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.detail = detail
        self.body = body
        self.retry_after = retry_after


class BadRequestError(APIStatusError):
    """400: the service could not read the request."""


class AuthenticationError(APIStatusError):
    """401: the key is missing or wrong."""


class PermissionDeniedError(APIStatusError):
    """403: the key may not do this."""


class NotFoundError(APIStatusError):
    """404: no such agent, or no such address."""


class FieldError(NamedTuple):
    """One faulty place in a refused request.

    `loc` is the way to it from the body's top (`("messages", 0, "content")`), `msg` the service's words,
    `type` its code for the fault.
    """

    loc: tuple[str | int, ...]
    msg: str
    type: str


class UnprocessableEntityError(APIStatusError):
    """422: the service refused what was asked; `errors` names each faulty place that it named."""

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        detail: Any = None,
        body: str = "",
        retry_after: float | None = None,
        errors: tuple[FieldError, ...] = (),
    ) -> None:
        super().__init__(message, status_code=status_code, detail=detail, body=body, retry_after=retry_after)
        self.errors = errors


class RateLimitError(APIStatusError):
    """429: too many requests; nothing was processed."""


class InternalServerError(APIStatusError):
    """5xx: the service, or a gateway before it, failed; the request may have been acted on."""


class StreamError(MillisError):
    """The reply is not whole; `reply` holds what had come."""

    def __init__(self, message: str, *, reply: ChatReply) -> None:
        super().__init__(message)
        self.reply = reply


class StreamInterruptedError(StreamError):
    """The stream was lost, timed out, was cut, or was left by the caller before its end."""


class StreamFailedError(StreamError):
    """The service reported an error in the stream; `error` is what it sent."""

    def __init__(self, message: str, *, reply: ChatReply, error: Any = None) -> None:
        super().__init__(message, reply=reply)
        self.error = error


class UnexpectedResponseError(MillisError):
    """The service said yes with something that the contract does not promise; `body` is the start of it as
    text.
    """

    def __init__(self, message: str, *, body: str = "") -> None:
        super().__init__(message)
        self.body = body


class UnknownFieldWarning(UserWarning):
    """A config key that the contract does not know; it is sent all the same."""
