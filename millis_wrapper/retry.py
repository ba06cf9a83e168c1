"""May a failed request be sent again, and when? No I/O: clock and randomness are handed in.

The rule: a request is sent again only when it provably did no work. `duplicate` makes a copy each time it
arrives, and the service knows no idempotency key, so in doubt the answer is no.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import attrs

from ._text import shorten
from .errors import APIConnectionError, APIStatusError, ConfigurationError, MillisError

Operation = Literal["chat", "duplicate"]

# The three forms of RFC 9110, 5.6.7. Anything looser dateutil would read too, filling in what is missing from
# today.
_HTTP_DATE = re.compile(
    r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} [1-9]\d{3} \d\d:\d\d:\d\d GMT"
    r"|[A-Z][a-z]{5,8}, \d\d-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d GMT"
    r"|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [1-9]\d{3}",
    re.ASCII,
)


def should_retry(operation: Operation, error: MillisError) -> bool:
    """Return whether `operation` may be sent once more after `error` without a risk of happening twice."""
    if isinstance(error, APIConnectionError):
        return not (error.maybe_processed or error.is_permanent)
    if isinstance(error, APIStatusError):
        if error.status_code == 429:
            return True
        return operation == "chat" and error.status_code == 503 and error.retry_after is not None
    return False


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110, 10.2.3).

    Args:
        value: the header's value: a number of seconds, or an HTTP date.
        now: the time to count a date from.

    Returns:
        The seconds, 0 for a date in the past, or None for a value that cannot be read.
    """
    value = (value or "").strip()
    if len(value) > 64:
        return None
    if value.isascii() and value.replace(".", "", 1).isdigit():
        return float(value)

    if not _HTTP_DATE.fullmatch(value):
        return None

    from dateutil import parser

    try:
        date = parser.parse(value, ignoretz=True).replace(tzinfo=UTC)  # HTTP dates are always in GMT
    except ValueError:  # the 31st of February
        return None
    return max(0.0, (date - now).total_seconds())


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often, and after which waits, a request is sent again where that is safe.

    Args:
        max_retries: how often to send again after the first time.
        initial_delay: seconds before the first retry; the wait doubles each time, less up to a half by
            chance (`jitter`).
        max_delay: seconds that one wait may take. A Retry-After is obeyed up to this; for a longer one the
            error is raised at once and holds it.
        max_elapsed: seconds for all attempts, from the first one on; no wait begins that would end later.
        clock: returns monotonic seconds; for tests.
        jitter: returns a random number from 0 to 1; for tests.

    Raises:
        ConfigurationError: a number is not one, or is below 0.

    Examples:
        >>> RetryPolicy(max_retries=5, max_elapsed=120).max_delay
        30.0
    """

    max_retries: int = 2
    """How often to send again after the first time."""
    initial_delay: float = 0.5
    """Seconds before the first retry."""
    max_delay: float = 30.0
    """Seconds that one wait may take."""
    max_elapsed: float = 60.0
    """Seconds for all attempts."""
    clock: Callable[[], float] = attrs.field(default=time.monotonic, repr=False)
    jitter: Callable[[], float] = attrs.field(default=random.random, repr=False)

    def __attrs_post_init__(self) -> None:
        retries = self.max_retries
        if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
            raise ConfigurationError(
                "max_retries: must be a whole number, 0 or more, or a RetryPolicy, not"
                f" {shorten(repr(retries), 40)}"
            )
        for name in ("initial_delay", "max_delay", "max_elapsed"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise ConfigurationError(
                    f"max_retries: {name} must be a number of seconds, 0 or more, not"
                    f" {shorten(repr(value), 40)}"
                )


@attrs.define
class Attempts:
    """The attempts to send one request."""

    operation: Operation
    policy: RetryPolicy
    started: float = attrs.field(init=False)
    number: int = attrs.field(init=False, default=1)

    def __attrs_post_init__(self) -> None:
        self.started = self.policy.clock()

    def delay_after(self, error: MillisError) -> float | None:
        """Return the seconds to wait before the next attempt, or None when `error` has to be raised."""
        policy = self.policy
        if self.number > policy.max_retries or not should_retry(self.operation, error):
            return None
        asked = error.retry_after if isinstance(error, APIStatusError) else None
        if asked is None:
            # An exponent past this would overflow a float long after max_delay was reached.
            delay = min(policy.max_delay, policy.initial_delay * 2.0 ** min(self.number - 1, 32))
            delay *= 1 - policy.jitter() / 2
        elif asked > policy.max_delay:
            return None
        else:
            # Never sooner than asked; a little later, so that clients that were refused together do not come
            # back together.
            delay = asked + policy.jitter() * policy.initial_delay / 2
        if policy.clock() - self.started + delay > policy.max_elapsed:
            return None
        self.number += 1
        return delay
