"""aiohttp's engine: where it cannot be had, one sentence says so; the rest is in the tests of all clients."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import anyio
import pytest
from clients import KEY
from loopback import Loopback, reply

from millis_wrapper import AsyncMillis, ConfigurationError, Millis


def test_the_sync_client_has_no_such_engine() -> None:
    """It says that it is the async one's."""
    make: Any = Millis
    with pytest.raises(ConfigurationError, match=r"http_client.*AsyncMillis"):
        make(KEY, http_client="aiohttp")


@pytest.mark.parametrize("kind", [Millis, AsyncMillis])
def test_another_engine_is_named_as_unknown(kind: Any) -> None:
    """What was passed is shown."""
    with pytest.raises(ConfigurationError, match=r"http_client: must be an httpx.*'curl'"):
        kind(KEY, http_client="curl")


def test_without_the_package_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""

    def nothing(name: str) -> None:
        return None

    monkeypatch.setattr("millis_wrapper._async.io.find_spec", nothing)
    with pytest.raises(ConfigurationError, match=r"needs aiohttp.*\.\[aiohttp\]"):
        AsyncMillis(KEY, http_client="aiohttp")


def test_trio_has_no_such_engine() -> None:
    """It is refused before anything is sent."""
    with Loopback(reply("Hello")) as server:
        millis = AsyncMillis(KEY, base_url=server.url, http_client="aiohttp")

        async def talk() -> None:
            await millis.chat.send("Hi", agent_id="-Oabc")

        with pytest.raises(ConfigurationError, match="asyncio only"):
            anyio.run(talk, backend="trio")
        assert server.connections == 0


def test_a_client_without_the_engine_does_not_load_it() -> None:
    """Whoever does not use it does not pay for it."""
    code = (
        "import sys; from millis_wrapper import AsyncMillis as C; C('key'); print('aiohttp' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
