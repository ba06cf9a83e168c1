from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

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
