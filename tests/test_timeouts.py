from __future__ import annotations

import math
from typing import Any

import attrs
import pytest

from millis_wrapper.errors import ConfigurationError
from millis_wrapper.options import Timeout, as_timeout, seconds_or_none

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


def test_none_is_the_default_and_never_for_ever() -> None:
    """`timeout=None` means what the client was told, or its own limits."""
    assert as_timeout(None, OWN) is OWN


def test_a_timeout_is_taken_as_it_is() -> None:
    """A Timeout replaces all limits, not only those that differ from the default."""
    mine = Timeout(idle=1)
    assert as_timeout(mine, OWN) is mine


@pytest.mark.parametrize("seconds", [7, 0.25])
def test_a_number_limits_every_single_wait(seconds: float) -> None:
    """A number is the limit of each wait; how long the whole may take stays as it was."""
    assert attrs.asdict(as_timeout(seconds, OWN)) == {**dict.fromkeys(LIMITS, seconds), "total": 6}


@pytest.mark.parametrize(
    "value", [0, 0.0, -1, True, False, "5", math.nan, -math.inf, [5], (5, 5), 1e10, 10**100]
)
def test_what_is_no_length_of_time_is_refused(value: Any) -> None:
    """The message names the argument, what was given, and what would be right."""
    words = r"^timeout: must be a number of seconds above 0 and up to 1000000, or a Timeout, not .{1,40}$"
    with pytest.raises(ConfigurationError, match=words):
        as_timeout(value, OWN)


@pytest.mark.parametrize("value", [0, -1, True, "5", math.nan, None, 1e10, 10**100])
@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_that_is_no_length_of_time_is_refused_by_name(name: str, value: Any) -> None:
    """A Timeout says which of its limits is wrong; None is too, since it could mean "for ever"."""
    number = "a number of seconds above 0 and up to 1000000, or math.inf"
    with pytest.raises(ConfigurationError, match=rf"^timeout: {name} must be {number}, not .{{1,40}}$"):
        Timeout(**{name: value})


def test_only_infinity_lifts_a_limit() -> None:
    """Who means "for ever" writes it out; httpx calls it None."""
    assert Timeout(idle=math.inf).idle == math.inf
    assert seconds_or_none(math.inf) is None
    assert seconds_or_none(2.5) == 2.5
    assert Timeout(idle=1_000_000).idle == 1_000_000


def test_limits_are_told_by_name_and_cannot_change() -> None:
    """No limit can be given in the wrong place, or be changed while a request runs."""
    with pytest.raises(TypeError):
        Timeout(5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        OWN.idle = 9  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
