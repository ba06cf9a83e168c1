"""Behavior of `http_client="aiohttp"` alone. The tests in the other files also run on it."""

from __future__ import annotations

import gc
import re
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import aiohttp
import anyio
import pytest
from clients import KEY
from loopback import DONE, END, STREAM, Loopback, reply, text_event, until_disconnect

from millis_wrapper import AsyncMillis, ConfigurationError, Millis, Timeout

pytestmark = pytest.mark.anyio


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

        with pytest.raises(ConfigurationError, match="needs asyncio"):
            anyio.run(talk, backend="trio")
        assert server.connections == 0


def test_a_client_without_aiohttp_does_not_import_it() -> None:
    """Clients on httpx do not pay for the import."""
    code = (
        "import sys; from millis_wrapper import AsyncMillis as C; C('key'); print('aiohttp' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


class EarlyServer:
    """Sends the response while most of the request is unread. httpx writes the complete request first."""

    def __init__(self, *, reads_request_before_end: bool) -> None:
        self.received = 0
        self.text_arrived = threading.Event()
        self._reads = reads_request_before_end
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://{}:{}".format(*self._listener.getsockname())

    def serve(self) -> None:
        peer, _ = self._listener.accept()
        with self._listener, peer:
            head, _, body = peer.recv(65536).partition(b"\r\n\r\n")
            length = int(re.findall(rb"content-length: (\d+)", head, re.IGNORECASE)[0])
            self.received = len(body)
            peer.sendall(STREAM + text_event("Hello"))
            if self._reads:
                assert self.text_arrived.wait(5)
                self._read(peer, length)
                time.sleep(0.1)  # a timer for the response headers would expire now
                peer.sendall(text_event("again"))
                time.sleep(0.1)
            peer.sendall(DONE + END)
            assert self.text_arrived.wait(5)
            self._read(peer, length)

    def _read(self, peer: socket.socket, length: int) -> None:
        while self.received < length and (data := peer.recv(65536)):
            self.received += len(data)


@pytest.mark.parametrize("reads", [False, True], ids=["never read", "read later"])
async def test_a_reply_that_begins_before_the_request_is_written_is_read(
    reads: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The timeouts of the request no longer apply, and the connection of an incomplete request is closed."""
    server = EarlyServer(reads_request_before_end=reads)
    text = "x" * 20_000_000
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, server.serve)
        async with AsyncMillis(KEY, base_url=server.url, http_client="aiohttp") as millis:
            stream = millis.chat.stream(text, agent_id="-Oabc", timeout=Timeout(first_byte=0.05))
            async with stream:
                async for _ in stream.text_stream:
                    if reads:
                        server.text_arrived.set()
            server.text_arrived.set()
    assert (server.received > len(text)) == reads
    assert [record for record in caplog.records if record.name == "asyncio"] == []


async def test_aiohttp_does_not_keep_the_key_during_a_response() -> None:
    """The response refers to the headers of its request."""
    with Loopback([STREAM + text_event("one"), until_disconnect]) as server:
        client = AsyncMillis(KEY, base_url=server.url, http_client="aiohttp")
        async with client, client.chat.stream("Hi", agent_id="-Oabc") as stream:
            assert await anext(stream.text_stream) == "one"
            kept = [one for one in gc.get_objects() if isinstance(one, aiohttp.ClientResponse)]
            headers = repr([response.request_info.headers for response in kept])
    assert "user-agent" in headers.lower()
    assert KEY not in headers
