"""Random faults on each kind of client; `scripts/try_tools faults` does the same with 6,000 calls."""

from __future__ import annotations

import gc
import random
import warnings

import pytest
from clients import ENGINES, Engine

from scripts._try_faults import KINDS, Kind, campaign
from scripts._try_pools import canceled_calls, threads_behind_a_dead_proxy


@pytest.fixture(autouse=True)
def without_garbage_of_other_tests() -> None:
    """Collect what earlier tests left behind, so that these tests see only their own leaks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.mark.parametrize("kind", KINDS)
def test_calls_with_random_faults_are_sent_once_and_leave_nothing_behind(kind: Kind) -> None:
    """A reply or copy that counts as complete is complete under any fault of the network or the caller."""
    first = random.randrange(1_000_000)
    wrong, outcomes = campaign(kind, range(first, first + 100))
    assert wrong == []
    assert outcomes["complete"] > 0


def test_threads_that_share_a_client_behind_a_dead_proxy_get_our_errors() -> None:
    """The failure in one thread replaces the connection pool that the other threads use."""
    assert threads_behind_a_dead_proxy(16, 40) == []


@ENGINES
def test_hundreds_of_canceled_calls_on_one_client_log_nothing(engine: Engine) -> None:
    """A cancellation may make the client replace its connection pool."""
    assert canceled_calls(engine, 400) == []
