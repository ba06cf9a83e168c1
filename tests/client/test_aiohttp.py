"""Errors for `http_client="aiohttp"` where it is not available. The other tests of clients run on it, too."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import anyio
import pytest
from clients import KEY
from loopback import Loopback, reply

from millis_wrapper import AsyncMillis, ConfigurationError, Millis


def test_the_sync_client_does_not_support_aiohttp() -> None:
    """The message names AsyncMillis."""
    make: Any = Millis
    with pytest.raises(ConfigurationError, match=r"http_client.*AsyncMillis"):
        make(KEY, http_client="aiohttp")


@pytest.mark.parametrize("kind", [Millis, AsyncMillis])
def test_an_unknown_engine_is_rejected(kind: Any) -> None:
    """The message shows the value."""
    with pytest.raises(ConfigurationError, match=r"^http_client: .*curl"):
        kind(KEY, http_client="curl")


def test_the_message_for_a_missing_aiohttp_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message contains the command that installs the extra."""

    def nothing(name: str) -> None:
        return None

    monkeypatch.setattr("millis_wrapper._async.io.find_spec", nothing)
    with pytest.raises(ConfigurationError, match=r"needs aiohttp.*\.\[aiohttp\]"):
        AsyncMillis(KEY, http_client="aiohttp")


def test_aiohttp_is_rejected_under_trio() -> None:
    """The error is raised before a request is sent."""
    with Loopback(reply("Hello")) as server:
        millis = AsyncMillis(KEY, base_url=server.url, http_client="aiohttp")

        async def talk() -> None:
            await millis.chat.send("Hi", agent_id="-Oabc")

        with pytest.raises(ConfigurationError, match="asyncio only"):
            anyio.run(talk, backend="trio")
        assert server.connections == 0


def test_a_client_without_aiohttp_does_not_import_it() -> None:
    """Clients on httpx do not pay for the import."""
    code = (
        "import sys; from millis_wrapper import AsyncMillis as C; C('key'); print('aiohttp' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
