"""Sends calls, sync: once, or again where that is safe."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress

import httpx

from millis_wrapper import _http
from millis_wrapper._http_errors import READING_ERRORS, SENDING_ERRORS, reading_failure, sending_failure
from millis_wrapper.chat import ReplyBuilder
from millis_wrapper.errors import MillisError
from millis_wrapper.options import Settings, Timeout
from millis_wrapper.request import PreparedRequest
from millis_wrapper.retry import Attempts, RetryPolicy


class Transport:
    """Sends one call, again where that is safe; the only place that does."""

    def __init__(
        self,
        settings: Settings,
        timeout: Timeout,
        policy: RetryPolicy,
        http: httpx.Client | None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings
        self.timeout = timeout
        self.policy = policy
        self._given = http
        self._auth = _http.KeyAuth(settings.key)
        self._own: httpx.Client | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._sleep = sleep

    @property
    def http(self) -> httpx.Client:
        """The httpx client: the caller's, or one made at the first use: loading certificates takes time."""
        if self._given is not None:
            return self._given
        with self._lock:
            if self._own is None:
                self._own = _http.own_client(httpx.Client, self.settings)
            return self._own

    def open(
        self, call: PreparedRequest, limits: Timeout, core: ReplyBuilder | None = None
    ) -> httpx.Response:
        """Return the answer to `call`, a success with its body unread.

        `core`: of the stream that is to read it; once that is over, the call is not sent again.
        """
        attempts = Attempts(call.operation, self.policy)
        while True:
            began = self.policy.clock()
            try:
                response = self._open_once(call, limits)
            except MillisError as error:
                _http.log_attempt(call, attempts, began, error)
                delay = attempts.delay_after(error)
                if delay is None:
                    raise
                failure = error
            else:
                _http.log_attempt(call, attempts, began, response.status_code)
                return response
            self._sleep(delay)
            if core is not None and core.over:
                raise failure

    def read(self, call: PreparedRequest, limits: Timeout) -> bytes:
        """Return the body of a success."""
        response = self.open(call, limits)
        body = _http.Body(_http.MAX_BODY_BYTES, self.deadline(limits))
        failure: Exception | None = None
        with closing(response):
            try:
                for piece in response.iter_bytes():
                    if not body.add(piece):
                        break
            except READING_ERRORS as error:
                # A copy that was made is not lost because only the answer's ending is.
                if not body.is_json:
                    failure = reading_failure(error, self.settings, call, body)
        if failure is not None:
            raise failure
        return bytes(body.data)

    def deadline(self, limits: Timeout) -> _http.Deadline:
        """Start the clock for the whole of an answer."""
        return _http.Deadline(limits, self.policy)

    def close(self) -> None:
        """Close the connections, unless the httpx client is the caller's own."""
        self._closed = True
        if self._own is not None:
            self._own.close()

    def _open_once(self, call: PreparedRequest, limits: Timeout) -> httpx.Response:
        http = self.http
        _http.ensure_open(self._closed or http.is_closed)
        request = _http.build_request(http, self.settings, call, limits)
        try:
            response = http.send(request, stream=True, auth=self._auth, follow_redirects=False)
        except SENDING_ERRORS as error:
            failure = sending_failure(error, request, self.settings, call, limits)
        else:
            _http.begin_body(response, limits)
            if response.is_success:
                return response
            failure = self._refusal(call, response, limits)
        raise failure

    def _refusal(self, call: PreparedRequest, response: httpx.Response, limits: Timeout) -> MillisError:
        body = _http.Body(_http.MAX_ERROR_BODY_BYTES, self.deadline(limits))
        # The status is the message; a body that breaks off takes nothing from it.
        with closing(response), suppress(httpx.RequestError):
            for piece in response.iter_bytes():
                if not body.add(piece):
                    break
        return _http.status_error(self.settings, call, response, body)
