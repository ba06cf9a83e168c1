"""What the sync and the async shell share of httpx: requests, limits, and the reading of a body."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Generator
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypedDict, TypeVar

import httpx

from ._json import NOT_JSON, read_json
from ._text import shorten
from ._version import __version__
from .errors import APIStatusError, ConfigurationError, MillisError
from .options import HOSTS, Secret, Settings, Timeout, seconds_or_none
from .request import PreparedRequest
from .response import error_for_status
from .retry import Attempts, RetryPolicy

log = logging.getLogger("millis_wrapper")

MAX_BODY_BYTES = 16 * 1024 * 1024  # of an answer that is read whole
MAX_ERROR_BODY_BYTES = 64 * 1024  # of an error's body; the rest is left unread
DRAIN_BYTES = 64 * 1024  # read after [DONE], for the sake of the connection,
DRAIN_SECONDS = 1.0  # and for how long


class KeyAuth(httpx.Auth):
    """Puts the key into the request when it goes out, so that it is in no header dict, no frame and no repr
    before.
    """

    def __init__(self, key: Secret) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["authorization"] = self._key.reveal()
        try:
            yield request
        finally:
            # The request lives on in the response and in exceptions; the key does not.
            with suppress(KeyError):  # a hook of the caller's has taken it out
                del request.headers["authorization"]


# Reading an address takes longer than the rest of a request, and there are few.
_url = lru_cache(maxsize=64)(httpx.URL)


class ClientOptions(TypedDict):
    limits: httpx.Limits
    trust_env: bool
    verify: ssl.SSLContext | bool


def client_options(settings: Settings) -> ClientOptions:
    """Return what an httpx client of our own is made with."""
    return {
        # httpx's own limit of 100 connections would let the pool time-out strike at a busy moment.
        "limits": httpx.Limits(max_connections=1000, max_keepalive_connections=100),
        # With a loopback host no proxy of the environment may come between: the key goes there in the clear.
        "trust_env": not settings.on_loopback,
        # Loading the certificates takes longer than a call to this machine. Without any, no TLS is trusted.
        "verify": settings.base_url.startswith("https:") or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    }


_Client = TypeVar("_Client", httpx.Client, httpx.AsyncClient)


def own_client(kind: type[_Client], settings: Settings) -> _Client:
    """Return an httpx client of our own; raises ConfigurationError for an environment that allows none."""
    try:
        return kind(**client_options(settings))
    except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
        raise ConfigurationError(
            f"no HTTP client can be made in this environment: {shorten(str(error), 200)}; look at its proxy"
            " and certificate variables (HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE, SSL_CERT_DIR), or pass"
            " http_client="
        ) from error


def build_request(
    http: httpx.Client | httpx.AsyncClient, settings: Settings, call: PreparedRequest, limits: Timeout
) -> httpx.Request:
    """Return the httpx request for `call`, with its own limits whatever the client's are."""
    request = http.build_request(
        call.method,
        _url(settings.base_url + call.path),
        content=call.content,
        extensions={
            "timeout": {
                "connect": seconds_or_none(limits.connect),
                "pool": seconds_or_none(limits.pool),
                "write": seconds_or_none(limits.write),
                "read": seconds_or_none(limits.first_byte),
            }
        },
    )
    # One by one: handed to build_request, they are looked for, found and merged in three times the time.
    headers = request.headers
    headers["accept"] = "text/event-stream" if call.operation == "chat" else "application/json"
    # Compression would hold back what a stream has to hand on, and lets a small answer grow large.
    headers["accept-encoding"] = "identity"
    headers["user-agent"] = f"millis-wrapper/{__version__}"
    if call.content is not None:
        headers["content-type"] = "application/json"
    for name, value in settings.headers.items():
        headers[name] = value
    return request


def ensure_valid_host(base_url: str) -> None:
    """Raise ConfigurationError for a host over which httpx or the resolver would stumble, each in its way."""
    try:
        httpx.URL(base_url).host.encode("idna")
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ConfigurationError(
            f"base_url or MILLIS_BASE_URL: must be like {HOSTS['us']}, not {base_url!r} ({error})"
        ) from None


def ensure_open(closed: bool) -> None:
    """Raise ConfigurationError for a client that was closed; httpx would raise a RuntimeError."""
    if closed:
        raise ConfigurationError("the client is closed: make a new one, or close it later")


def begin_body(response: httpx.Response, limits: Timeout) -> None:
    """Change over from the wait for the answer to the wait between its pieces; httpx knows only one limit
    for both.
    """
    timeouts = response.request.extensions.get("timeout")
    if isinstance(timeouts, dict):
        timeouts["read"] = seconds_or_none(limits.idle)


def is_plain(response: httpx.Response) -> bool:
    """Return whether the raw body is the body: neither coded, nor read already by a hook of the caller's."""
    return not response.is_stream_consumed and "content-encoding" not in response.headers


def own_network(response: httpx.Response) -> Any:
    """Return the network stream that serves this answer alone, or None.

    Over HTTP/2 others use it at the same time, and leaving one of them costs nothing; a transport for tests
    has none.
    """
    return None if response.http_version == "HTTP/2" else response.extensions.get("network_stream")


def status_error(
    settings: Settings, call: PreparedRequest, response: httpx.Response, body: Body
) -> APIStatusError:
    """Return the error for an answer that is no success."""
    return error_for_status(
        call.operation,
        response.status_code,
        settings.key.redact(bytes(body.data)),
        retry_after=response.headers.get("retry-after"),
        now=datetime.now(UTC),
    )


class TotalTimeout(httpx.ReadTimeout):
    """Of httpx's kind, so that `_failures` turns it into ours."""


class Deadline:
    """The limits on the reading of one answer; the one on the whole is looked at between its pieces."""

    def __init__(self, limits: Timeout, policy: RetryPolicy) -> None:
        self.limits = limits
        self._clock = policy.clock
        self._ends = policy.clock() + limits.total

    @property
    def is_past(self) -> bool:
        """Whether the time is up."""
        return self._clock() > self._ends

    def check(self) -> None:
        """Raise TotalTimeout when the time is up."""
        if self.is_past:
            raise TotalTimeout(f"it took longer than {self.limits.total:g} s in all (limit: total)")


class Body:
    """An answer that is read whole, or as much of it as there is room for."""

    def __init__(self, room: int, deadline: Deadline) -> None:
        self.data = bytearray()
        self._room = room
        self.deadline = deadline

    @property
    def is_json(self) -> bool:
        """Whether it can be read as JSON, and so came whole: JSON that is cut is none."""
        return read_json(bytes(self.data)) is not NOT_JSON

    def add(self, piece: bytes) -> bool:
        """Take a piece; return whether there is room for more."""
        self.data += piece[: self._room - len(self.data)]
        if self.deadline.is_past:
            # A copy that was made is not lost to a late last piece.
            if not self.is_json:
                self.deadline.check()
            return False
        return len(self.data) < self._room


def log_attempt(call: PreparedRequest, attempts: Attempts, began: float, outcome: int | MillisError) -> None:
    """Write the one DEBUG line of an attempt: no body, no header, no key."""
    if log.isEnabledFor(logging.DEBUG):
        result = (
            outcome if isinstance(outcome, int) else getattr(outcome, "status_code", type(outcome).__name__)
        )
        milliseconds = round((attempts.policy.clock() - began) * 1000)
        log.debug(
            "%s %s -> %s (attempt %d, %d ms)", call.method, call.path, result, attempts.number, milliseconds
        )
