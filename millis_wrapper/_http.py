"""Requests, authentication and read timeouts on httpx, for both clients. No I/O."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import lru_cache
from typing import Any

import httpx

from ._deadline import Deadline, DeadlineSeconds
from ._key import Secret
from ._version import __version__
from .chat import ReplyBuilder
from .errors import ConfigurationError, MillisError
from .options import Options
from .request import PreparedRequest
from .retry import Operation, RetryPolicy

log = logging.getLogger("millis_wrapper")

# Limits for reading on after [DONE], so that the connection can be reused.
DRAIN_BYTES = 64 * 1024
DRAIN_SECONDS = 1.0
FINISH_SECONDS = 3.0  # maximum wait for [DONE] after a finish reason


class KeyAuth(httpx.Auth):
    """Adds the key to a request while it is sent, so that no repr or traceback shows it before or later."""

    __slots__ = ("_value",)

    def __init__(self, key: Secret) -> None:
        self._value = key.reveal()

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["authorization"] = self._value
        try:
            yield request
        finally:
            # The response and exceptions keep the request, but not the key.
            with suppress(KeyError):  # an event hook of the caller has removed it
                del request.headers["authorization"]


# Parsing a URL takes longer than building the rest of a request, and there are few URLs.
_url = lru_cache(maxsize=64)(httpx.URL)


def request_headers(options: Options, operation: Operation, *, is_own: bool) -> httpx.Headers:
    """Return the headers of every request of `operation`, except those that depend on its body.

    A custom client sets the Host header itself, so it is left out unless `is_own`.
    """
    headers = httpx.Headers({"Host": _url(options.base_url).netloc.decode("ascii")} if is_own else None)
    headers["accept"] = "text/event-stream" if operation == "chat" else "application/json"
    # Compression would delay the events of a stream, and a small response could unpack to a huge one.
    headers["accept-encoding"] = "identity"
    headers["user-agent"] = f"millis-wrapper/{__version__}"
    if operation == "chat":
        headers["content-type"] = "application/json"
    for name, value in options.headers.items():
        headers[name] = value
    return headers


def build_request(
    custom: httpx.Client | httpx.AsyncClient | None,
    url: str,
    headers: httpx.Headers,
    prepared: PreparedRequest,
    deadline: Deadline,
    trace: Callable[..., Any],
) -> httpx.Request:
    """Return the httpx request for `prepared`, with the timeouts of `deadline`.

    Args:
        custom: The caller's own client, which adds its headers; otherwise None.
        url: The URL of the host.
        headers: The headers from `request_headers`.
        prepared: The request.
        deadline: The deadline of the response.
        trace: httpcore's `trace` extension.
    """
    timeout = deadline.timeout
    seconds = {"connect": timeout.connect, "pool": timeout.pool, "write": timeout.write}
    extensions: dict[str, Any] = {
        "timeout": {
            **{name: None if value == math.inf else value for name, value in seconds.items()},
            "read": DeadlineSeconds.of(deadline, timeout.first_byte),
        },
        "trace": trace,
    }
    method, full_url, content = prepared.method, _url(url + prepared.path), prepared.content or b""
    if custom is not None:
        request = custom.build_request(method, full_url, content=prepared.content, extensions=extensions)
        # As arguments of build_request, the headers would take three times as long to merge.
        for name, value in headers.items():
            request.headers[name] = value
        return request
    # With stream=, httpx does not look for headers to add, which would take longer than everything else here.
    body = httpx.ByteStream(content)
    request = httpx.Request(method, full_url, headers=headers, stream=body, extensions=extensions)
    request.headers["Content-Length"] = str(len(content))
    request.read()
    return request


def closed_client() -> ConfigurationError:
    """Return the error for a closed client; httpx would raise a RuntimeError."""
    return ConfigurationError("the client is closed; create a new one")


def start_body(response: httpx.Response, deadline: Deadline) -> None:
    """Start the timeouts of the response body, and drop the reason phrase, which may echo the key."""
    deadline.start_body()
    # httpcore would report every further read, and the client does not use these reports.
    response.request.extensions.pop("trace", None)
    response.extensions.pop("reason_phrase", None)  # httpx's repr of the response would show it
    timeouts = response.request.extensions.get("timeout")
    if isinstance(timeouts, dict):
        timeouts["read"] = DeadlineSeconds.of(deadline, deadline.timeout.idle)
    if (network := response.extensions.get("network_stream")) is not None:
        limit_reads(network, deadline.timeout.connect)


def own_network(response: httpx.Response) -> Any:
    """Return the network stream that only this response uses, or None.

    Over HTTP/2, other responses share the network stream. A transport for tests does not have one.
    """
    return None if response.http_version == "HTTP/2" else response.extensions.get("network_stream")


def limit_reads(network: Any, handshake_seconds: float) -> None:
    """Make a network stream ask the deadline of each response before each read; see `DeadlineSeconds`.

    `read` and its parameters are httpcore's public interface; it is replaced on this one connection.

    `handshake_seconds` limits reads without a timeout: those of a SOCKS handshake.
    """
    read = getattr(network, "read", None)
    if read is None or isinstance(read, _LimitedRead):
        return
    with suppress(AttributeError):
        network.read = _LimitedRead(read, handshake_seconds)


class _LimitedRead:
    """A network stream's `read`, of either kind: the asynchronous one returns an awaitable."""

    __slots__ = ("_read", "_seconds_without_timeout")

    def __init__(self, read: Callable[..., Any], handshake_seconds: float) -> None:
        self._read = read
        self._seconds_without_timeout: float | None = handshake_seconds

    def __call__(self, max_bytes: int, timeout: float | None = None) -> Any:
        if isinstance(timeout, DeadlineSeconds):
            self._seconds_without_timeout = None
            timeout = _seconds_for_read(timeout.deadline)
        elif timeout is None:
            timeout = self._seconds_without_timeout
        return self._read(max_bytes, timeout)


def _seconds_for_read(deadline: Deadline) -> float | None:
    """Return the seconds that the next read from the network may take; None means no timeout.

    Raises:
        httpcore.ReadTimeout: A timeout has passed. httpx turns it into its own exception.
    """
    seconds = deadline.seconds_left()
    if seconds == math.inf:
        return None
    if seconds <= 0:
        import httpcore  # already loaded: its network stream is asking

        raise httpcore.ReadTimeout("")
    return seconds


class Trace:
    """Notes how far one request got, from httpcore's `trace` extension.

    It starts the phases of `deadline` up to the wait for the response headers.
    """

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self.is_used = False
        self.request_began = False
        """Whether the client began to send the request itself. A CONNECT to a proxy does not count."""
        self.peer: str | None = None
        """The host and port of the connection: those of the service, or of a proxy."""
        self.network: Any = None
        """httpcore's network stream, if this request opened one."""

    def note(self, event: str, info: dict[str, Any]) -> None:
        """Note one event of httpcore."""
        step = event.partition(".")[2]
        if step == "receive_response_headers.started":
            if self.request_began:
                self._deadline.start_head()
            else:
                self._deadline.start_proxy()
        elif step == "send_request_headers.started":
            self.is_used = True
            self.request_began = info["request"].method != b"CONNECT"
        elif step == "start_tls.started":
            self._deadline.start_connect()
        elif step == "connect_tcp.started":
            self._deadline.start_connect()
            self.is_used = True
            self.peer = f"{info['host']}:{info['port']}"
        elif step in ("connect_tcp.complete", "start_tls.complete"):
            self.network = info["return_value"]
            limit_reads(self.network, self._deadline.timeout.connect)


class EndMarks:
    """Whether the replies of a host end with an end mark: `[DONE]` or a finish reason.

    A gateway can close a connection normally although the reply was cut off. Once a host has sent an end
    mark, a reply without one counts as cut off.
    """

    def __init__(self, required: bool | None) -> None:
        self._required = required
        self._seen = False
        self._warned = False

    @property
    def are_required(self) -> bool:
        """Whether a reply without an end mark counts as cut off."""
        return self._seen if self._required is None else self._required

    def note(self, builder: ReplyBuilder) -> None:
        """Learn from a reply that is over; log a warning once if it may have been cut off."""
        if builder.state in ("done", "finish_reason"):
            self._seen = True
        elif builder.state == "eof" and self._required is None and not self._warned:
            self._warned = True
            log.warning(
                "a reply ended without [DONE] or a finish reason and may be incomplete; pass require_end=True"
                " to treat such a reply as an error, or require_end=False if this host never sends either"
            )

    def forget(self) -> None:
        """Forget every end mark and the warning."""
        self._seen = self._warned = False


def log_attempt(prepared: PreparedRequest, attempt: int, seconds: float, outcome: int | MillisError) -> None:
    """Log one DEBUG line for an attempt, without body, headers and key."""
    if log.isEnabledFor(logging.DEBUG):
        path, milliseconds = prepared.path, seconds * 1000
        result: object = outcome
        if isinstance(outcome, MillisError):
            result = getattr(outcome, "status_code", type(outcome).__name__)
        log.debug("%s %s -> %s (attempt %d, %.1f ms)", prepared.method, path, result, attempt, milliseconds)


def retry_policy(max_retries: int | RetryPolicy) -> RetryPolicy:
    """Return `max_retries` as a policy."""
    return max_retries if isinstance(max_retries, RetryPolicy) else RetryPolicy(max_retries=max_retries)
