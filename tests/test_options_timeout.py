"""The timeouts of a request: defaults, forms and limits."""

from __future__ import annotations

import math
from typing import Any

import attrs
import httpx
import pytest

from millis_wrapper._text import short_repr
from millis_wrapper.errors import ConfigurationError
from millis_wrapper.options import Timeout, as_timeout

OWN = Timeout(connect=1, pool=2, write=3, first_byte=4, idle=5, total=6)
LIMITS = [field.name for field in attrs.fields(Timeout)]


def test_every_timeout_has_a_default() -> None:
    """Every phase has a timeout by default, in seconds, and slow responses have enough time."""
    assert attrs.asdict(Timeout()) == {
        "connect": 5,
        "pool": 10,
        "write": 30,
        "first_byte": 60,
        "idle": 60,
        "total": 600,
    }


def test_none_is_the_default_and_never_unlimited() -> None:
    """`timeout=None` means the client's own timeouts."""
    assert as_timeout(None, OWN) is OWN


def test_a_timeout_is_used_unchanged() -> None:
    """A Timeout replaces all of the client's timeouts, not only those that differ from the default."""
    timeout = Timeout(idle=1)
    assert as_timeout(timeout, OWN) is timeout


@pytest.mark.parametrize("seconds", [7, 0.25])
def test_a_number_sets_every_timeout_except_total(seconds: float) -> None:
    """A number sets the timeout of each phase; `total` does not change."""
    assert attrs.asdict(as_timeout(seconds, OWN)) == {**dict.fromkeys(LIMITS, seconds), "total": 6}


def test_infinity_turns_off_every_timeout_except_total() -> None:
    """`timeout=math.inf` turns off the timeout of each phase; `total` does not change."""
    assert attrs.asdict(as_timeout(math.inf, OWN)) == {**dict.fromkeys(LIMITS, math.inf), "total": 6}


@pytest.mark.parametrize(
    "value",
    [0, 0.0, -1, True, False, "5", math.nan, -math.inf, [5], (5, 5), 1e10, 10**100, httpx.Timeout(4)],
    ids=lambda value: repr(value)[:20],
)
def test_an_invalid_timeout_is_rejected(value: Any) -> None:
    """The message names the argument, the value, and the accepted types. httpx's Timeout is not accepted."""
    with pytest.raises(ConfigurationError, match=r"^timeout: .*1000000, .*millis_wrapper\.Timeout") as caught:
        as_timeout(value, OWN)
    assert short_repr(value, 60) in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", [0, -1, True, "5", math.nan, None, 1e10, 10**100])
@pytest.mark.parametrize("name", LIMITS)
def test_the_message_for_an_invalid_timeout_names_it(name: str, value: Any) -> None:
    """A Timeout names its invalid field. None is also invalid, because it could mean "no timeout"."""
    with pytest.raises(ConfigurationError, match=rf"^timeout: {name} must be .*1000000, or math\.inf"):
        Timeout(**{name: value})


@pytest.mark.parametrize("value", [math.inf, 1_000_000, 1e-9, 2.5])
@pytest.mark.parametrize("name", LIMITS)
def test_a_timeout_may_be_long_short_or_off(name: str, value: float) -> None:
    """`math.inf` turns a timeout off; the longest timeout is 1,000,000 seconds."""
    assert getattr(Timeout(**{name: value}), name) == value


def test_timeouts_are_keyword_only_and_immutable() -> None:
    """A timeout cannot be passed in the wrong position or changed during a request."""
    with pytest.raises(TypeError):
        Timeout(5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        OWN.idle = 9  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
