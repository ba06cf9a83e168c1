"""Convert exceptions of the HTTP libraries to our own, with safe messages that do not contain the key."""

from __future__ import annotations

import re
import ssl
from contextlib import suppress
from datetime import UTC, datetime

import httpx

from ._deadline import Deadline
from ._http import Trace
from ._http_body import MAX_ERROR_BODY_BYTES, Body
from ._key import Secret
from ._text import shorten
from .chat import ReplyBuilder
from .errors import APIConnectionError, APIStatusError, APITimeoutError, ConfigurationError, MillisError
from .options import Options
from .request import PreparedRequest
from .response import COPY_MAY_EXIST, error_for_status, masked_headers
from .results import ChatChunk

# Packages below httpx, whose exceptions httpx sometimes does not translate.
_TRANSPORTS = frozenset({"httpx", "httpcore", "h11", "h2", "hpack", "socksio", "anyio", "aiohttp", "ssl"})

# Raised before a byte of the request is sent.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
# Messages for a request that an HTTP/2 peer did not process (RFC 9113, section 8.7), or for which httpcore
# found no free stream.
_UNPROCESSED = re.compile(
    r"REFUSED_STREAM|StreamReset .*error_code:(7|<ErrorCodes\.REFUSED_STREAM)"
    r"|ConnectionTerminated .*last_stream_id:0\b|Max outbound streams"
)
# Exception classes of aiohttp, the most specific first, and the corresponding classes of httpx. The keys are
# names, because aiohttp is optional. (httpx-aiohttp calls every lost connection a ConnectTimeout.)
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
    "if your network has its own certificate authority, set SSL_CERT_FILE to its PEM file, or pass an httpx"
    " client with verify= as http_client"
)
_UNSUPPORTED_CODING = re.compile(r"\b(br|zstd)\b")


def is_transport_error(error: BaseException) -> bool:
    """Return whether `error` comes from the transport, not from the caller's code or a test tool."""
    if isinstance(error, OSError | httpx.RequestError | httpx.InvalidURL | httpx.StreamError):
        return True
    if isinstance(error, RuntimeError):
        return "loop" in str(error)  # asyncio's error for a client of another event loop
    return any(cls.__module__.partition(".")[0] in _TRANSPORTS for cls in type(error).__mro__)


def sending_failure(
    error: Exception, trace: Trace, options: Options, prepared: PreparedRequest, deadline: Deadline
) -> MillisError:
    """Return the error to raise for an exception of the transport while a request was sent.

    Raise it outside of the `except` block. Otherwise, `__context__` refers to the transport's exception,
    whose frames may contain the key.
    """
    if isinstance(error, RuntimeError):
        # The request may already have been sent on an idle connection of the other event loop.
        return APIConnectionError(
            "http_client: an httpx.AsyncClient works only in the event loop that first used it; create one"
            f" per event loop, or omit http_client= ({shorten(str(error), 300)}); {_may_have(prepared)}",
            maybe_processed=True,
        )
    cause = _without_frames(error, options.key)
    unsent = not trace.request_began if trace.is_used else isinstance(cause, _NEVER_SENT)
    if unsent or _UNPROCESSED.search(str(cause)):
        failure = _unsent(cause, trace, options, deadline)
    else:
        failure = _no_response(cause, options, prepared, deadline)
    failure.__cause__ = cause
    return failure


def status_from_hook(
    error: Exception, options: Options, prepared: PreparedRequest, deadline: Deadline, attempt: int
) -> MillisError | None:
    """Return the error for a status that an event hook of a custom client raised for; otherwise None."""
    if not isinstance(error, httpx.HTTPStatusError):
        return None
    body = Body(MAX_ERROR_BODY_BYTES, deadline)
    response = error.response
    with suppress(httpx.ResponseNotRead):  # most hooks do not read the body
        body.add(response.content)
    return status_error(options, prepared, response.status_code, response.headers, body, attempt)


def status_error(
    options: Options,
    prepared: PreparedRequest,
    status_code: int,
    headers: httpx.Headers,
    body: Body,
    attempt: int,
) -> APIStatusError:
    """Return the error for a response with an error status."""
    return error_for_status(
        prepared.operation,
        status_code,
        options.key.redact(bytes(body.data)),
        headers=masked_headers(headers.items(), options.key),
        now=datetime.now(UTC),
        attempt=attempt,
    )


def reading_failure(
    error: Exception, options: Options, prepared: PreparedRequest, body: Body
) -> APIConnectionError:
    """Return the error to raise for an exception of the transport while a response body was read."""
    cause = _without_frames(error, options.key)
    kind = APITimeoutError if _is_timeout(cause) else APIConnectionError
    failure = kind(
        f"the response from {options.base_url} was cut off: {_reason(cause, body.deadline)};"
        f" {_may_have(prepared)}; the received part is in .body",
        maybe_processed=True,
        body=options.key.redact(bytes(body.data)).decode("utf-8", "replace"),
    )
    failure.__cause__ = cause
    return failure


def stream_failed(
    error: Exception, builder: ReplyBuilder, options: Options, deadline: Deadline
) -> list[ChatChunk]:
    """End the reply because of an exception of the transport, and return its last chunks."""
    if builder.state != "open":
        return []
    cause = _without_frames(error, options.key)
    if isinstance(cause, httpx.ReadTimeout | TimeoutError) and deadline.phase == "finish":
        return builder.end()
    return builder.cut(f"the stream was cut off: {_reason(cause, deadline)}", cause)


def other_process() -> ConfigurationError:
    """Return the error for using an object of the parent process in a forked child."""
    return ConfigurationError(
        "http_client: cannot use an httpx client of the parent process after a fork; create the client in the"
        " child process, or omit http_client="
    )


def _without_frames(error: Exception, key: Secret) -> Exception:
    """Return a copy of `error` with only its message, and with the key redacted.

    Frames that write a request contain its headers, and h11 quotes data that it cannot parse.
    """
    error = _of_aiohttp(error) or _of_aiohttp(error.__cause__) or error
    message = key.redact_text(str(error))
    for cls in type(error).__mro__:
        # A subclass from another package may need other arguments.
        if cls.__module__.partition(".")[0] in ("httpx", "builtins") and issubclass(cls, Exception):
            try:
                return cls(message)
            except TypeError:
                continue
    return Exception(message)


def _of_aiohttp(error: BaseException | None) -> httpx.RequestError | None:
    """Return the httpx exception that corresponds to an exception of aiohttp."""
    names = {cls.__name__ for cls in type(error).__mro__ if cls.__module__.partition(".")[0] == "aiohttp"}
    for name, kind in _OF_AIOHTTP.items():
        if name in names:
            # str() of an error about the response headers would append the URL of the request.
            status, message = getattr(error, "status", None), getattr(error, "message", None)
            return kind(f"{status} {message}" if status and message else str(error))
    return None


def _unsent(error: Exception, trace: Trace, options: Options, deadline: Deadline) -> APIConnectionError:
    proxy = trace.peer if trace.peer not in (None, options.host) else None
    where = f"{options.base_url} through the proxy {proxy}" if proxy else options.base_url
    kind = APITimeoutError if _is_timeout(error) else APIConnectionError
    if isinstance(error, httpx.ReadTimeout):  # of a proxy's handshake
        error = httpx.ConnectTimeout(str(error))
    message = _message(error)
    distrusted = isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in message
    if kind is APITimeoutError:
        problem = f"no connection to {where} {_within(error, deadline)}"
    else:
        problem = f"connection to {where} failed: {message}"
    outcome = "nothing was processed" if trace.request_began else "nothing was sent"
    advice = f"; {_TRUST}" if distrusted else ""
    if "WRONG_VERSION_NUMBER" in message:
        advice = "; if the server does not use TLS, write http:// instead of https://"
    return kind(
        f"{problem}; {outcome}{advice}",
        maybe_processed=False,
        is_permanent=distrusted
        or (isinstance(error, httpx.ProxyError) and message.startswith(("407", "403")))
        or (proxy is not None and "password" in message.lower()),
    )


def _no_response(
    error: Exception, options: Options, prepared: PreparedRequest, deadline: Deadline
) -> APIConnectionError:
    if _is_timeout(error):
        return APITimeoutError(
            f"no response from {options.base_url} {_within(error, deadline)}; {_may_have(prepared)}",
            maybe_processed=True,
        )
    if isinstance(error, httpx.InvalidURL):
        # httpx parses the URL of a redirect even if it does not follow the redirect.
        problem = f"the response from {options.base_url} is a redirect to an invalid URL"
    else:
        problem = f"the connection to {options.base_url} was lost"
    return APIConnectionError(f"{problem}: {_message(error)}; {_may_have(prepared)}", maybe_processed=True)


def _may_have(prepared: PreparedRequest) -> str:
    if prepared.operation == "duplicate":
        return COPY_MAY_EXIST
    return "the service may have acted on the request"


def _is_timeout(error: Exception) -> bool:
    return isinstance(error, httpx.TimeoutException | TimeoutError)


def _within(error: Exception, deadline: Deadline) -> str:
    timeout = deadline.timeout
    if isinstance(error, httpx.ConnectTimeout):
        return f"within {timeout.connect:g} s (timeout: connect)"
    if isinstance(error, httpx.PoolTimeout):
        return f"within {timeout.pool:g} s (timeout: pool)"
    if isinstance(error, httpx.WriteTimeout):
        return f"within {timeout.write:g} s (timeout: write)"
    return f"within {timeout.first_byte:g} s (timeout: first_byte)"


def _reason(error: Exception, deadline: Deadline) -> str:
    if not _is_timeout(error):
        message = _message(error)
        if isinstance(error, httpx.DecodingError) and not _UNSUPPORTED_CODING.search(message):
            return f"its content-encoding cannot be decoded: {message}"
        return message
    return deadline.describe()


def _message(error: Exception) -> str:
    # The timeouts of httpx usually have no message. A message may quote any data from the network.
    return shorten(str(error), 300) or ("timed out" if _is_timeout(error) else type(error).__name__)
