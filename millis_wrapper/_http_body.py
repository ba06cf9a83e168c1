"""Response bodies that are read completely, and gzip, within limits. No I/O."""

from __future__ import annotations

import zlib
from collections.abc import Generator

import httpx

from ._deadline import Deadline
from ._json import NOT_JSON, read_json

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_ERROR_BODY_BYTES = 64 * 1024  # the rest of an error body is not read
PART_BYTES = 64 * 1024  # maximum size of one part of an unpacked body


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
    """A response body that is read completely, up to `limit` bytes."""

    def __init__(self, limit: int, deadline: Deadline) -> None:
        self.data = bytearray()
        self._limit = limit
        self.deadline = deadline

    @property
    def is_json(self) -> bool:
        """Whether the body is valid JSON, and therefore complete."""
        return read_json(bytes(self.data), deep_as_text=True) is not NOT_JSON

    def add(self, chunk: bytes) -> bool:
        """Add a chunk; return whether the body has room for more."""
        self.data += chunk[: self._limit - len(self.data)]
        if self.deadline.total_is_over:
            # The id of a copy must not be lost because the last chunk came late.
            if not self.is_json:
                self.deadline.restart_idle()
            return False
        self.deadline.restart_idle()
        return len(self.data) < self._limit
