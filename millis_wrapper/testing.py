"""A pytest plugin: a mock server for your own tests, and the same tests on the live service.

Installed with the package, it costs an unused test run this one small module. `millis_mock` is a running
mock server, `millis` and `async_millis` are clients of it, `millis_agent_id` is an agent to talk to. With
`--millis-live` the clients speak to the service. The mock needs the extra `mock`; `-p no:millis_wrapper`
leaves all of it out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from . import AsyncMillis, Millis
    from .mock import MockMillis


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this plugin."""
    group = parser.getgroup("millis", "Millis AI voice agents")
    group.addoption(
        "--millis-live",
        action="store_true",
        help="let `millis` and `async_millis` speak to the live service (MILLIS_API_KEY, MILLIS_AGENT_ID)",
    )
    group.addoption(
        "--millis-live-copies",
        action="store_true",
        help="with --millis-live: let `duplicate` make real copies",
    )


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
def millis_mock(request: pytest.FixtureRequest) -> MockMillis:
    """A mock server on a free port of this machine, as new for each test; skips the test with --millis-live.

    See MockMillis: `url`, `requests`, `reply_with(...)`, `fail_next(...)`, `add_agent(...)`.
    """
    if _is_live(request):
        pytest.skip("needs the mock server, and --millis-live is given")
    mock: MockMillis = request.getfixturevalue("_millis_mock_server")
    mock.reset()
    return mock


@pytest.fixture
def millis_agent_id(request: pytest.FixtureRequest) -> str:
    """The id of an agent to talk to: the mock's, or with --millis-live the one in MILLIS_AGENT_ID."""
    if not _is_live(request):
        request.getfixturevalue("millis_mock")
        from .mock import DEFAULT_AGENT_ID

        return DEFAULT_AGENT_ID
    agent_id = os.environ.get("MILLIS_AGENT_ID", "").strip()
    if not agent_id:
        pytest.fail("--millis-live: set MILLIS_AGENT_ID to the id of an agent of yours", pytrace=False)
    return agent_id


@pytest.fixture
def millis(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Millis]:
    """A Millis client of `millis_mock`, which tries again at once; with --millis-live, of the service."""
    from . import Millis

    with Millis(**_arguments(request)) as client:
        _guard_copies(request, monkeypatch, client)
        yield client


@pytest.fixture
def async_millis(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncMillis:
    """An AsyncMillis client, as `millis` is, for any event loop; it need not be closed."""
    import httpx

    from . import AsyncMillis

    # A connection that is kept would have to be closed in its own event loop, which may be gone by then.
    limits = httpx.Limits(max_keepalive_connections=0)
    http = httpx.AsyncClient(limits=limits, trust_env=_is_live(request))
    client = AsyncMillis(http_client=http, **_arguments(request))
    _guard_copies(request, monkeypatch, client)
    return client


def _is_live(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--millis-live"))


def _arguments(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return what a client of the mock is made with; one of the service takes all from the environment."""
    from . import RetryPolicy

    if _is_live(request):
        return {}
    mock: MockMillis = request.getfixturevalue("millis_mock")
    return {"api_key": "mock-key", "base_url": mock.url, "max_retries": RetryPolicy(initial_delay=0.001)}


def _guard_copies(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, client: Millis | AsyncMillis
) -> None:
    if _is_live(request) and not request.config.getoption("--millis-live-copies"):
        monkeypatch.setattr(client.agents, "duplicate", _no_copies)


def _no_copies(*arguments: object, **more: object) -> NoReturn:
    pytest.skip("duplicate makes a real copy: --millis-live-copies allows it")
