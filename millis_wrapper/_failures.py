"""httpx's exceptions -> ours, in words that say what may have happened and do not tell the key."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import httpx

from ._http import Body, Deadline, TotalTimeout
from .chat import ChatCore
from .errors import APIConnectionError, APITimeoutError
from .printable import one_line
from .request import Call
from .settings import Settings
from .status import COPY_MAY_EXIST, body_start
from .timeouts import Timeout

# What httpx raises around a send. The last is for asyncio's complaint about another event loop.
SENDING_ERRORS = (httpx.RequestError, httpx.InvalidURL, RuntimeError)

# httpx raises these before it has written a byte of the request: there was no connection to write it to.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
_WHILE_WRITING = (httpx.WriteTimeout, httpx.WriteError, httpx.LocalProtocolError)


def sending_failed(error: Exception, settings: Settings, call: Call, limits: Timeout) -> NoReturn:
    """Raise for what httpx raised around a send, with what may have happened."""
    if not isinstance(error, RuntimeError):
        cause = _without_key(error, settings.key.hide_in)
        raise _unsent(cause, settings, limits) or _unanswered(cause, settings, call, limits) from cause
    if "loop" not in str(error):
        raise error
    # asyncio's words; by then an idle connection of the other loop has carried the request out.
    raise APIConnectionError(
        f"http_client: {error}; an httpx.AsyncClient works only in the event loop that first used it: use"
        f" one for each, or let AsyncMillis make its own; {_may_have(call)}",
        request_sent=True,
    ) from error


def reading_failed(error: httpx.RequestError, settings: Settings, call: Call, body: Body) -> NoReturn:
    """Raise for what httpx raised while an answer was read whole, with what had come of it."""
    cause = _without_key(error, settings.key.hide_in)
    cls = APITimeoutError if isinstance(cause, httpx.TimeoutException) else APIConnectionError
    raise cls(
        f"the answer from {settings.base_url} broke off: {_what_broke(cause, body.deadline)};"
        f" {_may_have(call)}; .body holds what had come",
        request_sent=True,
        body=body_start(settings.key.hide_in(bytes(body.data))),
    ) from cause


def stream_failed(error: httpx.RequestError, core: ChatCore, deadline: Deadline) -> None:
    """Raise StreamInterruptedError for what httpx raised while a stream was read; a stream that was closed
    meanwhile has an error of its own.
    """
    if not core.over:
        cause = _without_key(error, core.hide)
        raise core.interrupted(f"the stream broke off: {_what_broke(cause, deadline)}") from cause


def _without_key(error: Exception, hide: Callable[[bytes], bytes]) -> Exception:
    """Return `error`, or where the key is in it a copy that has nothing but the words left.

    The frames in which a request was being written hold its head, and h11 quotes what it cannot read.
    """
    text = str(error)
    hidden = hide(text.encode("utf-8", "replace")).decode()
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
        f"no connection to {settings.base_url}{waited}: {_words(error)}; nothing was sent", request_sent=False
    )


def _unanswered(error: Exception, settings: Settings, call: Call, limits: Timeout) -> APIConnectionError:
    if isinstance(error, httpx.TimeoutException):
        return APITimeoutError(
            f"no answer from {settings.base_url} ({_limit_of(error, limits)}); {_may_have(call)}",
            request_sent=True,
        )
    if isinstance(error, httpx.InvalidURL):
        # httpx looks at the address of a redirect although it is not to follow it.
        what = f"the answer from {settings.base_url} is a redirect to no address"
    else:
        what = f"the connection to {settings.base_url} broke"
    return APIConnectionError(f"{what}: {_words(error)}; {_may_have(call)}", request_sent=True)


def _may_have(call: Call) -> str:
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
    return one_line(str(error), 300) or (
        "a time limit passed" if isinstance(error, httpx.TimeoutException) else type(error).__name__
    )
