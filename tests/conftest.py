from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

# httpx loads it late and keeps its exceptions: a pytester run in this process that loads it first, and then
# forgets its modules, would leave httpx with the exceptions of a copy that nobody raises.
import httpcore as httpcore
import pytest
from twins import Twins

pytest_plugins = ["pytester"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["sync", "async"])
async def twins(request: pytest.FixtureRequest) -> AsyncIterator[Twins]:
    """What makes the clients of a test that is written once and run on both kinds."""
    async with AsyncExitStack() as stack:
        yield Twins(str(request.param), stack)
