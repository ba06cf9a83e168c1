"""The mock server on the network: starting, serving and stopping."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import anyio
import httpx
import pytest
from asgi import CHAT, PATIENCE, Exchange, chat_body, duplicate_path, post

from millis_wrapper import AsyncMillis, ConfigurationError, Millis
from millis_wrapper.mock import DEFAULT_AGENT_ID, MAGIC_IDS, MockMillis
from millis_wrapper.mock._server import is_failure, listen
from millis_wrapper.mock._streams import CutError

STALLING = "-mock-stall---------"
CUTTING = "-mock-cut-----------"
SLOW = "-mock-slow----------"


@pytest.mark.parametrize("name", ["millis.yaml", "millis.json"])
def test_the_mock_server_serves_the_contract(millis_mock: MockMillis, name: str) -> None:
    """The YAML and JSON forms of the contract are served unchanged."""
    contract = (files("millis_api") / "contract" / name).read_bytes()
    response = httpx.get(f"{millis_mock.url}/open{name.replace('millis', 'api')}", trust_env=False)
    assert response.content == contract
    assert name.partition(".")[2] in response.headers["content-type"]


PREFLIGHT = {
    "origin": "https://app.example",
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type",
}


@pytest.mark.parametrize("path", [CHAT, duplicate_path()])
def test_a_browser_may_call_the_mock_server_only_with_cors(path: str) -> None:
    """With `cors`, preflights and requests are allowed for every origin, method and header."""
    with MockMillis(cors=True) as mock, httpx.Client(trust_env=False) as client:
        allowed = client.options(mock.url + path, headers=PREFLIGHT)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "*"
        assert "POST" in allowed.headers["access-control-allow-methods"]
        assert {"authorization", "content-type"} <= {
            name.strip().lower() for name in allowed.headers["access-control-allow-headers"].split(",")
        }
        for agent, status in ((DEFAULT_AGENT_ID, 200), ("-mock-429-----------", 429)):
            headers = {"authorization": "k", "origin": "https://app.example"}
            called = client.post(
                mock.url + path.replace(DEFAULT_AGENT_ID, agent),
                json=chat_body(agent_id=agent),
                headers=headers,
            )
            assert (called.status_code, called.headers["access-control-allow-origin"]) == (status, "*")
            assert "retry-after" in called.headers["access-control-expose-headers"].lower()
    with MockMillis() as mock:
        refused = httpx.options(mock.url + path, headers=PREFLIGHT, trust_env=False)
        assert refused.status_code == 405
        assert "access-control-allow-origin" not in refused.headers


def test_the_mock_server_serves_its_documentation(millis_mock: MockMillis) -> None:
    """The page lists every failure scenario."""
    page = httpx.get(millis_mock.url, trust_env=False).text
    assert all(agent_id in page for agent_id in MAGIC_IDS)


def test_a_mock_server_can_be_restarted() -> None:
    """The server has a URL only while it is running, and releases its port afterwards."""
    mock = MockMillis()
    with pytest.raises(ConfigurationError, match="not running"):
        _ = mock.url
    with mock:
        port = httpx.URL(mock.url).port or 0
        with pytest.raises(ConfigurationError, match="already running"):
            mock.start()
        with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1 port {port}"):
            MockMillis().start(port=port)
    mock.stop()
    with mock.start(port=port) as again:
        assert again.url == f"http://127.0.0.1:{port}"
        assert httpx.get(f"{again.url}/openapi.json", trust_env=False).status_code == 200


@pytest.mark.parametrize("port", [-1, 65536, "8787", True])
def test_an_invalid_port_is_rejected(mock: MockMillis, port: Any) -> None:
    """The message names the port; the socket's own exception is not raised."""
    with pytest.raises(ConfigurationError, match=f"^port: .*{port}"):
        mock.start(port=port)


@pytest.mark.anyio
@pytest.mark.parametrize("path", [CHAT, duplicate_path(STALLING)])
async def test_a_stalled_response_ends_when_the_client_disconnects(mock: MockMillis, path: str) -> None:
    """A test that times out leaves no open response behind."""
    leave = anyio.Event()

    def watch(exchange: Exchange) -> None:
        if exchange.chunks:
            leave.set()

    response = await post(mock.app, path, chat_body("a b c", STALLING), leave=leave, watch=watch)
    assert response.chunks
    assert not response.complete
    assert not response.cut


@pytest.mark.parametrize("agent_id", [STALLING, SLOW])
def test_stopping_the_mock_server_ends_open_responses(
    agent_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A stalled or late response does not block the end of a test run or log a traceback."""
    waiting = threading.Event()

    async def sleep(seconds: float) -> None:
        waiting.set()
        await anyio.sleep_forever()

    def say(body: dict[str, Any]) -> Iterator[str]:
        yield "Hello"
        waiting.set()

    mock = MockMillis(sleep=sleep).start()
    mock.reply_with(say)

    def stop() -> None:
        assert waiting.wait(PATIENCE)
        mock.stop()

    stopping = threading.Thread(target=stop)
    stopping.start()
    try:
        response = httpx.post(
            mock.url + CHAT,
            json=chat_body(agent_id=agent_id),
            headers={"authorization": "k"},
            timeout=PATIENCE,
            trust_env=False,
        )
        assert response.status_code == 500  # the slow response had not started
    except httpx.RemoteProtocolError:
        assert agent_id == STALLING
    stopping.join(PATIENCE)
    assert not stopping.is_alive()
    assert caplog.text == ""


def test_a_cut_response_is_not_logged_as_an_error(
    millis_mock: MockMillis, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection closes without the end of the body, and the log stays empty."""
    body = chat_body("one two three", CUTTING)
    with (
        httpx.Client(trust_env=False, timeout=PATIENCE) as client,
        pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"),
    ):
        client.post(millis_mock.url + CHAT, json=body, headers={"authorization": "k"})
    assert caplog.text == ""


def test_a_client_that_leaves_a_long_reply_causes_no_log_line(
    millis_mock: MockMillis, millis: Millis, caplog: pytest.LogCaptureFixture
) -> None:
    """The mock server stops writing, instead of writing the rest of the reply to a closed connection."""
    millis_mock.reply_with("word " * 20_000, "Hello")  # more than the buffers of the sockets hold
    with millis.chat.stream("Hi", agent_id=DEFAULT_AGENT_ID) as stream:
        assert next(stream.text_stream) == "word"
    assert millis.chat.send("Hi", agent_id=DEFAULT_AGENT_ID).text == "Hello"
    assert caplog.text == ""


def test_requests_are_logged_in_one_line_without_the_key(
    millis_mock: MockMillis, caplog: pytest.LogCaptureFixture
) -> None:
    """The mock server's logger has one line per request. It is silent until the user adds a handler."""
    caplog.set_level(logging.DEBUG)
    for path in (CHAT, duplicate_path(), "/nowhere"):
        headers = {"authorization": "s3cret"}
        httpx.post(millis_mock.url + path, json=chat_body(), headers=headers, trust_env=False)
    lines = [record for record in caplog.records if not record.name.startswith("http")]
    assert [(record.name, record.levelname) for record in lines] == [("millis_wrapper.mock", "INFO")] * 3
    assert [record.getMessage() for record in lines] == [
        f"POST {CHAT} -> 200",
        f"POST {duplicate_path()} -> 200",
        "POST /nowhere -> 404",
    ]
    assert "s3cret" not in caplog.text


@pytest.mark.anyio
async def test_a_client_that_goes_away_while_it_sends_is_forgotten(mock: MockMillis) -> None:
    """A request that was not sent completely is not recorded and does not cause an error."""
    leave = anyio.Event()
    leave.set()
    await post(mock.app, CHAT, b'{"agent"', leave=leave, uploaded=False)
    assert mock.requests == []


def test_chunks_are_sent_without_delay() -> None:
    """The socket has TCP_NODELAY, so that the system does not collect small chunks."""
    with listen("127.0.0.1", 0) as listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_real_failure_of_the_mock_server_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only scenarios are filtered from the log, and the program's own loggers do not change."""
    access = logging.getLogger("uvicorn.access")
    monkeypatch.setattr(access, "propagate", True)  # another server in this process may have changed it

    def record(error: Exception | None) -> logging.LogRecord:
        exc_info = None if error is None else (type(error), error, None)
        return logging.LogRecord("millis_wrapper.mock", logging.ERROR, "", 1, "", (), exc_info)

    assert [is_failure(record(error)) for error in (CutError(), ValueError(), None)] == [False, True, True]
    with MockMillis():
        assert access.propagate


@pytest.mark.anyio
async def test_two_hundred_concurrent_clients_get_their_own_replies(millis_mock: MockMillis) -> None:
    """Concurrent requests do not fail, and no reply goes to another client."""
    clients = 200
    replies: dict[int, str] = {}

    async def ask(millis: AsyncMillis, number: int) -> None:
        replies[number] = (await millis.chat.send(f"I am {number}.", agent_id=DEFAULT_AGENT_ID)).text

    with anyio.fail_after(60):
        async with AsyncMillis("k", base_url=millis_mock.url) as millis, anyio.create_task_group() as group:
            for number in range(clients):
                group.start_soon(ask, millis, number)
    assert replies == {number: f"I am {number}." for number in range(clients)}
    assert len(millis_mock.requests) == clients
