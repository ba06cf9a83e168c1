# Made from millis_wrapper/_async/transport.py by scripts/regenerate: edit that file, not this one.

"""Sends requests: once, or again where that is safe."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import attrs
import httpx

from millis_wrapper import _http, _http_errors
from millis_wrapper._deadline import Deadline
from millis_wrapper.chat import ReplyBuilder
from millis_wrapper.errors import MillisError
from millis_wrapper.options import Options, Timeout
from millis_wrapper.request import PreparedRequest
from millis_wrapper.response import shown_headers
from millis_wrapper.retry import Attempts, Operation, RetryPolicy

from . import io


@attrs.define(eq=False)
class Pool:
    """An httpx client, and what is under way on it."""

    client: httpx.Client
    is_own: bool
    under_way: set[object] = attrs.field(factory=set[object])


@attrs.define(eq=False)
class OpenResponse:
    """An answer whose body is not read yet."""

    response: httpx.Response
    deadline: Deadline
    pool: Pool
    loop: io.Loop
    process: int
    """The process that opened it: a forked child shares the socket, and must not touch it."""

    @property
    def is_foreign(self) -> bool:
        """Whether another process opened it."""
        return self.process != os.getpid()


class Transport:
    """Sends requests, again where that is safe; the only place that does.

    Args:
        options: where to, with which key and headers.
        timeout: the time limits where a call sets none.
        policy: when to send again.
        http_client: the caller's httpx client; None: the client makes one at the first use.
        sleep: waits for a number of seconds; for tests.
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
        self.end_marks_seen = False
        """Whether a reply of this host has ended with a mark; then one without a mark was cut."""
        self._auth = _http.KeyAuth(options.key)
        self._redact = options.key.redact
        self._lent: Pool | None = None
        self._engine: None = None
        if isinstance(http_client, httpx.Client):
            self._lent = Pool(http_client, is_own=False)
        else:
            self._engine = http_client
        is_own = self._lent is None
        self._headers: dict[Operation, httpx.Headers] = {
            "chat": _http.request_headers(options, "chat", is_own=is_own),
            "duplicate": _http.request_headers(options, "duplicate", is_own=is_own),
        }
        self._process = os.getpid()
        # By event loop, and by process below it: after a fork, the child makes a pool of its own and never
        # touches the parent's sockets. No locks: one that another thread holds at a fork stays held.
        self._pools = WeakKeyDictionary[io.Loop, dict[int, Pool]]()
        self._retired: list[Pool] = []
        self._closed = False
        self._sleep = sleep

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    @property
    def require_end(self) -> bool:
        """Whether a reply that ends without a mark counts as cut."""
        required = self.options.require_end
        return self.end_marks_seen if required is None else required

    def new_builder(self) -> ReplyBuilder:
        """Return what builds one reply."""
        return ReplyBuilder(redact=self._redact)

    def open(
        self, prepared: PreparedRequest, timeout: Timeout, builder: ReplyBuilder | None = None
    ) -> OpenResponse:
        """Return the answer to a request, a success with its body unread.

        Args:
            prepared: the request.
            timeout: its time limits.
            builder: of the stream that is to read it; once that is over, the request is not sent again.

        Raises:
            MillisError: there was no answer, or one with an error status.
        """
        attempts = Attempts(prepared.operation, self.policy)
        while True:
            began = self.policy.clock()
            try:
                answer = self._open_once(prepared, timeout, attempts.number)
            except MillisError as error:
                _http.log_attempt(prepared, attempts, began, error)
                delay = attempts.delay_after(error)
                if delay is None:
                    raise
                failure = error
            else:
                _http.log_attempt(prepared, attempts, began, answer.response.status_code)
                return answer
            self._sleep(delay)
            if builder is not None and builder.is_over:
                raise failure

    def read(self, prepared: PreparedRequest, timeout: Timeout) -> tuple[bytes, dict[str, str]]:
        """Return the body of a success, and the headers as errors show them.

        Raises:
            MillisError: there was no answer, one with an error status, or one that broke off.
        """
        answer = self.open(prepared, timeout)
        body = _http.Body(_http.MAX_BODY_BYTES, answer.deadline)
        failure: Exception | None = None
        try:
            self._read_into(body, answer)
        except Exception as error:  # httpx does not translate all of them
            if not _http_errors.is_transport_error(error):
                raise
            # A copy that was made is not lost because only the answer's ending is.
            if not body.is_json:
                failure = _http_errors.reading_failure(error, self.options, prepared, body)
        finally:
            self.release(answer)
        if failure is not None:
            raise failure
        headers = shown_headers(answer.response.headers.items(), self.options.key)
        return bytes(body.data), headers

    def release(self, answer: OpenResponse) -> None:
        """Close an answer, and give its connection back."""
        if answer.is_foreign:
            return
        pool = answer.pool
        try:
            io.close_response(answer.response, is_own=pool.is_own)
        except BaseException:
            # Cancelled a second time: the connection is lost to this pool.
            self._retire(pool)
            raise
        finally:
            pool.under_way.discard(answer.response)
            if self._retired:
                answer.loop.call_soon(self._sweep)

    def interrupted(self, answer: OpenResponse) -> None:
        """Take note that the reading of an answer was cancelled, or ended by Ctrl-C."""
        if io.may_have_interrupted_closing():
            self._retire(answer.pool)

    def close(self) -> None:
        """Close the connections of this event loop, unless the httpx client is the caller's own."""
        self._closed = True
        pools = self._pools.get(io.this_loop(), {})
        pool = pools.get(os.getpid())
        if pool is not None:
            io.close_client(pool.client)
        for retired in self._retired[:]:
            io.close_client(retired.client)

    def _pool(self) -> Pool:
        """Return the caller's httpx client, or one for each event loop, made at its first use."""
        if self._lent is not None:
            if self._process != os.getpid():
                raise _http_errors.foreign_process()
            return self._lent
        loop = io.this_loop()
        pools = self._pools.get(loop)
        if pools is None:
            # A client holds on to its loop: without this, each `asyncio.run` would leave one behind.
            for other in list(self._pools):
                if other.is_closed:
                    self._pools.pop(other, None)
            pools = self._pools.setdefault(loop, {})
        pool = pools.get(os.getpid())
        if pool is None:
            new = Pool(io.new_client(self.options, self._engine), is_own=True)
            pool = pools.setdefault(os.getpid(), new)
        return pool

    def _retire(self, pool: Pool) -> None:
        """Send nothing more on this pool, since a slot of it is lost; it is closed when its last answer is.

        httpcore does not give back a slot when a call is cancelled while it waits for a connection or right
        after one was made, when a task is cancelled twice, or when TLS fails behind a proxy. aiohttp loses
        none.
        """
        if self._engine is not None:
            return
        pools = self._pools.get(io.this_loop(), {})
        if pool.is_own and pools.get(os.getpid()) is pool:
            del pools[os.getpid()]
            self._retired.append(pool)

    def _sweep(self) -> None:
        """Close the retired pools that nobody uses any more."""
        for pool in self._retired[:]:
            if not pool.under_way:
                self._retired.remove(pool)
                io.close_client(pool.client)

    def _open_once(self, prepared: PreparedRequest, timeout: Timeout, attempt: int) -> OpenResponse:
        pool = self._pool()
        _http.ensure_open(self._closed or pool.client.is_closed)
        deadline = Deadline(timeout, self.policy.clock)
        trace = io.Trace(deadline)
        request = _http.build_request(
            None if pool.is_own else pool.client,
            self.options.base_url,
            self._headers[prepared.operation],  # no name: the frames of an error show what has one
            prepared,
            deadline,
            trace,
        )
        outcome: httpx.Response | MillisError
        pool.under_way.add(request)
        try:
            outcome = pool.client.send(request, stream=True, auth=self._auth, follow_redirects=False)
            pool.under_way.add(outcome)
        except Exception as error:  # httpx does not translate all of them
            if not _http_errors.is_transport_error(error):
                raise
            outcome = _http_errors.sending_failure(error, trace, self.options, prepared, deadline)
            if trace.peer not in (None, self.options.host):
                self._retire(pool)
            self._abandon(trace)
        except BaseException:  # Ctrl-C or a cancelled task: httpcore may have lost a slot
            self._retire(pool)
            self._abandon(trace)
            raise
        finally:
            pool.under_way.discard(request)
            if self._retired:
                io.this_loop().call_soon(self._sweep)
        # Raised outside the `except`: httpx's error, whose frames hold the key, must not become its context.
        if isinstance(outcome, MillisError):
            raise outcome
        answer = OpenResponse(outcome, deadline, pool, io.this_loop(), os.getpid())
        _http.begin_body(outcome, deadline, self.options.key)
        if (network := outcome.extensions.get("network_stream")) is not None:
            _http.limit_reads(network, timeout.connect)
        if outcome.is_success:
            return answer
        raise self._refusal(prepared, answer, attempt)

    def _abandon(self, trace: io.Trace) -> None:
        """Close a connection that was never ready for the request: httpcore forgets it in a handshake."""
        if trace.network is not None and not trace.request_began:
            io.close_network(trace.network)

    def _refusal(self, prepared: PreparedRequest, answer: OpenResponse, attempt: int) -> MillisError:
        body = _http.Body(_http.MAX_ERROR_BODY_BYTES, answer.deadline)
        try:
            self._read_into(body, answer)
        except Exception as error:
            # The status is the message; a body that breaks off takes nothing from it.
            if not _http_errors.is_transport_error(error):
                raise
        finally:
            self.release(answer)
        return _http.status_error(self.options, prepared, answer.response, body, attempt)

    def _read_into(self, body: _http.Body, answer: OpenResponse) -> None:
        pieces: Any = answer.response.iter_bytes()
        try:
            while (piece := io.next_piece(pieces, answer.response, answer.deadline)) is not None:
                if not body.add(piece):
                    return
        except Exception:
            raise
        except BaseException:  # Ctrl-C or a cancelled task
            self.interrupted(answer)
            raise
