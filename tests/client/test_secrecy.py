"""The key never appears in output, logs or errors, and is sent only to the configured host."""

from __future__ import annotations

import logging
import socket
from typing import Any

import httpx
import pytest
from clients import KEY, OPERATIONS, READERS, Clients, call, chat
from leaks import chain, places, with_locals
from loopback import (
    END,
    STREAM,
    Loopback,
    Step,
    Steps,
    chunk,
    close,
    copied,
    event,
    http,
    linger,
    nowhere,
    reply,
    reset,
    text_event,
    until_disconnect,
)

from millis_wrapper import APIConnectionError, AsyncMillis, ConfigurationError, Millis, MillisError, Timeout

pytestmark = pytest.mark.anyio

LIMITS = Timeout(first_byte=0.1, idle=0.1, write=0.1)  # for servers that never respond or never read


def assert_secret(error: MillisError, caplog: pytest.LogCaptureFixture) -> None:
    """Search for the key in everything that an error prints, logs or refers to."""
    assert places(error, KEY) == []
    for link in chain(error):
        # httpx's errors refer to the request.
        request: object = vars(link).get("_request")
        if isinstance(request, httpx.Request):
            assert "authorization" not in request.headers
            assert KEY not in repr((request.headers.raw, request.extensions, vars(request)))
    assert KEY not in caplog.text


FAILURES: dict[str, Steps] = {
    "reset": [reset],
    "closed": [close],
    "no response": [until_disconnect],
    "401": [http(401, '{"detail": "no such key"}')],
    "500": [http(500, "<html>")],
    "redirect": [http(307, "", {"location": "/there"})],
    "cut": [b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ndata: {", close],
    "stalled": [b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ndata: {", until_disconnect],
    "error in the stream": [STREAM + event('{"error": "down"}') + END],
    "no stream": [http(200, "<html>")],
}


@OPERATIONS
@pytest.mark.parametrize("response", FAILURES.values(), ids=FAILURES.keys())
async def test_no_error_contains_the_key(
    clients: Clients, operation: str, response: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    """The key is not in the message, repr, arguments, causes, DEBUG logs or locals of any frame."""
    caplog.set_level(logging.DEBUG)
    timeout = LIMITS if until_disconnect in response else None
    with Loopback(response) as server, pytest.raises(MillisError) as caught:
        await call(clients.client(server.url, timeout=timeout), operation)
    assert_secret(caught.value, caplog)
    assert KEY not in with_locals(caught.value)
    assert server.requests[0].headers["authorization"] == KEY


@READERS
@pytest.mark.parametrize("rest", [[close], [reset], [until_disconnect], [event('{"error": "down"}')], [END]])
async def test_no_error_of_a_stream_contains_the_key(
    clients: Clients, rest: list[Step], pause: float, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure occurs after some text, while the client waits for more or the reader is busy."""
    caplog.set_level(logging.DEBUG)
    with (
        Loopback([STREAM + text_event("Hel"), linger(0.01), *rest]) as server,
        pytest.raises(MillisError) as caught,
    ):
        await chat(clients.client(server.url, timeout=LIMITS, require_end=True), pause)
    assert_secret(caught.value, caplog)
    assert KEY not in with_locals(caught.value)


@OPERATIONS
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_connection_error_contains_the_key(
    clients: Clients, operation: str, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No connection was made, and the key is not in the error or the log."""
    caplog.set_level(logging.DEBUG)
    client = clients.client(f"{scheme}://{nowhere()}", max_retries=0)
    with pytest.raises(MillisError) as caught:
        await call(client, operation)
    assert_secret(caught.value, caplog)
    assert KEY not in with_locals(caught.value)


@pytest.mark.parametrize("whose", ["own", "custom"])
async def test_no_frame_of_an_error_contains_a_header_value(clients: Clients, whose: str) -> None:
    """A gateway's token in `headers=` is not in the locals of any frame."""
    custom = {"http_client": clients.httpx_client()} if whose == "custom" else {}
    headers = {"x-gateway-token": "of the gateway"}
    with Loopback([http(500)]) as server:
        for url in (server.url, f"http://{nowhere()}"):
            with pytest.raises(MillisError) as caught:
                await call(clients.client(url, headers=headers, max_retries=0, **custom), "duplicate")
            assert headers["x-gateway-token"] not in with_locals(caught.value)
    assert server.requests[0].headers["x-gateway-token"] == headers["x-gateway-token"]


async def test_an_error_while_sending_does_not_contain_the_key(
    clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    """At that moment, the frames of the HTTP library contain the request headers as bytes."""
    caplog.set_level(logging.DEBUG)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        client = clients.client(
            f"http://127.0.0.1:{deaf.getsockname()[1]}", timeout=LIMITS, headers={"x-large": "x" * 20_000_000}
        )
        # aiohttp does not wait for the headers of a request without a body to be written.
        limit = "first_byte" if clients.kind == "aiohttp" else "write"
        with pytest.raises(MillisError, match=limit) as caught:
            await call(client, "duplicate")
    assert_secret(caught.value, caplog)
    assert KEY not in with_locals(caught.value)


ECHO = f"no such key: {KEY}"
ECHOES: dict[str, Steps] = {
    "in an error's detail": [http(401, f'{{"detail": "{ECHO}"}}')],
    "in an error's text": [http(500, ECHO)],
    "in a list of errors": [
        http(422, f'{{"detail": [{{"loc": ["{KEY}"], "msg": "{ECHO}", "type": "{KEY}", "input": "{KEY}"}}]}}')
    ],
    "in a response that is not a stream": [http(200, ECHO)],
    "in JSON instead of a stream": [http(200, f'{{"detail": "{ECHO}"}}')],
    "in an error of the stream": [STREAM + event(f'{{"error": {{"message": "{ECHO}"}}}}') + END],
    "in an error event": [STREAM + chunk(f"event: error\ndata: {ECHO}\n\n".encode()) + END],
    "in half an event": [STREAM + text_event("Hel") + chunk(f'data: {{"error": "{ECHO}'.encode()) + END],
    "in a response that is cut off": [
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + ECHO.encode(),
        close,
    ],
    "in a redirect": [http(307, ECHO, {"location": f"/?key={KEY}"})],
    "in a redirect to nowhere": [http(307, "", {"location": f"http://a:{KEY}/"})],
    "in a status line": [http(403, "", reason=ECHO)],
    "in a response that is not HTTP": [f"{ECHO}\r\n\r\n".encode(), close],
}


@OPERATIONS
@pytest.mark.parametrize("response", ECHOES.values(), ids=ECHOES.keys())
async def test_no_error_repeats_a_key_that_the_service_echoes(
    clients: Clients, operation: str, response: Steps
) -> None:
    """A service or proxy that puts the key into its response does not put it into our errors."""
    with Loopback(response) as server, pytest.raises(MillisError) as caught:
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
def test_no_invalid_argument_shows_the_key_in_a_frame(
    kind: type[Millis] | type[AsyncMillis], wrong: dict[str, Any]
) -> None:
    """A crash reporter shows locals, including the repr of a client that was not constructed."""
    make: Any = kind
    with pytest.raises(ConfigurationError) as caught:
        make(**{"api_key": KEY, **wrong})
    assert places(caught.value, KEY) == []
    assert KEY not in with_locals(caught.value)
    assert "not constructed" in with_locals(caught.value)


async def test_a_reset_before_the_first_write_does_not_reveal_the_key(clients: Clients) -> None:
    """The error is a ReadError, raised while frames that write the headers contain the key."""
    with Loopback([reset], [reset]) as server:
        millis = clients.client(server.url, max_retries=0)
        for _ in range(5):
            with pytest.raises(APIConnectionError) as caught:
                await call(millis, "duplicate")
            assert places(caught.value, KEY) == []
            assert KEY not in with_locals(caught.value)


@OPERATIONS
@pytest.mark.parametrize("whose", ["own", "custom"])
async def test_the_key_is_not_sent_to_another_host(clients: Clients, operation: str, whose: str) -> None:
    """The client does not follow a redirect, even with a custom client that follows redirects."""
    custom = {"http_client": clients.httpx_client(follow_redirects=True)} if whose == "custom" else {}
    with Loopback([http(200)]) as other:
        for status in (301, 302, 303, 307, 308):
            with Loopback([http(status, "", {"location": f"{other.url}/there"})]) as server:
                with pytest.raises(MillisError, match=str(status)):
                    await call(clients.client(server.url, **custom), operation)
                assert len(server.requests) == 1
    assert other.connections == 0


@OPERATIONS
async def test_no_log_of_a_successful_call_contains_the_key(
    clients: Clients, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    """All loggers are at DEBUG. Only the authorization header contains the key."""
    caplog.set_level(logging.DEBUG)
    with Loopback({"chat": reply("Hello"), "duplicate": copied()}[operation]) as server:
        await call(clients.client(server.url), operation)
    assert ("millis_wrapper" if clients.kind == "aiohttp" else "httpcore") in caplog.text
    assert KEY not in caplog.text
    (request,) = server.requests
    assert [name for name, value in request.headers.items() if KEY in value] == ["authorization"]
    assert KEY not in request.path
    assert KEY.encode() not in request.body


async def test_a_custom_client_does_not_keep_the_key(clients: Clients) -> None:
    """After the call, its headers and the requests seen by its hooks do not contain the key."""
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
    """The repr of a client and of every object that it refers to masks the key."""
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
