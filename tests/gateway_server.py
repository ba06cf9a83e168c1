"""The gateway on loopback, in front of a mock or of a server that misbehaves."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import httpx
import openai
import uvicorn
from loopback import PATIENCE

from millis_wrapper import AsyncMillis, Timeout
from millis_wrapper.gateway import create_app
from millis_wrapper.mock import DEFAULT_AGENT_ID

MILLIS_KEY = "k3yOfThirtyTwoLettersAndDigits99"
HELLO: Any = [{"role": "user", "content": "Hello"}]


@contextmanager
def gateway(
    service: str, *, key: str = MILLIS_KEY, timeout: Timeout | None = None, **options: Any
) -> Generator[str]:
    """Run the gateway in front of `service`, and yield its address."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=200)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    servers: list[uvicorn.Server] = []
    ready = threading.Event()

    async def serve() -> None:
        async with AsyncMillis(key, base_url=service, timeout=timeout, max_retries=0) as client:
            app = create_app(client=client, **options)
            config = uvicorn.Config(
                app,
                http="h11",
                loop="asyncio",
                log_config=None,
                timeout_graceful_shutdown=1,
            )
            servers.append(uvicorn.Server(config))
            ready.set()
            await servers[0].serve(sockets=[listener])

    thread = threading.Thread(target=asyncio.run, args=[serve()], daemon=True)
    thread.start()
    assert ready.wait(PATIENCE)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        servers[0].should_exit = True
        thread.join(PATIENCE)


class _WithoutPauses(openai.OpenAI):
    def _calculate_retry_timeout(self, *_: Any, **__: Any) -> float:
        return 0


def openai_client(url: str, key: str = "dummy", *, path: str = "/v1") -> openai.OpenAI:
    """Return the real SDK, with its default retries but without their pauses."""
    return _WithoutPauses(base_url=url + path, api_key=key)


def ask(client: openai.OpenAI, *, stream: bool = False, **more: Any) -> Any:
    """Send one chat completion request, and return what the SDK makes of it."""
    create: Any = client.chat.completions.create
    return create(**{"model": DEFAULT_AGENT_ID, "messages": HELLO, "stream": stream, **more})


def post(url: str, body: Any = None, *, path: str = "/v1/chat/completions", **more: Any) -> httpx.Response:
    """Send one request without the SDK."""
    if body is None:
        body = {"model": DEFAULT_AGENT_ID, "messages": HELLO}
    content: Any = {"content": body} if isinstance(body, bytes) else {"json": body}
    with httpx.Client(trust_env=False, timeout=30) as client:
        return client.post(url + path, **content, **more)
