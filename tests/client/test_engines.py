"""All clients behave the same, whatever engine sends their requests."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import logging
import threading
import time
import traceback
import zlib
from typing import Any, Literal
from unittest.mock import create_autospec

import aiohttp
import anyio
import httpx
import pytest
from clients import KEY, Clients, call, in_thread
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
    said,
    until_left,
    when_told,
)

from millis_wrapper import (
    APIConnectionError,
    APIStatusError,
    AsyncMillis,
    AuthenticationError,
    Millis,
    MillisError,
    NotFoundError,
    RateLimitError,
    StreamInterruptedError,
    Timeout,
    UnexpectedResponseError,
    UnprocessableEntityError,
)

pytestmark = pytest.mark.anyio

TOKEN = "secret-token-of-a-gateway"


@pytest.mark.parametrize("ending", [close, reset], ids=["FIN", "RST"])
async def test_a_slow_reader_gets_what_arrived_before_the_connection_broke(
    clients: Clients, ending: Step
) -> None:
    """The text that arrived while the reader was busy is yielded before the error."""
    rest = [linger(0.05), said("two "), said("three"), linger(0.05), ending]
    with Loopback([STREAM + said("one "), *rest]) as server:
        stream = clients.client(server.url).chat.stream("Hi", agent_id="-Oabc")
        texts: list[str] = []

        async def read() -> None:
            async with stream:
                async for text in stream.text_stream:
                    texts.append(text)
                    await anyio.sleep(0.2)

        with pytest.raises(StreamInterruptedError):
            await read()
    # The sync client reads the socket only when it is asked to, and a reset discards what was not read.
    if clients.kind == "aiohttp" or ending is close:
        assert "".join(texts) == "one two three"


async def test_a_complete_reply_stays_complete_if_the_connection_breaks_while_the_reader_is_busy(
    clients: Clients,
) -> None:
    """`[DONE]` arrived, so a connection that is closed without the end of the body loses nothing."""
    with Loopback([STREAM + said("one "), linger(0.05), said("two") + DONE, linger(0.05), close]) as server:
        async with clients.client(server.url).chat.stream("Hi", agent_id="-Oabc") as stream:
            async for _ in stream.text_stream:
                await anyio.sleep(0.2)
        final = await stream.get_final_reply()
    assert (final.text, final.ended) == ("one two", "done")


async def test_text_before_a_malformed_body_chunk_in_the_same_segment_is_kept(clients: Clients) -> None:
    """The text that could be read is yielded, then the reply fails."""
    with Loopback([STREAM, linger(0.05), said("one ") + said("two") + b"zz\r\n", until_left]) as server:
        stream = clients.client(server.url).chat.stream("Hi", agent_id="-Oabc", timeout=3)
        with pytest.raises(StreamInterruptedError) as caught:
            await stream.get_final_reply()
    assert caught.value.reply.text == "one two"


async def test_a_copy_is_not_lost_to_a_malformed_body_chunk_after_it(clients: Clients) -> None:
    """The complete JSON of the copy arrived, so its id is returned."""
    body = json.dumps({"id": "-Ocopy", "name": "c", "config": {}, "created_at": 1}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    with Loopback([head, linger(0.05), chunk(body) + b"zz\r\n", until_left]) as server:
        copy: Any = await call(clients.client(server.url, timeout=3), "duplicate")
    assert copy.id == "-Ocopy"


async def test_a_malformed_body_chunk_is_noticed_at_once(clients: Clients) -> None:
    """The error does not wait for the idle timeout of a minute."""
    with Loopback([STREAM + said("one "), linger(0.05), b"zz\r\n", until_left]) as server:
        stream = clients.client(server.url).chat.stream("Hi", agent_id="-Oabc")
        with anyio.fail_after(20), pytest.raises(StreamInterruptedError) as caught:
            await stream.get_final_reply()
    assert "idle" not in str(caught.value)


@pytest.mark.parametrize("moment", ["head", "body"])
async def test_no_frame_of_a_cancel_shows_a_secret(clients: Clients, moment: str) -> None:
    """A crash reporter that shows the locals of a canceled call sees neither the key nor extra headers."""
    if clients.kind == "sync":
        return  # nothing cancels a synchronous call
    steps: list[Step] = [until_left] if moment == "head" else [STREAM + said("one"), until_left]
    with Loopback(steps) as server:
        client = clients.client(server.url, headers={"x-gateway-token": TOKEN})
        task = asyncio.ensure_future(call(client, "chat"))
        await anyio.to_thread.run_sync(server.asked.wait, 5)
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        with pytest.raises(asyncio.CancelledError) as caught:
            task.result()
        shown = _locals_of(caught.value)
    assert KEY not in shown
    assert TOKEN not in shown


def _locals_of(error: BaseException) -> str:
    parts: list[str] = []
    link: BaseException | None = error
    while link is not None:
        frames = traceback.TracebackException.from_exception(link, capture_locals=True)
        parts += [repr(frame.locals) for frame in frames.stack if "/tests/" not in frame.filename]
        link = link.__cause__ or link.__context__
    return "\n".join(parts)


# asyncio warns about the sockets of each ended event loop, some of which are collected after the test.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("collected")
def test_event_loops_that_ended_leave_no_log_line_behind(caplog: pytest.LogCaptureFixture) -> None:
    """A client that several `asyncio.run` calls share and nobody closes is silent."""
    caplog.set_level(logging.DEBUG)
    with Loopback(*[reply("Hello")] * 5) as server:
        engines: tuple[Literal["aiohttp"] | None, ...] = (None, "aiohttp")
        for engine in engines:
            client = AsyncMillis(KEY, base_url=server.url, http_client=engine)

            async def talk(client: AsyncMillis = client) -> None:
                await client.chat.send("Hi", agent_id="-Oabc")

            for _ in range(2):
                asyncio.run(talk())
            del client, talk
            gc.collect()
    assert [record.getMessage() for record in caplog.records if "nclosed" in record.getMessage()] == []


async def test_a_kept_connection_that_breaks_is_not_reported_to_the_event_loop(clients: Clients) -> None:
    """The next call uses a new connection, and asyncio logs no exception that was never retrieved."""
    broken = threading.Event()

    def reset_when_told(peer: Peer) -> None:
        when_told(peer)
        peer.reset()
        broken.set()

    with Loopback([STREAM, linger(0.05), said("one") + DONE + END, reset_when_told], reply("two")) as server:
        client = clients.client(server.url)
        assert (await client.chat.send("Hi", agent_id="-Oabc")).text == "one"
        server.go_on.set()
        assert await in_thread(broken.wait)
        assert (await client.chat.send("Hi", agent_id="-Oabc")).text == "two"
    gc.collect()  # asyncio reports such an exception when its future is collected, which fails the test


async def test_a_busy_event_loop_does_not_turn_data_in_time_into_a_timeout(clients: Clients) -> None:
    """The data lies in the socket when the loop gets its turn, so it is read before a timeout counts."""
    if clients.kind == "sync":
        return  # it has no event loop
    with Loopback([linger(0.1), STREAM + said("one "), linger(0.6), said("two") + DONE + END]) as server:
        client = clients.client(server.url, timeout=0.4)

        async def block() -> None:
            for _ in range(2):
                await asyncio.sleep(0.02)
                time.sleep(0.5)  # noqa: ASYNC251  # the rule is about a loop that is blocked

        blocking = asyncio.ensure_future(block())
        stream = client.chat.stream("Hi", agent_id="-Oabc")
        async with stream:
            async for text in stream.text_stream:
                assert text == "one "
                break
        await blocking
    assert stream.reply.text == "one "


async def test_a_busy_event_loop_does_not_turn_a_connection_in_time_into_a_timeout(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was made while the loop was blocked is used, or the client connects once more."""
    if clients.kind == "sync":
        return  # it has no event loop
    loop = asyncio.get_running_loop()
    connect, attempts = loop.sock_connect, 0

    async def connect_and_block(*arguments: Any) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            loop.call_soon(time.sleep, 0.5)
        await connect(*arguments)

    monkeypatch.setattr(loop, "sock_connect", connect_and_block)
    with Loopback(reply("Hello")) as server:
        client = clients.client(server.url, timeout=Timeout(connect=0.2), max_retries=0)
        assert (await client.chat.send("Hi", agent_id="-Oabc")).text == "Hello"


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
    """httpx's own example of an event hook does not hide what the service said."""
    hooks = {"response": [_hook if clients.kind == "sync" else _async_hook]}
    with Loopback([http(status, '{"detail": "no"}')]) as server:
        client = clients.client(
            server.url, http_client=clients.httpx_client(event_hooks=hooks), max_retries=0
        )
        with pytest.raises(kind) as caught:
            await call(client, "duplicate")
    assert caught.value.status_code == status
    assert caught.value.maybe_processed is False
    assert KEY not in _locals_of(caught.value)


@pytest.mark.parametrize("kind", [Millis, AsyncMillis])
def test_a_mock_made_from_the_class_knows_chat_and_agents(kind: Any) -> None:
    """`create_autospec` sees them, because they belong to the class."""
    client = create_autospec(kind).return_value
    assert client.chat is not None
    assert client.agents is not None


def _bomb() -> bytes:
    return gzip.compress(gzip.compress(bytes(30_000_000)))


CODINGS: dict[str, bytes] = {
    "gzip, gzip": _bomb(),
    "br": b"\x1b\x0f\x00\xf8\xa5",
    "zstd": b"(\xb5/\xfd",
    "deflate": zlib.compress(b"{}"),
}


@pytest.mark.parametrize("operation", ["chat", "duplicate"])
@pytest.mark.parametrize("coding", CODINGS)
async def test_a_compression_that_was_not_asked_for_is_not_unpacked(
    clients: Clients, operation: str, coding: str
) -> None:
    """The error names the content-encoding, and nothing is unpacked."""
    body, headers = CODINGS[coding], {"content-encoding": coding}
    with Loopback([http(200, body, headers)]) as server, pytest.raises(MillisError) as caught:
        await call(clients.client(server.url), operation)
    assert isinstance(caught.value, UnexpectedResponseError)
    assert coding in str(caught.value)


@pytest.mark.parametrize("operation", ["chat", "duplicate"])
async def test_gzip_is_read_within_the_bounds_of_plain_bodies(clients: Clients, operation: str) -> None:
    """A body of 300 MB in 300 KB of gzip ends in an error once the bound for plain bodies is passed."""
    body = gzip.compress(b" " * 300_000_000)
    with (
        Loopback([http(200, body, {"content-encoding": "gzip"})]) as server,
        pytest.raises(UnexpectedResponseError),
    ):
        await call(clients.client(server.url), operation)


async def test_an_error_body_in_gzip_is_read(clients: Clients) -> None:
    """A gateway that compresses its errors is understood; a bomb is cut at the bound of error bodies."""
    small, large = gzip.compress(b'{"detail": "no such agent"}'), gzip.compress(b"x" * 100_000_000)
    answers: list[list[Step]] = [[http(404, body, {"content-encoding": "gzip"})] for body in (small, large)]
    with Loopback(*answers) as server:
        client = clients.client(server.url)
        with pytest.raises(NotFoundError, match="no such agent"):
            await call(client, "duplicate")
        with pytest.raises(NotFoundError):
            await call(client, "duplicate")


async def test_a_reply_and_a_copy_in_gzip_are_read(clients: Clients) -> None:
    """A gateway that compresses although it was told not to changes nothing."""
    events = b'data: {"choices":[{"delta":{"content":"Hello"}}]}\n\ndata: [DONE]\n\n'
    copy = json.dumps({"id": "-Ocopy", "name": "c", "config": {}, "created_at": 1}).encode()
    coded = {"content-encoding": "gzip"}
    answers: list[list[Step]] = [[http(200, gzip.compress(body), coded)] for body in (events, copy)]
    with Loopback(*answers) as server:
        client = clients.client(server.url)
        chat: Any = await call(client, "chat")
        agent: Any = await call(client, "duplicate")
    assert (chat.text, agent.id) == ("Hello", "-Ocopy")


async def test_gzip_that_is_cut_off_makes_the_reply_fail(clients: Clients) -> None:
    """The text before the cut is kept."""
    events = b"".join(
        b'data: {"choices":[{"delta":{"content":"%d "}}]}\n\n' % number for number in range(3000)
    )
    body = gzip.compress(events + b"data: [DONE]\n\n")
    answer: list[Step] = [http(200, body[:-40], {"content-encoding": "gzip"})]
    with Loopback(answer) as server, pytest.raises(StreamInterruptedError) as caught:
        await call(clients.client(server.url), "chat")
    assert caught.value.reply.text.startswith("0 1 2 ")


async def test_a_large_request_arrives_whole_and_the_key_stays_out_of_it(clients: Clients) -> None:
    """Bodies over 64 KiB are sent in several chunks, in order."""
    text = "".join(f"{number:06d} " for number in range(40_000))
    with Loopback(reply("Hello")) as server:
        await clients.client(server.url).chat.send(text, agent_id="-Oabc")
    assert server.requests[0].json["messages"][0]["content"] == text
    assert server.requests[0].headers["content-length"] == str(len(server.requests[0].body))


@pytest.mark.usefixtures("collected")
async def test_a_connection_that_is_reset_during_a_response_logs_nothing(
    clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncio would log the reset as an exception that was never retrieved."""
    with Loopback([STREAM + said("one"), linger(0.05), reset]) as server:
        client = clients.client(server.url)
        with pytest.raises(StreamInterruptedError):
            await call(client, "chat")
        await client.aclose()
        gc.collect()
        await anyio.sleep(0.01)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("operation", ["chat", "duplicate"])
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


@pytest.mark.parametrize("operation", ["chat", "duplicate"])
async def test_a_switch_to_another_protocol_is_a_broken_connection(clients: Clients, operation: str) -> None:
    """The client asks for no upgrade, so a 101 is no response to its request."""
    with Loopback([http(101, headers={"upgrade": "x", "connection": "upgrade"}), until_left]) as server:
        with pytest.raises(APIConnectionError) as caught:
            await call(clients.client(server.url), operation)
        assert len(server.requests) == 1
    assert caught.value.maybe_processed is True


async def test_of_two_retry_after_headers_the_longer_delay_counts(clients: Clients) -> None:
    """Both values are in the headers of the error."""
    two = b"HTTP/1.1 429 X\r\nretry-after: 120\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n"
    with Loopback([two]) as server:
        with pytest.raises(RateLimitError) as caught:
            await call(clients.client(server.url), "duplicate")
        assert len(server.requests) == 1  # 120 s are more than the client waits
    assert caught.value.retry_after == 120
    assert caught.value.headers["retry-after"] == "120, 3"


async def test_aiohttp_does_not_keep_the_key_during_a_response() -> None:
    """The response refers to the headers of its request."""
    with Loopback([STREAM + said("one"), until_left]) as server:
        client = AsyncMillis(KEY, base_url=server.url, http_client="aiohttp")
        async with client, client.chat.stream("Hi", agent_id="-Oabc") as stream:
            assert await anext(stream.text_stream) == "one"
            kept = [one for one in gc.get_objects() if isinstance(one, aiohttp.ClientResponse)]
            headers = repr([response.request_info.headers for response in kept])
    assert "user-agent" in headers.lower()
    assert KEY not in headers
