"""httpx's exceptions -> ours, in words that say what may have happened and do not contain the key."""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime

import httpx

from ._deadline import Deadline
from ._http import Trace
from ._http_body import Body
from ._key import Secret
from ._text import shorten
from .chat import ReplyBuilder
from .errors import APIConnectionError, APIStatusError, APITimeoutError, ConfigurationError, MillisError
from .options import Options
from .request import PreparedRequest
from .response import COPY_MAY_EXIST, error_for_status, shown_headers
from .results import ChatChunk

# The packages under httpx, whose exceptions come through where httpx does not translate them.
_TRANSPORTS = frozenset({"httpx", "httpcore", "h11", "h2", "hpack", "socksio", "anyio", "aiohttp", "ssl"})

# Raised before a byte of the request was written: there was no connection to write it to.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
# What an HTTP/2 peer says of a request that it did not process (RFC 9113, 8.7), and httpcore of one for
# which it found no free stream.
_UNPROCESSED = re.compile(
    r"REFUSED_STREAM|StreamReset .*error_code:(7|<ErrorCodes\.REFUSED_STREAM)"
    r"|ConnectionTerminated .*last_stream_id:0\b|Max outbound streams"
)
# The classes of aiohttp, which may not be installed, by name and from the special to the general: what they
# mean in httpx's terms. httpx-aiohttp's own table calls every broken connection a ConnectTimeout.
_OF_AIOHTTP: dict[str, type[httpx.RequestError]] = {
    "ClientHttpProxyError": httpx.ProxyError,
    "ClientProxyConnectionError": httpx.ProxyError,
    "ConnectionTimeoutError": httpx.ConnectTimeout,
    "ServerTimeoutError": httpx.ReadTimeout,
    "ClientConnectorError": httpx.ConnectError,
    "ServerFingerprintMismatch": httpx.ConnectError,
    "InvalidURL": httpx.UnsupportedProtocol,
    "NonHttpUrlClientError": httpx.UnsupportedProtocol,
    "ClientPayloadError": httpx.ReadError,
    "ClientOSError": httpx.NetworkError,
    "ClientError": httpx.RemoteProtocolError,
}
_TRUST = (
    "if your network uses its own certificate authority, set SSL_CERT_FILE to its PEM file, or pass an httpx"
    " client with verify= as http_client"
)
_UNREADABLE_CODING = re.compile(r"\b(br|zstd)\b")


def is_transport_error(error: BaseException) -> bool:
    """Return whether `error` comes from the transport, and not from the caller's own code or a test tool."""
    if isinstance(error, OSError | httpx.RequestError | httpx.InvalidURL | httpx.StreamError):
        return True
    if isinstance(error, RuntimeError):
        return "loop" in str(error)  # asyncio's complaint about a client of another event loop
    return any(cls.__module__.partition(".")[0] in _TRANSPORTS for cls in type(error).__mro__)


def sending_failure(
    error: Exception, trace: Trace, options: Options, prepared: PreparedRequest, deadline: Deadline
) -> MillisError:
    """Return what to raise for what the transport raised while a request was sent.

    It has to be raised where the transport's error is no longer being handled: else that stays in its
    `__context__`, and its frames may hold the key.
    """
    if isinstance(error, RuntimeError):
        # By then an idle connection of the other loop has carried the request out.
        return APIConnectionError(
            f"http_client: {shorten(str(error), 300)}; an httpx.AsyncClient works only in the event loop that"
            f" first used it: use one for each, or let AsyncMillis make its own; {_may_have(prepared)}",
            maybe_processed=True,
        )
    cause = _without_frames(error, options.key)
    unsent = not trace.request_began if trace.is_used else isinstance(cause, _NEVER_SENT)
    if unsent or _UNPROCESSED.search(str(cause)):
        failure = _unsent(cause, trace, options, deadline)
    else:
        failure = _unanswered(cause, options, prepared, deadline)
    failure.__cause__ = cause
    return failure


def status_error(
    options: Options,
    prepared: PreparedRequest,
    status_code: int,
    headers: httpx.Headers,
    body: Body,
    attempt: int,
) -> APIStatusError:
    """Return the error for an answer with an error status."""
    return error_for_status(
        prepared.operation,
        status_code,
        options.key.redact(bytes(body.data)),
        headers=shown_headers(headers.items(), options.key),
        now=datetime.now(UTC),
        attempt=attempt,
    )


def reading_failure(
    error: Exception, options: Options, prepared: PreparedRequest, body: Body
) -> APIConnectionError:
    """Return what to raise, as above, for what the transport raised while an answer was read whole."""
    cause = _without_frames(error, options.key)
    kind = APITimeoutError if _is_timeout(cause) else APIConnectionError
    failure = kind(
        f"the answer from {options.base_url} broke off: {_what_broke(cause, body.deadline)};"
        f" {_may_have(prepared)}; .body holds what had come",
        maybe_processed=True,
        body=options.key.redact(bytes(body.data)).decode("utf-8", "replace"),
    )
    failure.__cause__ = cause
    return failure


def stream_failed(
    error: Exception, builder: ReplyBuilder, options: Options, deadline: Deadline
) -> list[ChatChunk]:
    """End the reply because of an error of the transport; return the last chunks of the reply."""
    if builder.is_over:
        return []
    cause = _without_frames(error, options.key)
    if isinstance(cause, httpx.ReadTimeout | TimeoutError) and deadline.phase == "finish":
        return builder.end_wait()
    return builder.cut(f"the stream broke off: {_what_broke(cause, deadline)}", cause)


def foreign_process() -> ConfigurationError:
    """Return the error for something of the parent process that is used in a forked child."""
    return ConfigurationError(
        "http_client: this client was made with an httpx client of the parent process, whose connections a"
        " fork shares: make the client in the child process, or leave http_client= out"
    )


def _without_frames(error: Exception, key: Secret) -> Exception:
    """Return a copy of `error` that has nothing but its words, without the key.

    The frames in which a request was being written hold its head, and h11 quotes what it cannot read.
    """
    error = _of_aiohttp(error) or _of_aiohttp(error.__cause__) or error
    words = key.redact_text(str(error))
    for cls in type(error).__mro__:
        # A subclass that does not belong to httpx or Python may want other arguments.
        if cls.__module__.partition(".")[0] in ("httpx", "builtins") and issubclass(cls, Exception):
            try:
                return cls(words)
            except TypeError:
                continue
    return Exception(words)


def _of_aiohttp(error: BaseException | None) -> httpx.RequestError | None:
    """Return httpx's error for one of aiohttp's."""
    names = {cls.__name__ for cls in type(error).__mro__ if cls.__module__.partition(".")[0] == "aiohttp"}
    for name, kind in _OF_AIOHTTP.items():
        if name in names:
            # The words of an error about an answer's head end in the request's address.
            status, message = getattr(error, "status", None), getattr(error, "message", None)
            return kind(f"{status} {message}" if status and message else str(error))
    return None


def _unsent(error: Exception, trace: Trace, options: Options, deadline: Deadline) -> APIConnectionError:
    proxy = trace.peer if trace.peer not in (None, options.host) else None
    where = f"{options.base_url} through the proxy {proxy}" if proxy else options.base_url
    kind = APITimeoutError if _is_timeout(error) else APIConnectionError
    if isinstance(error, httpx.ReadTimeout):  # of a proxy's handshake
        error = httpx.ConnectTimeout(str(error))
    waited = f" ({_limit_of(error, deadline)})" if kind is APITimeoutError else ""
    words = _words(error)
    distrusted = isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in words
    outcome = "nothing was processed" if trace.request_began else "nothing was sent"
    advice = f"; {_TRUST}" if distrusted else ""
    return kind(
        f"no connection to {where}{waited}: {words}; {outcome}{advice}",
        maybe_processed=False,
        is_permanent=distrusted
        or (isinstance(error, httpx.ProxyError) and words.startswith(("407", "403")))
        or (proxy is not None and "password" in words.lower()),
    )


def _unanswered(
    error: Exception, options: Options, prepared: PreparedRequest, deadline: Deadline
) -> APIConnectionError:
    if _is_timeout(error):
        return APITimeoutError(
            f"no answer from {options.base_url} ({_limit_of(error, deadline)}); {_may_have(prepared)}",
            maybe_processed=True,
        )
    if isinstance(error, httpx.InvalidURL):
        # httpx looks at the address of a redirect although it is not to follow it.
        what = f"the answer from {options.base_url} is a redirect to an address that cannot be read"
    else:
        what = f"the connection to {options.base_url} broke"
    return APIConnectionError(f"{what}: {_words(error)}; {_may_have(prepared)}", maybe_processed=True)


def _may_have(prepared: PreparedRequest) -> str:
    if prepared.operation == "duplicate":
        return f"the request was sent, so {COPY_MAY_EXIST}"
    return "the request was sent, so the service may have acted on it"


def _is_timeout(error: Exception) -> bool:
    return isinstance(error, httpx.TimeoutException | TimeoutError)


def _limit_of(error: Exception, deadline: Deadline) -> str:
    timeout = deadline.timeout
    if isinstance(error, httpx.ConnectTimeout):
        return f"limit: connect, {timeout.connect:g} s"
    if isinstance(error, httpx.PoolTimeout):
        return f"limit: pool, {timeout.pool:g} s"
    if isinstance(error, httpx.WriteTimeout):
        return f"limit: write, {timeout.write:g} s"
    return f"limit: first_byte, {timeout.first_byte:g} s"


def _what_broke(error: Exception, deadline: Deadline) -> str:
    if not _is_timeout(error):
        words = _words(error)
        if isinstance(error, httpx.DecodingError) and not _UNREADABLE_CODING.search(words):
            return f"its content-encoding cannot be read: {words}"
        return words
    return deadline.describe()


def _words(error: Exception) -> str:
    # httpx's time-outs mostly have no text; what a peer sent may hold anything.
    return shorten(str(error), 300) or ("a time limit passed" if _is_timeout(error) else type(error).__name__)
