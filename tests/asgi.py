"""Call an ASGI application without a network and record its response."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from millis_wrapper.mock import DEFAULT_AGENT_ID
from millis_wrapper.mock._streams import CutError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message

CHAT = "/chat/completions"

PATIENCE = 5.0  # seconds before a hanging test fails


@attrs.define
class Exchange:
    """The response of the application.

    `complete`: whether the application sent the last message of the body. `cut`: whether it cut the
    connection instead.
    """

    status: int = 0
    headers: dict[str, str] = attrs.field(factory=dict[str, str])
    chunks: list[bytes] = attrs.field(factory=list[bytes])
    complete: bool = False
    cut: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def post(
    app: ASGIApp,
    path: str,
    body: Any = None,
    *,
    headers: Mapping[str, str] | None = None,
    leave: anyio.Event | None = None,
    uploaded: bool = True,
    watch: Callable[[Exchange], None] | None = None,
) -> Exchange:
    """Send one POST request and return the response.

    The client disconnects when `leave` is set. `watch` is called after each message of the response.
    `uploaded`: whether the client sends the complete request body instead of leaving it unfinished.
    """
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    given = {"authorization": "mock-key", "content-type": "application/json", **(headers or {})}
    exchange, left, asked = Exchange(), leave or anyio.Event(), False

    async def receive() -> Message:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": content, "more_body": not uploaded}
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            exchange.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            if message["body"]:
                exchange.chunks.append(message["body"])
            exchange.complete = not message.get("more_body", False)
        if watch is not None:
            watch(exchange)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in given.items() if value],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
    }
    with anyio.fail_after(PATIENCE):
        try:
            await app(scope, receive, send)
        except* CutError:  # Older versions of Starlette raise it in an exception group.
            exchange.cut = True
    return exchange


def chat_body(text: str = "Hello", agent_id: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a valid request body for a chat."""
    agent = {"agent_config": {"prompt": "Be brief."}} if agent_id is None else {"agent_id": agent_id}
    return {"agent": agent, "messages": [{"role": "user", "content": text}], **more}


def duplicate_path(agent_id: str = DEFAULT_AGENT_ID) -> str:
    return f"/agents/{agent_id}/duplicate"


def texts(body: bytes) -> list[str]:
    """Return the text of each event in a stream of the documented form."""
    events = body.decode().split("\n\n")
    data = [event.removeprefix("data: ") for event in events if event]
    return [json.loads(each)["choices"][0]["delta"]["content"] for each in data if each != "[DONE]"]
