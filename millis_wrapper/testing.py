"""A pytest plugin with a mock server and clients, for tests that can also run against the live service.

Fixtures: `millis_mock` is a running mock server, `millis` and `async_millis` are clients of it, and
`millis_agent_id` is the id of an agent. With `--millis-live`, the clients connect to the live service.

The mock server needs the extra `mock`. pytest loads the plugin automatically; a run that does not use the
fixtures imports only this module. `-p no:millis_wrapper` turns the plugin off.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import pytest

if TYPE_CHECKING:
    from . import AsyncMillis, Millis
    from .mock import MockMillis

    _Client = TypeVar("_Client", Millis, AsyncMillis)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the plugin."""
    group = parser.getgroup("millis", "Millis AI voice agents")
    group.addoption(
        "--millis-live",
        action="store_true",
        help="connect `millis` and `async_millis` to the live service (MILLIS_API_KEY, MILLIS_AGENT_ID)",
    )
    group.addoption(
        "--millis-live-copies",
        action="store_true",
        help="with --millis-live, let `duplicate` create real copies",
    )


_MOCK = pytest.StashKey["MockMillis"]()
_CLIENTS = pytest.StashKey["list[Millis | AsyncMillis]"]()


@pytest.fixture(scope="session")
def _millis_mock_server(request: pytest.FixtureRequest) -> Iterator[MockMillis]:
    from .errors import ConfigurationError

    try:
        from .mock import MockMillis
    except ConfigurationError as error:  # The extra is not installed.
        pytest.fail(str(error), pytrace=False)
    # A test of a retry after 429 should not have to wait.
    with MockMillis(retry_after=0) as mock:
        request.config.stash[_MOCK] = mock
        yield mock


# Autouse fixtures run after fixtures of a wider scope and before those of the test. The requests of the test
# are therefore kept, and those of fixtures with a wider scope are not.
@pytest.fixture(autouse=True)
def _millis_reset(request: pytest.FixtureRequest) -> Iterator[None]:
    """Reset the mock server before and after each test.

    The reset afterwards is needed for fixtures of a wider scope, which run before the reset of the next test.
    """
    _reset(request.config.stash)
    yield
    _reset(request.config.stash)


def _reset(stash: pytest.Stash) -> None:
    """Reset the mock server, if it is running, and the state that its clients keep about it."""
    mock = stash.get(_MOCK, None)
    if mock is None:
        return
    mock.reset()
    for client in stash.setdefault(_CLIENTS, []):
        client._transport.end_marks.forget()  # pyright: ignore[reportPrivateUsage]


@pytest.fixture
def millis_mock(request: pytest.FixtureRequest) -> MockMillis:
    """A mock server on a free local port, reset before each test; the test is skipped with --millis-live.

    See `MockMillis`: `url`, `requests`, `reply_with(...)`, `fail_next(...)`, `add_agent(...)`.
    """
    if _is_live(request):
        pytest.skip("needs the mock server, which --millis-live turns off")
    mock: MockMillis = request.getfixturevalue("_millis_mock_server")
    return mock


@pytest.fixture(scope="session")
def millis_agent_id(request: pytest.FixtureRequest) -> str:
    """The id of an agent: that of the mock server, or with --millis-live the one in MILLIS_AGENT_ID."""
    if not _is_live(request):
        request.getfixturevalue("_millis_mock_server")
        from .mock import DEFAULT_AGENT_ID

        return DEFAULT_AGENT_ID
    return _require_variable("MILLIS_AGENT_ID", "the id of one of your agents")


@pytest.fixture(scope="session")
def millis(request: pytest.FixtureRequest) -> Iterator[Millis]:
    """A Millis client of the mock server, or with --millis-live of the service.

    With the mock server, it retries without waiting. All tests share the client, so closing it has no effect.
    """
    from . import Millis

    with _new_shared_client(request, Millis) as client, pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "close", lambda: None)
        _guard_copies(request, patch, client)
        yield client


@pytest.fixture(scope="session")
def async_millis(request: pytest.FixtureRequest) -> Iterator[AsyncMillis]:
    """An AsyncMillis client like `millis`, for any event loop; closing it has no effect and is not needed."""
    import httpx

    from . import AsyncMillis

    async def close() -> None: ...

    # A connection that is kept open must be closed in its own event loop, which may have ended by then.
    limits = httpx.Limits(max_keepalive_connections=0)
    http = httpx.AsyncClient(limits=limits, trust_env=_is_live(request))
    client = _new_shared_client(request, AsyncMillis, http_client=http)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "close", close)
        patch.setattr(client, "aclose", close)
        _guard_copies(request, patch, client)
        yield client


def _is_live(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--millis-live"))


def _require_variable(name: str, meaning: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        pytest.fail(f"--millis-live: set {name} to {meaning}", pytrace=False)
    return value


def _new_shared_client(request: pytest.FixtureRequest, cls: type[_Client], **arguments: Any) -> _Client:
    """Return a client of the mock server, or with --millis-live one configured by the environment."""
    from . import ConfigurationError, RetryPolicy

    if _is_live(request):
        _require_variable("MILLIS_API_KEY", "your private key")
        try:
            return cls(**arguments)
        except ConfigurationError as error:
            pytest.fail(f"--millis-live: {error}", pytrace=False)
    mock: MockMillis = request.getfixturevalue("_millis_mock_server")
    policy = RetryPolicy(initial_delay=0.001)
    client = cls("mock-key", base_url=mock.url, max_retries=policy, **arguments)
    request.config.stash.setdefault(_CLIENTS, []).append(client)
    return client


def _guard_copies(
    request: pytest.FixtureRequest, patch: pytest.MonkeyPatch, client: Millis | AsyncMillis
) -> None:
    if _is_live(request) and not request.config.getoption("--millis-live-copies"):
        patch.setattr(client.agents, "duplicate", _skip_duplicate)


def _skip_duplicate(*arguments: object, **more: object) -> NoReturn:
    pytest.skip("duplicate creates a real agent; pass --millis-live-copies to allow it")
