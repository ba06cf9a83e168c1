"""The key is in nothing that can be printed or logged, and goes to no host but the configured one."""

from __future__ import annotations

import logging
import socket
import traceback
from typing import Any

import httpx
import pytest
from clients import KEY, OPERATIONS, Clients, call
from leaks import chain, places
from loopback import (
    END,
    STREAM,
    Answer,
    Loopback,
    chunk,
    close,
    copied,
    event,
    http,
    nowhere,
    reply,
    reset,
    said,
    until_left,
)

from millis_wrapper import APIConnectionError, AsyncMillis, ConfigurationError, Millis, MillisError, Timeout

pytestmark = pytest.mark.anyio

LIMITS = Timeout(first_byte=0.1, idle=0.1, write=0.1)  # only where the answer, or the reading, never comes


def assert_secret(error: MillisError, caplog: pytest.LogCaptureFixture) -> None:
    """Look for the key wherever an error is printed, logged, or taken apart."""
    assert places(error, KEY) == []
    for link in chain(error):
        # httpx's errors carry the request, for anyone who looks.
        request: object = vars(link).get("_request")
        if isinstance(request, httpx.Request):
            assert "authorization" not in request.headers
            assert KEY not in repr((request.headers.raw, request.extensions, vars(request)))
    assert KEY not in caplog.text


FAILURES: dict[str, Answer] = {
    "reset": [reset],
    "closed": [close],
    "no answer": [until_left],
    "401": [http(401, '{"detail": "no such key"}')],
    "500": [http(500, "<html>")],
    "redirect": [http(307, "", {"location": "/there"})],
    "cut": [b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ndata: {", close],
    "stalled": [b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ndata: {", until_left],
    "error in the stream": [STREAM + event('{"error": "down"}') + END],
    "no stream": [http(200, "<html>")],
}


@OPERATIONS
@pytest.mark.parametrize("answer", FAILURES.values(), ids=FAILURES.keys())
async def test_no_error_tells_the_key(
    clients: Clients, operation: str, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    """Message, repr, arguments, causes, their requests, all logs at DEBUG, and the locals of every frame."""
    caplog.set_level(logging.DEBUG)
    timeout = LIMITS if until_left in answer else None
    with Loopback(answer) as server, pytest.raises(MillisError) as caught:
        await call(clients.client(server.url, timeout=timeout), operation)
    assert_secret(caught.value, caplog)
    assert KEY not in with_locals(caught.value)
    assert server.requests[0].headers["authorization"] == KEY


@OPERATIONS
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_failed_connection_tells_the_key(
    clients: Clients, operation: str, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody was there to hear it, and nobody hears it from the error."""
    caplog.set_level(logging.DEBUG)
    client = clients.client(f"{scheme}://{nowhere()}", max_retries=0)
    with pytest.raises(MillisError) as caught:
        await call(client, operation)
    assert_secret(caught.value, caplog)
    assert KEY not in with_locals(caught.value)


@pytest.mark.parametrize("whose", ["own", "lent"])
async def test_no_frame_of_an_error_shows_a_header_that_may_be_a_secret(clients: Clients, whose: str) -> None:
    """A gateway's token among `headers=` is in no local of any frame, sent or not."""
    lent = {"http_client": clients.httpx_client()} if whose == "lent" else {}
    headers = {"x-gateway-token": "of the gateway"}
    with Loopback([http(500)]) as server:
        for url in (server.url, f"http://{nowhere()}"):
            with pytest.raises(MillisError) as caught:
                await call(clients.client(url, headers=headers, max_retries=0, **lent), "duplicate")
            assert headers["x-gateway-token"] not in with_locals(caught.value)
    assert server.requests[0].headers["x-gateway-token"] == headers["x-gateway-token"]


async def test_an_error_in_the_midst_of_sending_does_not_tell_the_key(
    clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    """While the request's head is being written, the frames of the HTTP library hold it as bytes."""
    caplog.set_level(logging.DEBUG)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        client = clients.client(
            f"http://127.0.0.1:{deaf.getsockname()[1]}", timeout=LIMITS, headers={"x-large": "x" * 20_000_000}
        )
        # aiohttp does not wait while it writes a head without a body.
        limit = "first_byte" if clients.kind == "aiohttp" else "write"
        with pytest.raises(MillisError, match=f"limit: {limit}") as caught:
            await call(client, "duplicate")
    assert_secret(caught.value, caplog)
    assert KEY not in with_locals(caught.value)


def with_locals(error: BaseException) -> str:
    """Return the traceback as a crash reporter sees it: with the locals of all frames but the tests' own."""
    links = [traceback.TracebackException.from_exception(link, capture_locals=True) for link in chain(error)]
    frames = [frame for link in links for frame in link.stack if "/tests/" not in frame.filename]
    return "\n".join(repr(frame.locals) for frame in frames)


HEARD = f"no such key: {KEY}"
ECHOES: dict[str, Answer] = {
    "in an error's detail": [http(401, f'{{"detail": "{HEARD}"}}')],
    "in an error's text": [http(500, HEARD)],
    "in a list of errors": [
        http(
            422, f'{{"detail": [{{"loc": ["{KEY}"], "msg": "{HEARD}", "type": "{KEY}", "input": "{KEY}"}}]}}'
        )
    ],
    "in no stream": [http(200, HEARD)],
    "in JSON that is no stream": [http(200, f'{{"detail": "{HEARD}"}}')],
    "in an error of the stream": [STREAM + event(f'{{"error": {{"message": "{HEARD}"}}}}') + END],
    "in an error event": [STREAM + chunk(f"event: error\ndata: {HEARD}\n\n".encode()) + END],
    "in half an event": [STREAM + said("Hel") + chunk(f'data: {{"error": "{HEARD}'.encode()) + END],
    "in an answer that breaks off": [
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + HEARD.encode(),
        close,
    ],
    "in a redirect": [http(307, HEARD, {"location": f"/?key={KEY}"})],
    "in a redirect to nowhere": [http(307, "", {"location": f"http://a:{KEY}/"})],
    "in a status line": [http(403, "", reason=HEARD)],
    "in no HTTP": [f"{HEARD}\r\n\r\n".encode(), close],
}


@OPERATIONS
@pytest.mark.parametrize("answer", ECHOES.values(), ids=ECHOES.keys())
async def test_no_error_repeats_the_key_that_the_service_sends_back(
    clients: Clients, operation: str, answer: Answer
) -> None:
    """A service, or a proxy, that puts the key into its answer does not put it into our errors."""
    with Loopback(answer) as server, pytest.raises(MillisError) as caught:
        await call(clients.client(server.url), operation)
    assert places(caught.value, KEY) == []
    assert KEY not in with_locals(caught.value)


WRONG: list[dict[str, Any]] = [
    {"region": "asia"},
    {"region": "eu", "base_url": "https://x.invalid"},
    {"base_url": 5},
    {"base_url": f"https://{KEY}@x.invalid"},
    {"base_url": "http://x.invalid"},
    {"base_url": "https://x..invalid"},
    {"timeout": -1},
    {"timeout": httpx.Timeout(4)},
    {"max_retries": -1},
    {"http_client": object()},
    {"headers": {"authorization": KEY}},
    {"headers": {"x-api-key": KEY, "bad name": "x"}},
    {"headers": {"x-api-key": KEY + "\n"}},
    {"headers": KEY},
    {"allow_http": "yes"},
    {"strict": 1},
    {"require_end": "no"},
    {"api_key": f"Bearer {KEY}"},
    {"api_key": f"MILLIS_API_KEY={KEY}"},
    {"api_key": f'"{KEY}"'},
    {"api_key": f"{KEY}\x00"},
    {"api_key": [KEY]},
]


@pytest.mark.parametrize("kind", [Millis, AsyncMillis])
@pytest.mark.parametrize("wrong", WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_no_wrong_argument_shows_the_key_in_a_frame(
    kind: type[Millis] | type[AsyncMillis], wrong: dict[str, Any]
) -> None:
    """Crash reporters show the locals of every frame, the repr of a client that was not made among them."""
    make: Any = kind
    with pytest.raises(ConfigurationError) as caught:
        make(**{"api_key": KEY, **wrong})
    assert places(caught.value, KEY) == []
    assert KEY not in with_locals(caught.value)
    assert "not constructed" in with_locals(caught.value)


async def test_a_reset_just_before_the_first_write_leaves_no_head_behind(clients: Clients) -> None:
    """It comes as a ReadError, while the frames that were writing hold the head with the key."""
    with Loopback([reset], [reset]) as server:
        millis = clients.client(server.url, max_retries=0)
        for _ in range(5):
            with pytest.raises(APIConnectionError) as caught:
                await call(millis, "duplicate")
            assert places(caught.value, KEY) == []
            assert KEY not in with_locals(caught.value)


@OPERATIONS
@pytest.mark.parametrize("whose", ["own", "lent"])
async def test_no_other_host_hears_of_the_key(clients: Clients, operation: str, whose: str) -> None:
    """A redirect to another host is not followed, also not by a client that follows redirects."""
    lent = {"http_client": clients.httpx_client(follow_redirects=True)} if whose == "lent" else {}
    with Loopback([http(200)]) as other:
        for status in (301, 302, 303, 307, 308):
            with Loopback([http(status, "", {"location": f"{other.url}/there"})]) as server:
                with pytest.raises(MillisError, match=str(status)):
                    await call(clients.client(server.url, **lent), operation)
                assert len(server.requests) == 1
    assert other.connections == 0


@OPERATIONS
async def test_a_call_that_works_tells_no_log_the_key(
    clients: Clients, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    """All loggers at DEBUG, httpcore's too (aiohttp has none); and only the header carries the key."""
    caplog.set_level(logging.DEBUG)
    with Loopback({"chat": reply("Hello"), "duplicate": copied()}[operation]) as server:
        await call(clients.client(server.url), operation)
    assert ("millis_wrapper" if clients.kind == "aiohttp" else "httpcore") in caplog.text
    assert KEY not in caplog.text
    (request,) = server.requests
    assert [name for name, value in request.headers.items() if KEY in value] == ["authorization"]
    assert KEY not in request.path
    assert KEY.encode() not in request.body


async def test_a_client_of_the_callers_does_not_keep_the_key(clients: Clients) -> None:
    """Neither in its headers, nor in the requests that its hooks have seen, once they are answered."""
    seen: list[httpx.Request] = []
    theirs = clients.httpx_client()

    async def note_async(request: httpx.Request) -> None:
        seen.append(request)

    theirs.event_hooks = {"request": [note_async if clients.kind != "sync" else seen.append]}
    with Loopback(copied()) as server:
        await call(clients.client(server.url, http_client=theirs), "duplicate")
    (request,) = seen
    assert "authorization" not in request.headers
    assert "authorization" not in theirs.headers


@pytest.mark.parametrize("kind", [Millis, AsyncMillis])
def test_no_repr_shows_the_key(kind: type[Millis] | type[AsyncMillis]) -> None:
    """Of the client, of everything in it, and of what it makes, all the way down."""
    millis = kind(KEY)
    made = [millis, millis.chat.stream("Hi", agent_id="-O"), millis.chat.conversation(agent_id="-O")]
    shown: list[str] = []
    seen: set[int] = set()

    def show(value: object, depth: int = 0) -> None:
        if id(value) in seen or depth > 8:
            return
        seen.add(id(value))
        shown.append(f"{value!r} {value!s}")
        inside: dict[str, Any] = getattr(value, "__dict__", {})
        for child in inside.values():
            show(child, depth + 1)

    for value in made:
        show(value)
    assert len(shown) > 20
    assert KEY not in "".join(shown)
