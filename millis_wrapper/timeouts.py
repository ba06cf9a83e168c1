"""How long to wait, for what."""

from __future__ import annotations

import math

import attrs

from ._text import one_line
from .errors import ConfigurationError

# What every platform can wait for: sockets refuse more than 2**31 milliseconds with an OverflowError.
_LONGEST = 1_000_000


@attrs.frozen(kw_only=True)
class Timeout:
    """The limits of one request, each in seconds; `math.inf` lifts one, and nothing else does.

    Args:
        connect: until there is a connection.
        pool: until one of the client's connections is free.
        write: for sending a piece of the request.
        first_byte: until the answer's status line.
        idle: between two pieces of the answer's body, the wait for the first included.
        total: for reading the whole answer, from its status line on, your own time between its pieces
            included.

    Raises ConfigurationError for a limit that is no number above 0.

    Example:
        >>> Timeout(first_byte=120).idle
        60.0
    """

    connect: float = 5.0
    pool: float = 10.0
    write: float = 30.0
    first_byte: float = 60.0
    idle: float = 60.0
    total: float = 600.0

    def __attrs_post_init__(self) -> None:
        for name, value in attrs.asdict(self).items():
            if not _is_limit(value):
                raise ConfigurationError(
                    f"timeout: {name} must be a number of seconds above 0 and up to {_LONGEST}, or math.inf,"
                    f" not {one_line(repr(value), 40)}"
                )


def as_timeout(value: float | Timeout | None, default: Timeout) -> Timeout:
    """Return `value` as a Timeout: a number of seconds limits every wait but `total`; None means `default`,
    never "for ever".

    Raises ConfigurationError for anything else, and for numbers that are not above 0.
    """
    if value is None:
        return default
    if isinstance(value, Timeout):
        return value
    if not _is_limit(value):
        raise ConfigurationError(
            f"timeout: must be a number of seconds above 0 and up to {_LONGEST}, or a Timeout,"
            f" not {one_line(repr(value), 40)}"
        )
    return attrs.evolve(default, connect=value, pool=value, write=value, first_byte=value, idle=value)


def seconds_or_none(value: float) -> float | None:
    """Return a limit in httpx's terms, where None is what `math.inf` is here."""
    return None if value == math.inf else value


def _is_limit(value: object) -> bool:
    # bool is an int, and True seconds is surely a slip.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value <= _LONGEST or value == math.inf
