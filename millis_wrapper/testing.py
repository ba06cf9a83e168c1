"""A pytest plugin: the service in a box for your own tests.

Installed with the package, it costs an unused test run this one small module. `millis_mock` is a running
mock of the service, `millis` and `async_millis` are clients bound to it. Needs the extra `mock`.
`-p no:millis_wrapper` leaves it out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from . import AsyncMillis, Millis, RetryPolicy
    from .mock import MockMillis

_KEY = "mock-key"


@pytest.fixture(scope="session")
def _millis_mock_server() -> Iterator[MockMillis]:
    from .errors import ConfigurationError

    try:
        from .mock import MockMillis
    except ConfigurationError as error:  # the extra is missing
        pytest.fail(str(error), pytrace=False)
    # No Retry-After to wait for: a test of what happens after a 429 is not about the waiting.
    with MockMillis(retry_after=0) as mock:
        yield mock


@pytest.fixture
def millis_mock(_millis_mock_server: MockMillis) -> MockMillis:
    """The service in a box, running on a free port of this machine: as new for each test.

    See MockMillis: `url`, `requests`, `reply_with(...)`, `fail_next(...)`, `add_agent(...)`.
    """
    _millis_mock_server.reset()
    return _millis_mock_server


@pytest.fixture
def millis(millis_mock: MockMillis) -> Iterator[Millis]:
    """A Millis client of `millis_mock`, which tries again at once where it may try again."""
    from . import Millis

    with Millis(_KEY, base_url=millis_mock.url, max_retries=_at_once()) as client:
        yield client


@pytest.fixture
def async_millis(millis_mock: MockMillis) -> AsyncMillis:
    """An AsyncMillis client of `millis_mock`, for any event loop; it need not be closed."""
    import httpx

    from . import AsyncMillis

    # A connection that is kept would have to be closed in its own event loop, which may be gone by then.
    http = httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0), trust_env=False)
    return AsyncMillis(_KEY, base_url=millis_mock.url, max_retries=_at_once(), http_client=http)


def _at_once() -> RetryPolicy:
    from . import RetryPolicy

    return RetryPolicy(initial_delay=0.001)
