"""A response body that is read whole, and gzip, within bounds. No I/O."""

from __future__ import annotations

import zlib
from collections.abc import Generator

import httpx

from ._deadline import Deadline
from ._json import NOT_JSON, read_json

MAX_BODY_BYTES = 16 * 1024 * 1024  # of an answer that is read whole
MAX_ERROR_BODY_BYTES = 64 * 1024  # of an error's body; the rest is left unread
PART_BYTES = 64 * 1024  # unpacked at once of a compressed body


class Gunzip:
    """Unpacks gzip in parts of at most 64 KiB, so that the reader can stop at any size."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    def feed(self, data: bytes) -> Generator[bytes]:
        """Yield what `data` unpacks to.

        Raises:
            httpx.DecodingError: The data is not valid gzip.
        """
        while data:
            if self._member.eof:  # the next of several gzip members
                self._member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            try:
                part = self._member.decompress(data, PART_BYTES)
            except zlib.error as error:
                raise httpx.DecodingError(str(error)) from None
            data = self._member.unused_data or self._member.unconsumed_tail
            if part:
                yield part

    def end(self) -> None:
        """End the body.

        Raises:
            httpx.DecodingError: The body is cut off.
        """
        if not self._member.eof:
            raise httpx.DecodingError("the gzip data is cut off")


class Body:
    """An answer that is read whole, or up to `limit` bytes of it."""

    def __init__(self, limit: int, deadline: Deadline) -> None:
        self.data = bytearray()
        self._limit = limit
        self.deadline = deadline

    @property
    def is_json(self) -> bool:
        """Whether it can be read as JSON, and so came whole: JSON that is cut cannot."""
        return read_json(bytes(self.data)) is not NOT_JSON

    def add(self, piece: bytes) -> bool:
        """Take a piece; return whether more is wanted."""
        self.data += piece[: self._limit - len(self.data)]
        if self.deadline.total_is_over:
            # A copy that was made is not lost to a late last piece.
            if not self.is_json:
                self.deadline.restart_idle()
            return False
        self.deadline.restart_idle()
        return len(self.data) < self._limit
