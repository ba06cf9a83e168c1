# Generated from millis_wrapper/_async/transport.py by scripts/regenerate: edit that file, not this one.

"""Sends requests, and retries them if that is safe."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import get_args
from weakref import WeakKeyDictionary

import httpx

from millis_wrapper import _http, _http_body, _http_errors
from millis_wrapper._deadline import Deadline
from millis_wrapper.chat import ReplyBuilder
from millis_wrapper.errors import MillisError
from millis_wrapper.options import Options, Timeout
from millis_wrapper.request import PreparedRequest
from millis_wrapper.response import masked_headers
from millis_wrapper.retry import Operation, RetryPolicy, next_delay

from . import io
from .response import OpenResponse, Pool


class Transport:
    """Sends all requests of a client, and retries them if that is safe.

    Args:
        options: The host, the key and the headers.
        timeout: The timeouts of calls that do not set their own.
        policy: The maximum number of retries and their delays.
        http_client: The caller's own httpx client. None: the first request creates one.
        sleep: Waits for a number of seconds; replace it in tests.
    """

    def __init__(
        self,
        options: Options,
        timeout: Timeout,
        policy: RetryPolicy,
        http_client: httpx.Client | None,
        sleep: Callable[[float], None] = io.sleep,
    ) -> None:
        self.options = options
        self.timeout = timeout
        self.policy = policy
        self.end_marks = _http.EndMarks(options.require_end)
        self._auth = _http.KeyAuth(options.key)
        self._redact = options.key.redact
        self._custom: Pool | None = None
        self._engine: None = None
        if isinstance(http_client, httpx.Client):
            self._custom = Pool(http_client, is_own=False, loses_slots=False)
        else:
            self._engine = http_client
        is_own = self._custom is None
        self._headers: dict[Operation, httpx.Headers] = {
            operation: _http.request_headers(options, operation, is_own=is_own)
            for operation in get_args(Operation)
        }
        # After a fork, the child process creates its own pool and does not touch the sockets of its parent.
        self._pools = WeakKeyDictionary[io.Loop, list[Pool]]()
        self._closed = False
        self._sleep = sleep

    @property
    def is_closed(self) -> bool:
        """Whether the client is closed."""
        return self._closed

    def new_builder(self) -> ReplyBuilder:
        """Return a new ReplyBuilder."""
        return ReplyBuilder(redact=self._redact, clock=self.policy.clock)

    def open(
        self, prepared: PreparedRequest, timeout: Timeout, builder: ReplyBuilder | None = None
    ) -> OpenResponse:
        """Send a request and return the successful response, with the body unread.

        Once the reply of `builder` is over, the request is not retried.

        Raises:
            MillisError: No response arrived, or the service returned an error status.
        """
        clock = self.policy.clock
        started = clock()
        attempt = 1
        while True:
            began = clock()
            try:
                response = self._open_once(prepared, timeout, attempt)
            except MillisError as error:
                now = clock()
                _http.log_attempt(prepared, attempt, now - began, error)
                delay = next_delay(
                    self.policy, prepared.operation, error, attempt=attempt, elapsed=now - started
                )
                if delay is None:
                    raise
                failure = error
            else:
                _http.log_attempt(prepared, attempt, clock() - began, response.status_code)
                return response
            self._sleep(delay)
            if builder is not None and builder.state != "open":
                raise failure
            attempt += 1

    def read(self, prepared: PreparedRequest, timeout: Timeout) -> tuple[bytes, dict[str, str]]:
        """Send a request and return the response body, and the headers in the form that errors show.

        Raises:
            MillisError: No complete response arrived, or the service returned an error status.
        """
        response = self.open(prepared, timeout)
        body = _http_body.Body(_http_body.MAX_BODY_BYTES, response.deadline)
        failure: Exception | None = None
        try:
            response.read(body)
        except Exception as error:  # httpx does not translate all of them
            if not _http_errors.is_transport_error(error):
                raise
            # The id of a copy must not be lost because the connection broke after the complete JSON.
            if not body.is_json:
                failure = _http_errors.reading_failure(error, self.options, prepared, body)
        finally:
            response.close()
        if failure is not None:
            raise failure
        return bytes(body.data), masked_headers(response.headers.items(), self.options.key)

    def close(self) -> None:
        """Close the connections of this event loop, unless the httpx client is the caller's own."""
        self._closed = True
        for pool in self._pools.get(io.this_loop(), [])[:]:
            if pool.process == os.getpid():
                io.close_client(pool.client)

    def _pool(self) -> Pool:
        """Return the pool of the caller's own httpx client, or the one of the running event loop."""
        if self._custom is not None:
            if self._custom.process != os.getpid():
                raise _http_errors.other_process()
            return self._custom
        loop = io.this_loop()
        pools = self._pools.get(loop)
        if pools is None:
            # A client keeps its event loop in memory, so each `asyncio.run` would leave one behind.
            for other in list(self._pools):
                if other.is_closed:
                    self._pools.pop(other, None)
            pools = self._pools.setdefault(loop, [])
        if (pool := _usable(pools)) is not None:
            return pool
        client = io.new_client(self.options, self._engine)
        new = Pool(client, is_own=True, loses_slots=self._engine is None)
        for old in pools[:]:
            if old.client.is_closed:
                with suppress(ValueError):  # another thread has removed it
                    pools.remove(old)
        pools.append(new)
        # If two threads get here at the same time, both use the first pool.
        return _usable(pools) or new

    def _enter_pool(self, call: object) -> Pool:
        while True:
            if self._closed:
                raise _http.closed_client()
            pool = self._pool()
            # `enter` comes first, because another thread may retire and close the pool in the meantime.
            if pool.enter(call):
                if not pool.client.is_closed:
                    return pool
                pool.leave(call)
                raise _http.closed_client()

    def _open_once(self, prepared: PreparedRequest, timeout: Timeout, attempt: int) -> OpenResponse:
        deadline = Deadline(timeout, self.policy.clock)
        trace = io.ConnectionTrace(deadline)
        pool = self._enter_pool(deadline)
        outcome: httpx.Response | MillisError
        is_open = False
        try:
            request = _http.build_request(
                None if pool.is_own else pool.client,
                self.options.base_url,
                self._headers[prepared.operation],  # not in a local variable, which a traceback would show
                prepared,
                deadline,
                trace,
            )
            send = partial(pool.client.send, request, stream=True, auth=self._auth, follow_redirects=False)
            outcome = io.send(send, deadline)
            is_open = True
        except Exception as error:  # httpx does not translate all of them
            if pool.client.is_closed and isinstance(error, RuntimeError) and not trace.request_began:
                outcome = _http.closed_client()  # another thread or task closed it at this moment
            elif not _http_errors.is_transport_error(error):
                raise
            else:
                outcome = _http_errors.status_from_hook(
                    error, self.options, prepared, deadline, attempt
                ) or _http_errors.sending_failure(error, trace, self.options, prepared, deadline)
            if trace.peer not in (None, self.options.host):
                pool.retire()
            _close_unused(trace)
        except BaseException:  # Ctrl-C or a canceled task: httpcore may have lost a slot
            pool.retire()
            _close_unused(trace)
            raise
        finally:
            if not is_open:
                pool.leave(deadline)
        # Raised outside the `except`, so that httpx's error, whose frames hold the key, is not its context.
        if isinstance(outcome, MillisError):
            raise outcome
        _http.start_body(outcome, deadline)
        response = OpenResponse(outcome, deadline, pool)
        if outcome.is_success:
            return response
        raise self._refusal(prepared, response, attempt)

    def _refusal(self, prepared: PreparedRequest, response: OpenResponse, attempt: int) -> MillisError:
        body = _http_body.Body(_http_body.MAX_ERROR_BODY_BYTES, response.deadline)
        try:
            response.read(body)
        except Exception as error:  # the status is known, so an incomplete body does not matter
            if not _http_errors.is_transport_error(error):
                raise
        finally:
            response.close()
        return _http_errors.status_error(
            self.options, prepared, response.status_code, response.headers, body, attempt
        )


def _usable(pools: list[Pool]) -> Pool | None:
    """Return the first pool of this process that is not retired."""
    process = os.getpid()
    for pool in pools:
        if pool.process == process and not pool.is_retired:
            return pool
    return None


def _close_unused(trace: io.ConnectionTrace) -> None:
    """Close a connection that was never ready for the request; httpcore does not after a failed handshake."""
    if trace.network is not None and not trace.request_began:
        io.close_network(trace.network)
