"""httpx's exceptions -> ours, in words that say what may have happened and do not tell the key."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from ._http import Body, Deadline, TotalTimeout
from ._text import shorten
from .chat import ReplyBuilder
from .errors import APIConnectionError, APITimeoutError
from .options import Settings, Timeout
from .request import PreparedRequest
from .response import COPY_MAY_EXIST

# What httpx raises around a send. The last is for asyncio's complaint about another event loop.
SENDING_ERRORS = (httpx.RequestError, httpx.InvalidURL, RuntimeError)
# And while a body is read. The last is for one that was closed, or read by a hook of the caller's, before.
READING_ERRORS = (httpx.RequestError, httpx.StreamError)

# httpx raises these before it has written a byte of the request: there was no connection to write it to.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
_WHILE_WRITING = (httpx.WriteTimeout, httpx.WriteError, httpx.LocalProtocolError)


def sending_failure(
    error: Exception, request: httpx.Request, settings: Settings, call: PreparedRequest, limits: Timeout
) -> Exception:
    """Return what to raise for what httpx raised around a send, with what may have happened.

    It has to be raised where httpx's error is no longer handled: else that stays in its `__context__`, and
    its frames may hold the key.
    """
    if not isinstance(error, RuntimeError):
        cause = _without_key(error, settings.key.redact)
        unsent = _unsent(cause, settings, limits) if _is_about(request, error) else None
        return _caused(unsent or _unanswered(cause, settings, call, limits), cause)
    if "loop" not in str(error):
        return error
    # asyncio's words; by then an idle connection of the other loop has carried the request out.
    words = (
        f"http_client: {error}; an httpx.AsyncClient works only in the event loop that first used it: use"
        f" one for each, or let AsyncMillis make its own; {_may_have(call)}"
    )
    return _caused(APIConnectionError(words, maybe_processed=True), error)


def reading_failure(error: Exception, settings: Settings, call: PreparedRequest, body: Body) -> Exception:
    """Return what to raise, as above, for what httpx raised while an answer was read whole, with what had
    come of it.
    """
    cause = _without_key(error, settings.key.redact)
    cls = APITimeoutError if isinstance(cause, httpx.TimeoutException) else APIConnectionError
    failure = cls(
        f"the answer from {settings.base_url} broke off: {_what_broke(cause, body.deadline)};"
        f" {_may_have(call)}; .body holds what had come",
        maybe_processed=True,
        body=settings.key.redact(bytes(body.data)).decode("utf-8", "replace"),
    )
    return _caused(failure, cause)


def stream_failure(error: Exception, core: ReplyBuilder, deadline: Deadline) -> Exception | None:
    """Return what to raise, as above, for what httpx raised while a stream was read; None for a stream that
    was closed meanwhile, which has an error of its own.
    """
    if core.over:
        return None
    cause = _without_key(error, core.redact)
    return _caused(core.interrupted(f"the stream broke off: {_what_broke(cause, deadline)}"), cause)


def _caused(failure: Exception, cause: Exception) -> Exception:
    failure.__cause__ = cause
    return failure


def _is_about(request: httpx.Request, error: Exception) -> bool:
    """Whether httpx raised `error` for this request: a hook of the caller's may make others."""
    try:
        return isinstance(error, httpx.RequestError) and error.request is request
    except RuntimeError:  # it was raised outside of any
        return False


def _without_key(error: Exception, redact: Callable[[bytes], bytes]) -> Exception:
    """Return `error`, or where the key is in it a copy that has nothing but the words left.

    The frames in which a request was being written hold its head, and h11 quotes what it cannot read.
    """
    text = str(error)
    hidden = redact(text.encode("utf-8", "replace")).decode()
    if hidden == text and not isinstance(error, _WHILE_WRITING):
        return error
    # A subclass that is not httpx's own may want other arguments.
    own = (cls for cls in type(error).__mro__ if issubclass(cls, Exception))
    return next(cls for cls in own if cls.__module__.partition(".")[0] == "httpx")(hidden)


def _unsent(error: Exception, settings: Settings, limits: Timeout) -> APIConnectionError | None:
    if not isinstance(error, _NEVER_SENT):
        return None
    cls = APITimeoutError if isinstance(error, httpx.TimeoutException) else APIConnectionError
    waited = f" ({_limit_of(error, limits)})" if cls is APITimeoutError else ""
    return cls(
        f"no connection to {settings.base_url}{waited}: {_words(error)}; nothing was sent",
        maybe_processed=False,
    )


def _unanswered(
    error: Exception, settings: Settings, call: PreparedRequest, limits: Timeout
) -> APIConnectionError:
    if isinstance(error, httpx.TimeoutException):
        return APITimeoutError(
            f"no answer from {settings.base_url} ({_limit_of(error, limits)}); {_may_have(call)}",
            maybe_processed=True,
        )
    if isinstance(error, httpx.InvalidURL):
        # httpx looks at the address of a redirect although it is not to follow it.
        what = f"the answer from {settings.base_url} is a redirect to no address"
    else:
        what = f"the connection to {settings.base_url} broke"
    return APIConnectionError(f"{what}: {_words(error)}; {_may_have(call)}", maybe_processed=True)


def _may_have(call: PreparedRequest) -> str:
    if call.operation == "duplicate":
        return f"the request was sent, so {COPY_MAY_EXIST}"
    return "the request was sent, so the service may have acted on it"


def _limit_of(error: Exception, limits: Timeout) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        return f"limit: connect, {limits.connect:g} s"
    if isinstance(error, httpx.PoolTimeout):
        return f"limit: pool, {limits.pool:g} s"
    if isinstance(error, httpx.WriteTimeout):
        return f"limit: write, {limits.write:g} s"
    return f"limit: first_byte, {limits.first_byte:g} s"


def _what_broke(error: Exception, deadline: Deadline) -> str:
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, TotalTimeout):
        return f"nothing came for {deadline.limits.idle:g} s (limit: idle)"
    return _words(error)


def _words(error: Exception) -> str:
    # httpx's time-outs mostly have no text; what a peer sent may hold anything.
    return shorten(str(error), 300) or (
        "a time limit passed" if isinstance(error, httpx.TimeoutException) else type(error).__name__
    )
