"""One server and one mock server for each test file that uses stdio."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Iterator
from typing import TextIO

import pytest
from mcp_runs import Host, over_stdio

from millis_wrapper.mock import MockMillis


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def service() -> Iterator[MockMillis]:
    with MockMillis() as mock:
        yield mock


@pytest.fixture(scope="module")
def errors() -> Iterator[TextIO]:
    """The file with the server's stderr."""
    with tempfile.TemporaryFile("w+") as file:
        yield file


@pytest.fixture(scope="module")
async def running(service: MockMillis, errors: TextIO) -> AsyncGenerator[Host]:
    async with over_stdio(service.url, errors) as host:
        yield host


@pytest.fixture
def mock(service: MockMillis) -> MockMillis:
    service.reset()
    return service


@pytest.fixture
def host(running: Host, mock: MockMillis) -> Host:
    """One server for all tests of a file; the mock server is reset before each."""
    return running
