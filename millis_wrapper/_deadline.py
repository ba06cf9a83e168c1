"""The deadlines that follow from the timeouts of a request. No I/O."""

from __future__ import annotations

import math
from collections.abc import Callable

from .options import Timeout

_LATE_SECONDS = 0.05


class DeadlinePassedError(TimeoutError):
    """A deadline passed between two reads."""


class Deadline:
    """The deadline of the next read of one response. It moves with the phases of the response.

    httpx itself enforces `connect`, `pool` and `write`.
    """

    def __init__(self, timeout: Timeout, clock: Callable[[], float]) -> None:
        self.timeout = timeout
        self._clock = clock
        self.sent_at = clock()
        """When the request was sent, by `clock`; until that is known, when the deadline was created."""
        self._connect_ends = math.inf
        self._total_ends = math.inf
        self._phase = "first_byte"
        self._phase_ends = math.inf

    def start_connect(self) -> None:
        """Note that the client starts to connect, or to set up TLS."""
        self._connect_ends = self._clock() + self.timeout.connect

    @property
    def connect_is_overdue(self) -> bool:
        """Whether `connect` passed so long ago that a busy event loop must have noticed it late."""
        return self._clock() > self._connect_ends + _LATE_SECONDS

    def start_proxy(self) -> None:
        """Start the timeout for a proxy's response to CONNECT, which is part of connecting."""
        self._phase, self._phase_ends = "connect", self._clock() + self.timeout.connect

    def start_head(self) -> None:
        """Start the timeout for the response headers."""
        self.sent_at = self._clock()
        self._phase, self._phase_ends = "first_byte", self.sent_at + self.timeout.first_byte

    def start_body(self) -> None:
        """Start the timeouts for the response body."""
        now = self._clock()
        self._total_ends = now + self.timeout.total
        self._phase, self._phase_ends = "idle", now + self.timeout.idle

    def restart_idle(self) -> None:
        """Restart the timeout for the next body chunk.

        Raises:
            DeadlinePassedError: The timeout `total` has passed.
        """
        now = self._clock()
        if now > self._total_ends:
            raise DeadlinePassedError(self.describe())
        if self._phase == "idle":
            self._phase_ends = now + self.timeout.idle

    def end_within(self, phase: str, seconds: float) -> None:
        """Limit the rest of the body to `seconds`. Only the first call with this `phase` counts."""
        if self._phase != phase:
            self._phase, self._phase_ends = phase, self._clock() + seconds

    @property
    def phase(self) -> str:
        """The current phase: "connect", "first_byte", "idle", "finish" or "drain"."""
        return self._phase

    @property
    def total_is_over(self) -> bool:
        """Whether the timeout `total` has passed."""
        return self._clock() > self._total_ends

    def seconds_left(self) -> float:
        """Return the seconds left for the next read; 0 or less means that a timeout has passed."""
        return min(self._phase_ends, self._total_ends) - self._clock()

    @property
    def is_tight(self) -> bool:
        """Whether a timeout other than `idle` limits the next read."""
        return self._phase != "idle" or self._total_ends < self._phase_ends

    def describe(self) -> str:
        """Return a description of the timeout that has passed, for an error message."""
        if self.total_is_over:
            return f"it took longer than {self.timeout.total:g} s (timeout: total)"
        if self._phase == "first_byte":
            return f"no response within {self.timeout.first_byte:g} s (timeout: first_byte)"
        return f"no data for {self.timeout.idle:g} s (timeout: idle)"


class DeadlineSeconds(float):
    """A read timeout in seconds that carries its `Deadline` through httpx to the network stream.

    httpx applies a timeout to each single read, so a peer that sends one byte at a time could block a call
    forever. `limit_reads` makes the network stream ask the deadline before each read. A transport without
    such a stream sees a plain number.
    """

    __slots__ = ("deadline",)
    deadline: Deadline

    @classmethod
    def of(cls, deadline: Deadline, seconds: float) -> DeadlineSeconds:
        """Return a timeout of `seconds` that carries `deadline`."""
        timeout = cls(min(seconds, _NO_TIMEOUT))
        timeout.deadline = deadline
        return timeout


# httpx accepts None for "no timeout", but DeadlineSeconds is a number: more than any Timeout accepts.
_NO_TIMEOUT = 1_000_000.0
