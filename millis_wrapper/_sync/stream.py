"""The sync stream: a thin shell round `ReplyBuilder`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from socket import SHUT_RDWR, socket
from types import TracebackType
from typing import TYPE_CHECKING, Self

import httpx

from millis_wrapper._http import DRAIN_BYTES, DRAIN_SECONDS, Deadline, is_plain, own_network
from millis_wrapper._http_errors import READING_ERRORS, stream_failure
from millis_wrapper.chat import ChatChunk, ChatReply, ReplyBuilder
from millis_wrapper.errors import ConfigurationError

if TYPE_CHECKING:
    from millis_wrapper.options import Timeout
    from millis_wrapper.request import PreparedRequest

    from .transport import Transport


class ChatStream:
    """A reply as it arrives; made by `millis.chat.stream(...)`.

    Entering the `with` block sends the request, and raises what the answer's status tells (APIStatusError,
    APIConnectionError). Reading raises StreamInterruptedError, StreamFailedError and
    UnexpectedResponseError. Leaving the block, or breaking out of a loop over the stream, closes it at
    once: `reply` then holds what had come, and is not whole.

    Example:
        >>> with millis.chat.stream("Hello", agent_id="-OabCdEfGhIjKlMnOpQr") as stream:
        ...     for text in stream.text_stream:
        ...         print(text, end="", flush=True)
        Hello
        >>> stream.get_final_reply().ended
        'done'
    """

    def __init__(
        self,
        transport: Transport,
        make_call: Callable[[], PreparedRequest],
        limits: Timeout,
        core: ReplyBuilder,
    ) -> None:
        self._transport = transport
        self._make_call = make_call
        self._limits = limits
        self._core = core
        self._opening = threading.Lock()  # taken once: a stream is sent once
        self._response: httpx.Response | None = None
        self._deadline: Deadline | None = None
        self._chunks: Generator[ChatChunk] | None = None

    @property
    def reply(self) -> ChatReply:
        """What has come so far; `ended` is None until it is whole."""
        return self._core.reply

    @property
    def text_stream(self) -> Generator[str]:
        """The pieces of text, each as soon as it has arrived."""
        with closing(self._read()) as chunks:
            for chunk in chunks:
                if chunk.text:
                    yield chunk.text

    def until_done(self) -> None:
        """Read the stream to its end; raises what breaks it."""
        with self:
            for _ in self._rest():
                pass
        self._core.final_reply()  # raises unless it ended well

    def get_final_reply(self) -> ChatReply:
        """Read the stream to its end and return the whole reply; raises what broke it, or
        StreamInterruptedError when it was left early.
        """
        self.until_done()
        return self._core.final_reply()

    def close(self) -> None:
        """Close the connection; a reply that is not whole stays so. May be called at any time and more than
        once.
        """
        self._core.leave()
        if self._response is None:
            return
        if self._chunks is not None:
            try:
                self._chunks.close()  # so that no reader goes on with what had come
            except ValueError:  # another thread is reading
                _wake_reader(self._response)
        self._response.close()

    def __iter__(self) -> Iterator[ChatChunk]:
        return self._read()

    def __enter__(self) -> Self:
        if self._response is None:
            if self._core.over:
                self._core.final_reply()  # raises: the stream was closed, or could not be sent
            if not self._opening.acquire(blocking=False):
                raise ConfigurationError("stream: another thread is opening it; enter it first, then read it")
            try:
                self._response = self._transport.open(self._make_call(), self._limits, self._core)
            except BaseException as error:  # a Ctrl-C or a cancelled task ends the turn, too
                self._core.fail(error)
                raise
            if self._core.over:
                self._response.close()
                self._core.final_reply()  # raises: another thread closed the stream meanwhile
            self._deadline = self._transport.deadline(self._limits)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> Generator[ChatChunk]:
        with self:
            for chunk in self._rest():  # noqa: UP028 - `yield from` would close the shared generator too
                yield chunk
        self._core.final_reply()  # raises unless it ended well

    def _rest(self) -> Iterator[ChatChunk]:
        # One generator for all readers, so that a second one goes on where the first is.
        self._chunks = self._chunks or self._chunks_as_they_come()
        return self._chunks

    def _chunks_as_they_come(self) -> Generator[ChatChunk]:
        response, deadline = self._response, self._deadline
        if response is None or deadline is None or self._core.over:
            return
        pieces = response.iter_raw() if is_plain(response) else response.iter_bytes()
        failure: Exception | None = None
        try:
            for piece in pieces:
                yield from self._core.feed(piece)
                if self._core.over:
                    break
                deadline.check()
            else:
                yield from self._core.end()
        except READING_ERRORS as error:
            failure = stream_failure(error, self._core, deadline)
        except GeneratorExit:
            raise
        except BaseException as error:  # a Ctrl-C or a cancelled task ends the turn, too
            self._core.fail(error)
            raise
        if failure is not None:
            raise failure
        if self._core.done:
            _drain(response, pieces)


def _drain(response: httpx.Response, pieces: Iterator[bytes]) -> None:
    """Read on to the body's end, so that the connection can be used again; within limits, and whatever
    happens, since the reply is whole.
    """
    connection = _own_socket(response)
    if connection is None:
        return
    # httpx cannot change the time-out of a body that is being read.
    timer = threading.Timer(DRAIN_SECONDS, _shut_down, [connection])
    timer.daemon = True
    timer.start()
    read = 0
    try:
        with suppress(httpx.RequestError):
            for piece in pieces:
                read += len(piece)
                if read > DRAIN_BYTES:
                    break
    finally:
        timer.cancel()


def _wake_reader(response: httpx.Response) -> None:
    """End the wait of the thread that is reading: closing a socket does not."""
    connection = _own_socket(response)
    if connection is not None:
        _shut_down(connection)


def _own_socket(response: httpx.Response) -> socket | None:
    network = own_network(response)
    connection = network.get_extra_info("socket") if network is not None else None
    return connection if isinstance(connection, socket) else None


def _shut_down(connection: socket) -> None:
    with suppress(OSError):
        # socket's own method: SSLSocket's would pull the TLS state from under the thread that is reading.
        socket.shutdown(connection, SHUT_RDWR)
