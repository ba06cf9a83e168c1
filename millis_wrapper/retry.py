"""Decide whether and when the client retries a request. No I/O.

The client retries a request only if the request provably had no effect: every `duplicate` request that
reaches the service creates another copy, and the service does not support idempotency keys.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import attrs

from ._json import is_number
from ._text import short_repr
from .errors import APIConnectionError, APIStatusError, ConfigurationError, MillisError

Operation = Literal["chat", "duplicate"]

# The date formats of RFC 9110, section 5.6.7. dateutil alone would complete a partial date from today's date.
_HTTP_DATE = re.compile(
    r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} [1-9]\d{3} \d\d:\d\d:\d\d GMT"
    r"|[A-Z][a-z]{5,8}, \d\d-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d GMT"
    r"|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [1-9]\d{3}",
    re.ASCII,
)

_LONGEST_RETRY_AFTER = 128  # characters


def should_retry(operation: Operation, error: MillisError) -> bool:
    """Return whether retrying `operation` after `error` cannot make it happen twice."""
    if isinstance(error, APIConnectionError):
        return not (error.maybe_processed or error.is_permanent)
    if isinstance(error, APIStatusError):
        if error.status_code == 429:
            return True
        return operation == "chat" and error.status_code == 503 and error.retry_after is not None
    return False


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the delay that a Retry-After header asks for, in seconds (RFC 9110, section 10.2.3).

    The value is a number of seconds or an HTTP date. Of several headers, whose values are joined by commas,
    the longest delay counts. The result is 0 for a date in the past, and None if a value cannot be parsed.
    """
    if len(value or "") > _LONGEST_RETRY_AFTER:
        return None
    # The comma in "Wed, 21 Oct 2026 07:28:00 GMT" is the only one after a lowercase letter.
    delays = [_parse_delay(part.strip(), now) for part in re.split(r"(?<![a-z]), ", value or "")]
    known = [delay for delay in delays if delay is not None]
    return max(known) if len(known) == len(delays) else None


def _parse_delay(value: str, now: datetime) -> float | None:
    if value.isascii() and value.replace(".", "", 1).isdigit():
        return float(value)

    if not _HTTP_DATE.fullmatch(value):
        return None

    from dateutil import parser

    try:
        date = parser.parse(value, ignoretz=True).replace(tzinfo=UTC)  # HTTP dates are always in GMT
    except ValueError:  # such as February 31
        return None
    return max(0.0, (date - now).total_seconds())


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often, and after which delays, the client retries a request if a retry is safe.

    Raises:
        ConfigurationError: A setting is not a number or is negative.

    Examples:
        >>> RetryPolicy(max_retries=5, max_elapsed=120).max_delay
        30.0
    """

    max_retries: int = 2
    """Maximum number of retries after the first attempt."""
    initial_delay: float = 0.5
    """Delay before the first retry, in seconds. It doubles with each retry, minus up to half at random."""
    max_delay: float = 30.0
    """Longest single delay, in seconds. If Retry-After asks for more, the client raises the error at once."""
    max_elapsed: float = 60.0
    """Maximum time for all attempts, in seconds from the start of the first one. A delay that would end later
    does not start."""
    clock: Callable[[], float] = attrs.field(default=time.monotonic, repr=False)
    """Function that returns monotonic seconds; replace it in tests."""
    jitter: Callable[[], float] = attrs.field(default=random.random, repr=False)
    """Function that returns a random number from 0 to 1; replace it in tests."""

    def __attrs_post_init__(self) -> None:
        retries = self.max_retries
        if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
            raise ConfigurationError(
                f"max_retries: must be an integer, 0 or more, or a RetryPolicy, got {short_repr(retries)}"
            )
        for name in ("initial_delay", "max_delay", "max_elapsed"):
            value = getattr(self, name)
            if not is_number(value) or not value >= 0:
                raise ConfigurationError(
                    f"max_retries: {name} must be a number of seconds, 0 or more, got {short_repr(value)}"
                )


def next_delay(
    policy: RetryPolicy, operation: Operation, error: MillisError, *, attempt: int, elapsed: float
) -> float | None:
    """Return the delay before the next attempt in seconds, or None if `error` must be raised.

    `attempt` is the number of the last attempt, from 1. `elapsed` is in seconds, from the start of the first.
    """
    if attempt > policy.max_retries or not should_retry(operation, error):
        return None
    asked = error.retry_after if isinstance(error, APIStatusError) else None
    if asked is None:
        # A larger exponent would overflow a float, and max_delay is reached long before.
        delay = min(policy.max_delay, policy.initial_delay * 2.0 ** min(attempt - 1, 32))
        delay *= 1 - policy.jitter() / 2
    elif asked > policy.max_delay:
        return None
    else:
        # The random part spreads the retries of clients that were refused at the same moment.
        delay = asked + policy.jitter() * policy.initial_delay / 2
    return delay if elapsed + delay <= policy.max_elapsed else None
