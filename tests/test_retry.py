"""The retry rule, Retry-After, and the delays between attempts."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from millis_wrapper._text import short_repr
from millis_wrapper.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    InternalServerError,
    MillisError,
    RateLimitError,
    StreamFailedError,
    StreamInterruptedError,
    UnexpectedResponseError,
)
from millis_wrapper.results import ChatReply
from millis_wrapper.retry import Operation, RetryPolicy, next_delay, parse_retry_after, should_retry

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def unavailable(retry_after: float | None) -> APIStatusError:
    return InternalServerError("503", status_code=503, retry_after=retry_after)


def refused(retry_after: float | None = None) -> APIStatusError:
    return RateLimitError("429", status_code=429, retry_after=retry_after)


# Name of the failure -> the error, whether `duplicate` is retried after it, and whether `chat` is.
RULE: dict[str, tuple[MillisError, bool, bool]] = {
    "no connection": (APIConnectionError("", maybe_processed=False), True, True),
    "no connection in time": (APITimeoutError("", maybe_processed=False), True, True),
    "bad certificate": (APIConnectionError("", maybe_processed=False, is_permanent=True), False, False),
    "the proxy refuses the password": (
        APITimeoutError("", maybe_processed=False, is_permanent=True),
        False,
        False,
    ),
    "connection lost after the request was sent": (
        APIConnectionError("", maybe_processed=True),
        False,
        False,
    ),
    "no response in time": (APITimeoutError("", maybe_processed=True), False, False),
    "response cut off": (APIConnectionError("", maybe_processed=True, body='{"id":'), False, False),
    "429": (refused(), True, True),
    "429 with Retry-After": (refused(1), True, True),
    "503": (unavailable(None), False, False),
    "503 with Retry-After": (unavailable(1), False, True),
    "503 with Retry-After: 0": (unavailable(0), False, True),
    "stream cut off": (StreamInterruptedError("", reply=ChatReply()), False, False),
    "error in the stream": (StreamFailedError("", reply=ChatReply()), False, False),
    "success response that does not match the contract": (UnexpectedResponseError(""), False, False),
    "invalid argument": (ConfigurationError(""), False, False),
    "any other error": (MillisError(""), False, False),
}


@pytest.mark.parametrize(("error", "duplicate", "chat"), RULE.values(), ids=RULE)
def test_a_request_is_retried_only_if_it_had_no_effect(
    error: MillisError, duplicate: bool, chat: bool
) -> None:
    """The client retries a request only if the request provably had no effect."""
    assert should_retry("duplicate", error) is duplicate
    assert should_retry("chat", error) is chat


@pytest.mark.parametrize("operation", ["chat", "duplicate"])
def test_only_429_and_503_are_retried(operation: Operation) -> None:
    """All other status codes raise at once, even with Retry-After. A duplicate is not retried after 503."""
    retried = {
        status
        for status in range(300, 600)
        if should_retry(operation, APIStatusError("", status_code=status, retry_after=1))
    }
    assert retried == ({429, 503} if operation == "chat" else {429})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        ("007", 7),
        (" 7\t", 7),
        ("1.5", 1.5),
        (".5", 0.5),
        ("9" * 30, 1e30),
    ],
)
def test_retry_after_in_seconds(value: str, seconds: float) -> None:
    """Retry-After may be a number of seconds, also with a fraction, which some services send."""
    assert parse_retry_after(value, NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value",
    [
        "Thu, 01 Jan 2026 12:00:30 GMT",
        "Thursday, 01-Jan-26 12:00:30 GMT",
        "Thu Jan  1 12:00:30 2026",
        " Thu, 01 Jan 2026 12:00:30 GMT ",
    ],
)
def test_retry_after_as_an_http_date(value: str) -> None:
    """All three date formats of RFC 9110, section 5.6.7, are read as GMT."""
    assert parse_retry_after(value, NOW) == 30


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5, 20", 20),
        ("20, 5", 20),
        ("5, Thu, 01 Jan 2026 12:00:30 GMT", 30),
        ("Thursday, 01-Jan-26 12:00:10 GMT, Thu, 01 Jan 2026 12:00:30 GMT", 30),
        ("5, soon", None),
        ("5, ", None),
    ],
)
def test_the_longest_delay_of_several_retry_after_headers_counts(value: str, seconds: float | None) -> None:
    """httpx joins their values with commas. If one of them cannot be parsed, none counts."""
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize("zone", [UTC, None])
def test_a_retry_after_date_counts_from_now(zone: Any) -> None:
    """The delay is the time from `now` to the date, whatever the time zone of `now`."""
    now = NOW if zone else NOW.astimezone()
    later = format_datetime(NOW + timedelta(days=2), usegmt=True)
    assert parse_retry_after(later, now) == 2 * 24 * 3600


@pytest.mark.parametrize(
    "value",
    [
        "Thu, 01 Jan 2026 11:59:59 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ],
)
def test_a_retry_after_date_in_the_past_means_no_delay(value: str) -> None:
    """A date in the past gives a delay of 0, never a negative one."""
    assert parse_retry_after(value, NOW) == 0


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " ",
        "soon",
        "-1",
        "+1",
        "1e3",
        "1,5",
        "1.2.3",
        ".",
        "nan",
        "inf",
        "0x10",
        "٣",
        "²",
        "7 seconds",
        "9" * 5000,
        # Incomplete dates, which dateutil would complete from today's date.
        "12:00",
        "Thu 12:00",
        "12:00 12:00",
        "Jan 1 12:00:30",
        "Thu, 01 Jan 2026",
        # Dates in other formats, which might not be in GMT.
        "2026-01-01T12:00:30",
        "Thu, 01 Jan 2026 12:00:30 +0200",
        "Thu, 01 Jan 2026 12:00:30 PST",
        # The right format, but not an existing date or time.
        "Thu, 31 Feb 2026 12:00:30 GMT",
        "Thu, 01 Foo 2026 12:00:30 GMT",
        "Foo, 01 Jan 2026 12:00:30 GMT",
        "Thu, 01 Jan 2026 25:00:30 GMT",
        "Thu, 01 Jan 0000 12:00:30 GMT",
        # Values for which dateutil raises exceptions other than ValueError.
        "1:" + "9" * 60,
        "Thu, 01 Jan 2026 12:00:30 GMT" + " " * 60 + "x",
    ],
)
def test_an_invalid_retry_after_is_none(value: str | None) -> None:
    """An invalid value counts as no Retry-After, and does not raise."""
    assert parse_retry_after(value, NOW) is None


def delays(
    error: MillisError, *, jitter: float = 0.0, operation: Operation = "chat", **settings: Any
) -> list[float | None]:
    """Return the delays of a call whose attempts all fail at once with `error`, up to the first None."""
    policy = RetryPolicy(jitter=lambda: jitter, **settings)
    found: list[float | None] = []
    while not found or found[-1] is not None:
        elapsed = sum(delay or 0.0 for delay in found)
        found.append(next_delay(policy, operation, error, attempt=len(found) + 1, elapsed=elapsed))
    return found


NO_CONNECTION = APIConnectionError("", maybe_processed=False)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(0, [None]), (1, [0.5, None]), (2, [0.5, 1.0, None]), (9, [0.5, 1, 2, 4, 8, 16, 30, 30, 30, None])],
)
def test_delays_double_up_to_max_delay(limit: int, expected: list[float | None]) -> None:
    """The delay doubles from `initial_delay` to `max_delay`, and `max_retries` limits the retries."""
    assert delays(NO_CONNECTION, max_retries=limit, max_elapsed=1000) == expected


def test_jitter_shortens_a_delay_by_up_to_half() -> None:
    """Clients that failed at the same moment do not all retry at the same moment."""
    assert delays(NO_CONNECTION, jitter=0.5) == [0.375, 0.75, None]
    assert delays(NO_CONNECTION, jitter=1.0) == [0.25, 0.5, None]


def test_the_default_is_two_retries_within_60_seconds() -> None:
    """The default policy allows two retries and 60 seconds for all attempts."""
    assert (RetryPolicy().max_retries, RetryPolicy().max_elapsed) == (2, 60.0)


@pytest.mark.parametrize(
    ("asked", "jitter", "expected"),
    [(0, 0.0, 0), (7, 0.0, 7), (7, 0.5, 7.125), (7, 1.0, 7.25), (30, 0.0, 30)],
)
def test_retry_after_is_obeyed(asked: float, jitter: float, expected: float) -> None:
    """The delay is never shorter than Retry-After, and only a little longer."""
    assert delays(refused(asked), jitter=jitter, max_retries=1) == [expected, None]


@pytest.mark.parametrize("asked", [30.5, 3600, 1e30, math.inf])
def test_a_retry_after_beyond_max_delay_raises_at_once(asked: float) -> None:
    """The error is raised at once, with the value of the header in `retry_after`."""
    assert delays(refused(asked)) == [None]
    assert refused(asked).retry_after == asked


@pytest.mark.parametrize(("elapsed", "expected"), [(0, 0.5), (9.5, 0.5), (9.6, None)])
def test_no_delay_ends_after_max_elapsed(elapsed: float, expected: float | None) -> None:
    """The client does not start a delay that would end later. The time of the attempts counts as well."""
    policy = RetryPolicy(max_elapsed=10, jitter=lambda: 0.0)
    assert next_delay(policy, "chat", NO_CONNECTION, attempt=1, elapsed=elapsed) == expected


def test_very_many_retries_do_not_overflow() -> None:
    """After thousands of retries the delay is still `max_delay`."""
    assert delays(NO_CONNECTION, max_retries=2000, max_elapsed=math.inf)[-2:] == [30, None]


def test_max_retries_does_not_override_the_rule() -> None:
    """A request that may have had an effect is not retried, however large `max_retries` is."""
    assert delays(APIConnectionError("", maybe_processed=True), max_retries=9) == [None]
    assert delays(unavailable(1), operation="duplicate", max_retries=9) == [None]


@pytest.mark.parametrize("limit", [-1, 1.5, True, "2", None])
def test_an_invalid_max_retries_is_rejected(limit: Any) -> None:
    """The message names `max_retries` and the accepted types, and shows the value."""
    with pytest.raises(ConfigurationError, match=r"^max_retries: .*integer.*RetryPolicy") as caught:
        RetryPolicy(max_retries=limit)
    assert short_repr(limit) in str(caught.value)


@pytest.mark.parametrize("value", [-1, math.nan, True, "5", None])
@pytest.mark.parametrize("name", ["initial_delay", "max_delay", "max_elapsed"])
def test_an_invalid_setting_is_rejected_by_name(name: str, value: Any) -> None:
    """A policy checks its settings when it is created, and the message names the invalid one."""
    with pytest.raises(ConfigurationError, match=rf"^max_retries: {name} .*seconds"):
        RetryPolicy(**{name: value})


def test_delays_may_be_zero() -> None:
    """A delay of zero means an immediate retry."""
    policy = RetryPolicy(max_retries=0, initial_delay=0, max_delay=0, max_elapsed=0)
    assert (policy.initial_delay, policy.max_delay, policy.max_elapsed) == (0, 0, 0)
    assert delays(NO_CONNECTION, initial_delay=0, max_elapsed=0) == [0, 0, None]


def test_the_repr_leaves_out_clock_and_jitter() -> None:
    """The repr of a policy shows its four settings, as a caller would write them."""
    assert (
        repr(RetryPolicy())
        == "RetryPolicy(max_retries=2, initial_delay=0.5, max_delay=30.0, max_elapsed=60.0)"
    )
