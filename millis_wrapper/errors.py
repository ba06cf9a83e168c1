"""Every way in which a call can fail.

MillisError                       `maybe_processed`: may the service have acted on the request?
├── ConfigurationError            an argument or a setting is wrong; nothing was sent (also a ValueError)
├── APIConnectionError            no complete answer came
│   └── APITimeoutError           no complete answer came in time
├── APIStatusError                the service answered with an error status
│   ├── BadRequestError           400
│   ├── AuthenticationError       401
│   ├── PermissionDeniedError     403
│   ├── NotFoundError             404
│   ├── UnprocessableEntityError  422; `errors` names each faulty field
│   ├── RateLimitError            429; `retry_after` in seconds
│   └── InternalServerError       5xx
├── StreamError                   the reply is not whole; `reply` holds what had come
│   ├── StreamInterruptedError    lost, timed out, cut, garbled, or left early
│   └── StreamFailedError         the service reported an error in the stream
└── UnexpectedResponseError       a success that does not follow the contract; `body` holds what had come

UnknownFieldWarning               a config key that the contract does not know (it is sent all the same)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .results import ChatReply

# Refusals: the service read the request and did nothing with it. A 408 may come after the work was done.
_REFUSED = frozenset(range(400, 500)) - {408}


class MillisError(Exception):
    """The root of all errors that this library raises."""

    maybe_processed: bool = True
    """Whether the service may have acted on the request; False only when nothing was sent, or when the
    service refused it unprocessed."""

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

    maybe_processed = False


class APIConnectionError(MillisError):
    """No usable answer came back."""

    body: str
    """What had come of an answer that was cut, as text; "" when nothing had."""
    is_permanent: bool
    """Whether the same call would fail again: a bad certificate, a password that a proxy refuses."""

    def __init__(
        self, message: str, *, maybe_processed: bool, body: str = "", is_permanent: bool = False
    ) -> None:
        super().__init__(message)
        self.maybe_processed = maybe_processed
        self.body = body
        self.is_permanent = is_permanent


class APITimeoutError(APIConnectionError):
    """A time limit passed before the answer was complete."""


class APIStatusError(MillisError):
    """The service answered with an error status."""

    status_code: int
    """The HTTP status code."""
    detail: Any
    """The reason that the service gave: mostly a str, a list for a 422, None when it gave none."""
    body: str
    """The start of the answer's body, as text."""
    headers: Mapping[str, str]
    """The answer's headers by lower-case name, without the key: for a request id in a support ticket."""
    retry_after: float | None
    """The seconds that the service asked to wait, or None."""

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        detail: Any = None,
        body: str = "",
        headers: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.detail = detail
        self.body = body
        self.headers = dict(headers or {})
        self.retry_after = retry_after
        self.maybe_processed = status_code not in _REFUSED


class BadRequestError(APIStatusError):
    """400: the service could not read the request."""


class AuthenticationError(APIStatusError):
    """401: the key is missing or wrong."""


class PermissionDeniedError(APIStatusError):
    """403: the key may not do this."""


class NotFoundError(APIStatusError):
    """404: there is no such agent, or no such path."""


class FieldError(NamedTuple):
    """One faulty field of a refused request."""

    loc: tuple[str | int, ...]
    """The path to it from the top of the body: `("messages", 0, "content")`."""
    msg: str
    """What is wrong with it, in the service's words."""
    type: str
    """The service's code for what is wrong."""


class UnprocessableEntityError(APIStatusError):
    """422: the service refused what was asked."""

    errors: tuple[FieldError, ...]
    """Each faulty field that the service named."""

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
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


class InternalServerError(APIStatusError):
    """5xx: the service, or a gateway before it, failed; it may have acted on the request."""


class StreamError(MillisError):
    """The reply is not whole."""

    reply: ChatReply
    """What had come of the reply."""

    def __init__(self, message: str, *, reply: ChatReply, maybe_processed: bool = True) -> None:
        super().__init__(message)
        self.reply = reply
        self.maybe_processed = maybe_processed


class StreamInterruptedError(StreamError):
    """The stream was lost, timed out, was cut or garbled, or was left by the caller before its end."""


class StreamFailedError(StreamError):
    """The service reported an error in the stream."""

    error: Any
    """What the service sent: a dict where it was a JSON object, else text."""

    def __init__(self, message: str, *, reply: ChatReply, error: Any = None) -> None:
        super().__init__(message, reply=reply)
        self.error = error


class UnexpectedResponseError(MillisError):
    """The service answered with a success that does not follow the contract."""

    body: str
    """The start of the answer's body, as text."""
    headers: Mapping[str, str]
    """The answer's headers by lower-case name, without the key."""

    def __init__(self, message: str, *, body: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.body = body
        self.headers = dict(headers or {})


def missing_extra(what: str, package: str, extra: str) -> ConfigurationError:
    """Return the error for an optional dependency that is not installed.

    Args:
        what: what needs it.
        package: the package that is missing.
        extra: the extra that brings it.
    """
    return ConfigurationError(
        f"{what} needs {package}: in a clone of millis-wrapper, pip install '.[{extra}]'"
    )


class UnknownFieldWarning(UserWarning):
    """A config key that the contract does not know; it is sent all the same."""
