from __future__ import annotations

import math
from typing import Any

import attrs
import httpx
import pytest

from millis_wrapper.errors import ConfigurationError
from millis_wrapper.options import Timeout, as_timeout

OWN = Timeout(connect=1, pool=2, write=3, first_byte=4, idle=5, total=6)
LIMITS = [field.name for field in attrs.fields(Timeout)]


def test_nothing_is_unlimited_by_default() -> None:
    """Every wait has a limit that nobody had to ask for, and the waits for slow answers are long."""
    assert attrs.asdict(Timeout()) == {
        "connect": 5,
        "pool": 10,
        "write": 30,
        "first_byte": 60,
        "idle": 60,
        "total": 600,
    }


def test_none_is_the_default_and_never_unlimited() -> None:
    """`timeout=None` means the client's own limits."""
    assert as_timeout(None, OWN) is OWN


def test_a_timeout_is_taken_as_it_is() -> None:
    """A Timeout replaces all limits, not only those that differ from the default."""
    mine = Timeout(idle=1)
    assert as_timeout(mine, OWN) is mine


@pytest.mark.parametrize("seconds", [7, 0.25])
def test_a_number_limits_every_single_wait(seconds: float) -> None:
    """A number is the limit of each wait; how long the whole may take stays as it was."""
    assert attrs.asdict(as_timeout(seconds, OWN)) == {**dict.fromkeys(LIMITS, seconds), "total": 6}


def test_infinity_as_a_number_lifts_every_single_wait() -> None:
    """`timeout=math.inf` waits without a limit, but for the whole answer's."""
    assert attrs.asdict(as_timeout(math.inf, OWN)) == {**dict.fromkeys(LIMITS, math.inf), "total": 6}


@pytest.mark.parametrize(
    "value",
    [0, 0.0, -1, True, False, "5", math.nan, -math.inf, [5], (5, 5), 1e10, 10**100, httpx.Timeout(4)],
    ids=lambda value: repr(value)[:20],
)
def test_anything_but_a_length_of_time_is_refused(value: Any) -> None:
    """The message names the argument, what was given, and what would be right; httpx's Timeout included."""
    words = (
        r"^timeout: pass a number of seconds above 0 and up to 1000000, or a millis_wrapper\.Timeout,"
        r" not .{1,60}$"
    )
    with pytest.raises(ConfigurationError, match=words):
        as_timeout(value, OWN)


@pytest.mark.parametrize("value", [0, -1, True, "5", math.nan, None, 1e10, 10**100])
@pytest.mark.parametrize("name", LIMITS)
def test_a_wrong_limit_is_refused_by_name(name: str, value: Any) -> None:
    """A Timeout says which of its limits is wrong; None is too, since it could mean "without a limit"."""
    number = "a number of seconds above 0 and up to 1000000, or math.inf"
    with pytest.raises(ConfigurationError, match=rf"^timeout: {name} must be {number}, not .{{1,40}}$"):
        Timeout(**{name: value})


@pytest.mark.parametrize("value", [math.inf, 1_000_000, 1e-9, 2.5])
@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_may_be_long_short_or_lifted(name: str, value: float) -> None:
    """`math.inf` lifts a limit, and a million seconds is the longest that is one."""
    assert getattr(Timeout(**{name: value}), name) == value


def test_limits_are_given_by_name_and_cannot_change() -> None:
    """No limit can be given in the wrong place, or be changed while a request runs."""
    with pytest.raises(TypeError):
        Timeout(5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        OWN.idle = 9  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
