"""All clients behave the same, whatever engine sends their requests."""

from __future__ import annotations

import gc
import json
import logging
import threading
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from clients import KEY, OPERATIONS, READERS, Clients, call, chat, in_thread, read
from leaks import with_locals
from loopback import (
    DONE,
    END,
    STREAM,
    Loopback,
    Peer,
    Step,
    chunk,
    close,
    http,
    linger,
    reply,
    reset,
    text_event,
    until_disconnect,
    until_resumed,
)

from millis_wrapper import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    MillisError,
    NotFoundError,
    RateLimitError,
    StreamInterruptedError,
    UnprocessableEntityError,
)

pytestmark = pytest.mark.anyio

TOKEN = "secret-token-of-a-gateway"


@READERS
@pytest.mark.parametrize("ending", [close, reset], ids=["FIN", "RST"])
async def test_the_text_that_arrived_before_the_connection_broke_is_yielded(
    clients: Clients, ending: Step, pause: float
) -> None:
    """The text may arrive while the reader is busy."""
    rest = [linger(0.02), text_event("two "), text_event("three"), linger(0.02), ending]
    with Loopback([STREAM + text_event("one "), *rest]) as server:
        stream = clients.client(server.url).chat.stream("Hi", agent_id="-Oabc")
        texts: list[str] = []

        with pytest.raises(StreamInterruptedError):
            await read(stream, 4 * pause, texts)
    # The sync client does not read ahead, and a reset discards the unread data.
    if clients.kind == "aiohttp" or ending is close:
        assert "".join(texts) == "one two three"


@READERS
async def test_a_complete_reply_stays_complete_if_the_connection_breaks(
    clients: Clients, pause: float
) -> None:
    """`[DONE]` arrived, so a connection that is closed without the end of the body loses nothing."""
    with Loopback(
        [STREAM + text_event("one "), linger(0.02), text_event("two") + DONE, linger(0.02), close]
    ) as server:
        final = await chat(clients.client(server.url), 4 * pause)
    assert (final.text, final.ended) == ("one two", "done")


HEADS = pytest.mark.parametrize("gap", [[], [linger(0.05)]], ids=["with the head", "after the head"])


@HEADS
@READERS
async def test_text_before_a_malformed_body_chunk_in_the_same_segment_is_kept(
    clients: Clients, pause: float, gap: list[Step]
) -> None:
    """The text before the malformed chunk is yielded, then the reply fails."""
    body = text_event("one ") + text_event("two") + b"zz\r\n"
    steps: list[Step] = [STREAM, *gap, body, until_disconnect] if gap else [STREAM + body, until_disconnect]
    with Loopback(steps) as server, pytest.raises(StreamInterruptedError) as caught:
        await chat(clients.client(server.url), pause, timeout=3)
    assert caught.value.reply.text == "one two"


@HEADS
@pytest.mark.parametrize("early", [b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"], ids=["", "103"])
async def test_a_copy_is_not_lost_to_a_malformed_body_chunk_after_it(
    clients: Clients, early: bytes, gap: list[Step]
) -> None:
    """The complete JSON of the copy arrived, so its id is returned."""
    body = json.dumps({"id": "-Ocopy", "name": "c", "config": {}, "created_at": 1}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    rest = chunk(body) + b"zz\r\n"
    first: list[Step] = [early + head, *gap, rest] if gap else [early + head + rest]
    with Loopback([*first, until_disconnect]) as server:
        copy: Any = await call(clients.client(server.url, timeout=3), "duplicate")
    assert copy.id == "-Ocopy"


@READERS
async def test_a_malformed_body_chunk_is_noticed_at_once(clients: Clients, pause: float) -> None:
    """The error does not wait for the idle timeout of a minute."""
    steps: list[Step] = [STREAM + text_event("one "), linger(0.05), b"zz\r\n", until_disconnect]
    with Loopback(steps) as server, anyio.fail_after(20), pytest.raises(StreamInterruptedError) as caught:
        await chat(clients.client(server.url), pause)
    assert "idle" not in str(caught.value)


async def test_a_kept_connection_that_breaks_is_not_reported_to_the_event_loop(clients: Clients) -> None:
    """The next call uses a new connection, and asyncio logs no exception that was never retrieved."""
    broken = threading.Event()

    def reset_when_told(peer: Peer) -> None:
        until_resumed(peer)
        peer.reset()
        broken.set()

    with Loopback(
        [STREAM, linger(0.05), text_event("one") + DONE + END, reset_when_told], reply("two")
    ) as server:
        client = clients.client(server.url)
        assert (await client.chat.send("Hi", agent_id="-Oabc")).text == "one"
        server.resume.set()
        assert await in_thread(broken.wait)
        assert (await client.chat.send("Hi", agent_id="-Oabc")).text == "two"
    gc.collect()  # asyncio reports the exception when its future is collected, which would fail the test


def _hook(response: httpx.Response) -> None:
    response.raise_for_status()


async def _async_hook(response: httpx.Response) -> None:
    response.raise_for_status()


STATUSES: dict[int, type[APIStatusError]] = {
    401: AuthenticationError,
    404: NotFoundError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


@pytest.mark.parametrize(("status", "kind"), STATUSES.items())
async def test_a_hook_that_raises_for_the_status_gives_the_error_of_that_status(
    clients: Clients, status: int, kind: type[APIStatusError]
) -> None:
    """With httpx's own example of an event hook, the error still has the detail from the service."""
    hooks = {"response": [_hook if clients.kind == "sync" else _async_hook]}
    with Loopback([http(status, '{"detail": "no"}')]) as server:
        client = clients.client(
            server.url, http_client=clients.httpx_client(event_hooks=hooks), max_retries=0
        )
        with pytest.raises(kind) as caught:
            await call(client, "duplicate")
    assert caught.value.status_code == status
    assert caught.value.maybe_processed is False
    assert KEY not in with_locals(caught.value)


async def test_a_large_request_arrives_completely(clients: Clients) -> None:
    """Bodies over 64 KiB are sent in several chunks, in order."""
    text = "".join(f"{number:06d} " for number in range(40_000))
    with Loopback(reply("Hello")) as server:
        await clients.client(server.url).chat.send(text, agent_id="-Oabc")
    assert server.requests[0].json["messages"][0]["content"] == text
    assert server.requests[0].headers["content-length"] == str(len(server.requests[0].body))


@READERS
@pytest.mark.usefixtures("collected")
async def test_a_connection_that_is_reset_during_a_response_logs_nothing(
    clients: Clients, pause: float, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncio would log the reset as an exception that was never retrieved."""
    with Loopback([STREAM + text_event("one"), linger(0.05), reset]) as server:
        client = clients.client(server.url)
        with pytest.raises(StreamInterruptedError):
            await chat(client, pause)
        await client.aclose()
        gc.collect()
        await anyio.sleep(0.01)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@OPERATIONS
async def test_a_malformed_body_chunk_right_after_the_head_is_one_of_our_errors(
    clients: Clients, operation: str
) -> None:
    """The connection may be closed before the client looks at the body."""
    with Loopback([STREAM + b"zz\r\n", close]) as server:
        client = clients.client(server.url)
        for _ in range(5):
            with pytest.raises(MillisError) as caught:
                await call(client, operation)
            assert caught.value.maybe_processed is True


@OPERATIONS
async def test_a_switch_to_another_protocol_is_a_broken_connection(clients: Clients, operation: str) -> None:
    """The client does not request an upgrade, so a 101 does not respond to its request."""
    with Loopback([http(101, headers={"upgrade": "x", "connection": "upgrade"}), until_disconnect]) as server:
        with pytest.raises(APIConnectionError) as caught:
            await call(clients.client(server.url), operation)
        assert len(server.requests) == 1
    assert caught.value.maybe_processed is True


async def test_of_two_retry_after_headers_the_longer_delay_counts(clients: Clients) -> None:
    """The headers of the error contain both values."""
    two = b"HTTP/1.1 429 X\r\nretry-after: 120\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n"
    with Loopback([two]) as server:
        with pytest.raises(RateLimitError) as caught:
            await call(clients.client(server.url), "duplicate")
        assert len(server.requests) == 1  # 120 s are more than the client waits
    assert caught.value.retry_after == 120
    assert caught.value.headers["retry-after"] == "120, 3"


def test_only_three_files_leave_out_a_client() -> None:
    """Every other test with `clients` runs on all three, so the number of failure tests is equal."""
    found = {
        (path.name, name)
        for path in Path(__file__).parent.glob("test_*.py")
        for name in ("ON_" + "HTTPX", "IN_A_" + "LOOP")
        if name in path.read_text("utf-8")
    }
    assert found == {
        ("test_httpx_only.py", "ON_" + "HTTPX"),
        ("test_canceled.py", "IN_A_" + "LOOP"),
        ("test_event_loops.py", "IN_A_" + "LOOP"),
    }
