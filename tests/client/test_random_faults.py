"""Random faults on each kind of client; `scripts/try_tools faults` does the same with 6,000 calls."""

from __future__ import annotations

import random

import pytest

from scripts._try_faults import KINDS, Kind, campaign


@pytest.mark.parametrize("kind", KINDS)
def test_calls_with_random_faults_are_sent_once_and_leave_nothing_behind(kind: Kind) -> None:
    """A reply or copy that counts as complete is complete, whatever the network and the caller do."""
    first = random.randrange(1_000_000)
    wrong, outcomes = campaign(kind, range(first, first + 100))
    assert wrong == []
    assert outcomes["complete"] > 0
