from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A deadline would fail on a loaded machine.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Assertions in the helpers then show both values, and run with python -O.
pytest.register_assert_rewrite(
    *(
        file.stem
        for file in Path(__file__).parent.glob("*.py")
        if not file.stem.startswith(("test_", "conftest"))
    )
)

from clients import Clients  # noqa: E402  # assertion rewriting must be registered before the import

pytest_plugins = ["pytester"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Return the number of processes for `-n auto`: 1.5 per core, since a third of them wait."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return (3 * cores + 1) // 2


def pytest_collection_finish() -> None:
    """Keep modules and collected tests out of every garbage collection, which would scan them again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEM file with a self-signed certificate for 127.0.0.1 and localhost, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key, public, both = folder / "key.pem", folder / "public.pem", folder / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run([*command, "-keyout", key, "-out", public], check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + public.read_bytes())
    return both


@pytest.fixture(autouse=True)
def untraced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run a test that is marked `untraced`, and the processes that it starts, without coverage.

    On Python 3.11 coverage makes a Python loop three times as slow, in every module.
    """
    if request.node.get_closest_marker("untraced") is None:
        yield
        return
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    traces = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    yield
    sys.settrace(traces[0])
    threading.settrace(traces[1])


@pytest.fixture
def collected() -> Iterator[None]:
    """Collect a test's garbage while the test's warning filters are still active."""
    yield
    gc.collect()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["sync", "async", "aiohttp"])
async def clients(request: pytest.FixtureRequest) -> AsyncIterator[Clients]:
    """Create clients of each kind, so that one test covers all of them."""
    async with AsyncExitStack() as stack:
        yield Clients(str(request.param), stack)
