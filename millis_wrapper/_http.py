"""What the sync and the async shell share of httpx: requests, limits, and its exceptions in our words."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import TypedDict

import httpx

from ._version import __version__
from .chat import ChatCore
from .errors import APIConnectionError, APIStatusError, APITimeoutError, ConfigurationError, MillisError
from .request import Call
from .retry import Attempts, RetryPolicy, utc_now
from .settings import HOSTS, Secret, Settings
from .status import COPY_MAY_EXIST, body_start, error_for_status
from .timeouts import Timeout, seconds_or_none

log = logging.getLogger("millis_wrapper")

MAX_BODY_BYTES = 16 * 1024 * 1024  # of an answer that is read whole
MAX_ERROR_BODY_BYTES = 64 * 1024  # of an error's body; the rest is left unread
DRAIN_BYTES = 64 * 1024  # read after [DONE], for the sake of the connection,
DRAIN_SECONDS = 1.0  # and for how long

# httpx raises these before it has written a byte of the request: there was no connection to write it to.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


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
            del request.headers["authorization"]


class ClientOptions(TypedDict):
    limits: httpx.Limits
    trust_env: bool


def client_options(settings: Settings) -> ClientOptions:
    """Return what an httpx client of our own is made with."""
    return {
        # httpx's own limit of 100 connections would let the pool time-out strike at a busy moment.
        "limits": httpx.Limits(max_connections=1000, max_keepalive_connections=100),
        # With a loopback host no proxy of the environment may come between: the key goes there in the clear.
        "trust_env": not settings.on_loopback,
    }


def build_request(
    http: httpx.Client | httpx.AsyncClient, settings: Settings, call: Call, limits: Timeout
) -> httpx.Request:
    """Return the httpx request for `call`, with its own limits whatever the client's are."""
    headers = {
        "accept": "text/event-stream" if call.operation == "chat" else "application/json",
        # Compression would hold back what a stream has to hand on, and lets a small answer grow large.
        "accept-encoding": "identity",
        "user-agent": f"millis-wrapper/{__version__}",
    }
    if call.content is not None:
        headers["content-type"] = "application/json"
    headers.update({name.lower(): value for name, value in settings.headers.items()})
    return http.build_request(
        call.method,
        settings.base_url + call.path,
        content=call.content,
        headers=headers,
        timeout=httpx.Timeout(
            connect=seconds_or_none(limits.connect),
            pool=seconds_or_none(limits.pool),
            write=seconds_or_none(limits.write),
            read=seconds_or_none(limits.first_byte),
        ),
    )


def refuse_impossible_host(base_url: str) -> None:
    """Raise ConfigurationError for a host over which httpx or the resolver would stumble, each in its way."""
    try:
        httpx.URL(base_url).host.encode("idna")
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ConfigurationError(
            f"base_url: must be like {HOSTS['us']}, not {base_url!r} ({error})"
        ) from None


def refuse_closed(closed: bool) -> None:
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


@contextmanager
def sending_failures(settings: Settings, call: Call, limits: Timeout) -> Generator[None]:
    """Turn httpx's exceptions around a send into ours, with what may have happened."""
    try:
        yield
    except _NEVER_SENT as error:
        cls = APITimeoutError if isinstance(error, httpx.TimeoutException) else APIConnectionError
        waited = f" ({_limit_of(error, limits)})" if cls is APITimeoutError else ""
        raise cls(
            f"no connection to {settings.base_url}{waited}: {_words(error)}; nothing was sent",
            request_sent=False,
        ) from error
    except httpx.TimeoutException as error:
        raise APITimeoutError(
            f"no answer from {settings.base_url} ({_limit_of(error, limits)}); {_may_have(call)}",
            request_sent=True,
        ) from error
    except httpx.RequestError as error:
        raise APIConnectionError(
            f"the connection to {settings.base_url} broke: {_words(error)}; {_may_have(call)}",
            request_sent=True,
        ) from error
    except httpx.InvalidURL as error:
        # httpx looks at the address of a redirect although it is not to follow it.
        raise APIConnectionError(
            f"the answer from {settings.base_url} is a redirect to no address: {error}; {_may_have(call)}",
            request_sent=True,
        ) from error
    except RuntimeError as error:
        if "loop" not in str(error):
            raise
        # asyncio's words; by then an idle connection of the other loop has carried the request out.
        raise APIConnectionError(
            f"http_client: {error}; an httpx.AsyncClient works only in the event loop that first used it: use"
            f" one for each, or let AsyncMillis make its own; {_may_have(call)}",
            request_sent=True,
        ) from error


@contextmanager
def reading_failures(settings: Settings, call: Call, body: Body) -> Generator[None]:
    """Turn httpx's exceptions while an answer is read whole into ours, with what had come of it."""
    try:
        yield
    except httpx.RequestError as error:
        cls = APITimeoutError if isinstance(error, httpx.TimeoutException) else APIConnectionError
        raise cls(
            f"the answer from {settings.base_url} broke off: {body.deadline.words(error)}; {_may_have(call)};"
            " .body holds what had come",
            request_sent=True,
            body=body_start(settings.key.hide_in(bytes(body.data))),
        ) from error


@contextmanager
def stream_failures(core: ChatCore, deadline: Deadline) -> Generator[None]:
    """Turn httpx's exceptions while a stream is read into StreamInterruptedError; a stream that was closed
    meanwhile has an error of its own.
    """
    try:
        yield
    except httpx.RequestError as error:
        if core.over:
            return
        raise core.interrupted(f"the stream broke off: {deadline.words(error)}") from error


def status_error(settings: Settings, call: Call, response: httpx.Response, body: Body) -> APIStatusError:
    """Return the error for an answer that is no success."""
    return error_for_status(
        call.operation,
        response.status_code,
        settings.key.hide_in(bytes(body.data)),
        retry_after=response.headers.get("retry-after"),
        now=utc_now(),
    )


class _TotalTimeout(httpx.ReadTimeout):
    """Of httpx's kind, so that the `*_failures` above turn it into ours."""


class Deadline:
    """The limit on the whole of an answer, looked at between its pieces."""

    def __init__(self, limits: Timeout, policy: RetryPolicy) -> None:
        self._limits = limits
        self._clock = policy.clock
        self._ends = policy.clock() + limits.total

    def check(self) -> None:
        """Raise when the time is up."""
        if self._clock() > self._ends:
            raise _TotalTimeout(f"it took longer than {self._limits.total:g} s in all (limit: total)")

    def words(self, error: httpx.RequestError) -> str:
        """Return what broke an answer off, in words."""
        if isinstance(error, httpx.TimeoutException) and not isinstance(error, _TotalTimeout):
            return f"nothing came for {self._limits.idle:g} s (limit: idle)"
        return _words(error)


class Body:
    """An answer that is read whole, or as much of it as there is room for."""

    def __init__(self, room: int, deadline: Deadline) -> None:
        self.data = bytearray()
        self._room = room
        self.deadline = deadline

    def add(self, piece: bytes) -> bool:
        """Take a piece; return whether there is room for more."""
        self.data += piece[: self._room - len(self.data)]
        self.deadline.check()
        return len(self.data) < self._room


def log_attempt(call: Call, attempts: Attempts, began: float, outcome: int | MillisError) -> None:
    """Write the one DEBUG line of an attempt: no body, no header, no key."""
    if log.isEnabledFor(logging.DEBUG):
        result = outcome if isinstance(outcome, int) else getattr(outcome, "status", type(outcome).__name__)
        milliseconds = round((attempts.policy.clock() - began) * 1000)
        log.debug(
            "%s %s -> %s (attempt %d, %d ms)", call.method, call.path, result, attempts.number, milliseconds
        )


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


def _words(error: Exception) -> str:
    # httpx's time-outs mostly have no text.
    return str(error) or (
        "a time limit passed" if isinstance(error, httpx.TimeoutException) else type(error).__name__
    )
