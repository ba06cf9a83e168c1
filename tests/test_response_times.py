"""The times in responses: seconds, milliseconds and ISO 8601."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from millis_wrapper.response import read_moment

NEW_YEAR = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1735689600, NEW_YEAR),
        (1735689600.5, NEW_YEAR + timedelta(seconds=0.5)),
        (1735689600000, NEW_YEAR),
        (1735689600500, NEW_YEAR + timedelta(seconds=0.5)),
        (1735689600000.0, NEW_YEAR),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-86400, datetime(1969, 12, 31, tzinfo=UTC)),
        (-1735689600000, datetime(1970, 1, 1, tzinfo=UTC) - (NEW_YEAR - datetime(1970, 1, 1, tzinfo=UTC))),
        (10**11, datetime(5138, 11, 16, 9, 46, 40, tzinfo=UTC)),
        (10**11 + 1, datetime(1973, 3, 3, 9, 46, 40, 1000, tzinfo=UTC)),
        ("2025-01-01T00:00:00Z", NEW_YEAR),
        ("2025-01-01T00:00:00+00:00", NEW_YEAR),
        ("2025-01-01T01:30:00+01:30", NEW_YEAR),
        ("2024-12-31T16:00:00-0800", NEW_YEAR),
        ("2025-01-01T00:00:00", NEW_YEAR),
        ("2025-01-01 00:00:00", NEW_YEAR),
        ("2025-01-01T00:00:00.250Z", NEW_YEAR + timedelta(seconds=0.25)),
        ("2025-01-01", NEW_YEAR),
        ("20250101T000000Z", NEW_YEAR),
        ("20250101", NEW_YEAR),
        ("1735689600", NEW_YEAR),
        ("1735689600000", NEW_YEAR),
        ("1712121210012", datetime(2024, 4, 3, 5, 13, 30, 12000, tzinfo=UTC)),
    ],
)
def test_a_time_is_parsed(value: Any, expected: datetime) -> None:
    """A number is in seconds or milliseconds, depending on its size. Text is ISO 8601, by default in UTC."""
    found = read_moment(value)
    assert found == expected
    assert found is not None
    assert found.tzinfo is UTC


@pytest.fixture
def _far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "XYZ-7:30")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_far_from_utc")
def test_a_time_does_not_depend_on_the_local_time_zone() -> None:
    """Text without a time zone is in UTC."""
    assert datetime.fromtimestamp(0).hour == 7
    for value in ("2025-01-01T00:00:00", "2025-01-01", 1735689600):
        assert read_moment(value) == NEW_YEAR


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, [], {}, [1735689600], {"seconds": 1735689600}),
        *(
            "",
            " ",
            "text",
            "yesterday",
            "12:00",
            "2025-13-01",
            "2025-01-01T25:00",
            "9" * 50,
            "9" * 5000,
            "²" * 10,
        ),
        *(
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "\x00",
            "\ud800",
            "2025-01-01T00:00:00+99:99",
        ),
        *(math.nan, math.inf, -math.inf, 1e300, 10**400, -(10**400), 10**17, -(10**17)),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_an_invalid_time_is_none(value: Any) -> None:
    """An invalid value does not raise, and the client does not guess."""
    assert read_moment(value) is None
