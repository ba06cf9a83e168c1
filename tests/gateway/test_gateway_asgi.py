"""The application without a server: clients that disconnect or do not stop sending."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest
from gateway_server import HELLO, MILLIS_KEY

from millis_wrapper import AsyncMillis
from millis_wrapper.gateway import create_app
from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis

pytestmark = pytest.mark.anyio
SCOPE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.4"},
    "http_version": "1.1",
    "method": "POST",
    "scheme": "http",
    "path": "/v1/chat/completions",
    "root_path": "",
    "query_string": b"",
    "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def status_codes(
    received: AsyncGenerator[dict[str, Any]], service: str = "http://127.0.0.1:9"
) -> list[int]:
    """Return the status codes that the gateway sends for a request whose messages are `received`."""
    found: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])

    async with AsyncMillis(MILLIS_KEY, base_url=service) as client:
        await create_app(client=client)(SCOPE, received.__anext__, send)
    return found


async def test_a_disconnect_during_the_body_is_not_an_internal_error() -> None:
    """The gateway does not log a traceback when a client disconnects before it has sent its request."""

    async def received() -> AsyncGenerator[dict[str, Any]]:
        yield {"type": "http.request", "body": b'{"model"', "more_body": True}
        yield {"type": "http.disconnect"}

    assert await status_codes(received()) == [400]


async def test_a_body_without_an_end_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway stops reading, and does not keep the part beyond the limit."""
    monkeypatch.setattr("millis_wrapper.gateway._app.MAX_BODY_BYTES", 1000)
    monkeypatch.setattr("millis_wrapper.gateway._app._MAX_DRAINED_BYTES", 3000)
    chunks = 0

    async def received() -> AsyncGenerator[dict[str, Any]]:
        nonlocal chunks
        while True:
            chunks += 1
            yield {"type": "http.request", "body": b" " * 500, "more_body": True}

    assert await status_codes(received()) == [413]
    assert chunks == 7


@pytest.mark.parametrize("stream", [False, True], ids=["complete", "streamed"])
async def test_a_send_that_fails_is_a_disconnect(millis_mock: MockMillis, stream: bool) -> None:
    """Some servers report a disconnect as an OSError of `send`."""
    body = json.dumps({"model": DEFAULT_AGENT_ID, "messages": HELLO, "stream": stream}).encode()

    async def received() -> AsyncGenerator[dict[str, Any]]:
        yield {"type": "http.request", "body": body}
        await anyio.sleep_forever()

    async def send(message: Any) -> None:
        raise OSError("connection lost")

    async with AsyncMillis(MILLIS_KEY, base_url=millis_mock.url) as client:
        await create_app(client=client)(SCOPE, received().__anext__, send)
    assert len(millis_mock.requests) == 1
