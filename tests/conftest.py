from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A loaded machine may take as long as it likes.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# The helpers' assertions, too, say what differs, and hold with python -O.
pytest.register_assert_rewrite(
    *(
        file.stem
        for file in Path(__file__).parent.glob("*.py")
        if not file.stem.startswith(("test_", "conftest"))
    )
)

from clients import Clients  # noqa: E402  # after the line above, which has to come before each import

pytest_plugins = ["pytester"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Return the number of processes for `-n auto`: 1.5 per core, as a third is waiting."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return (3 * cores + 1) // 2


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a certificate for 127.0.0.1 and localhost that nobody trusts, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key, public, both = folder / "key.pem", folder / "public.pem", folder / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run([*command, "-keyout", key, "-out", public], check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + public.read_bytes())
    return both


@pytest.fixture
def collected() -> Iterator[None]:
    """Collect what a test leaves behind while the test's warning filters still hold."""
    yield
    gc.collect()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["sync", "async", "aiohttp"])
async def clients(request: pytest.FixtureRequest) -> AsyncIterator[Clients]:
    """What makes the clients of a test that is written once and run on each kind."""
    async with AsyncExitStack() as stack:
        yield Clients(str(request.param), stack)
