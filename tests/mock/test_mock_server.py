"""The mock on the network: it serves, it stops, and nothing keeps it from either."""

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

from millis_wrapper import AsyncMillis, ConfigurationError
from millis_wrapper.mock import DEFAULT_AGENT_ID, MAGIC_IDS, MockMillis
from millis_wrapper.mock._server import is_failure, listen
from millis_wrapper.mock._streams import CutError

STALLING = "-mock-stall---------"
CUTTING = "-mock-cut-----------"
SLOW = "-mock-slow----------"


@pytest.mark.parametrize("name", ["millis.yaml", "millis.json"])
def test_the_mock_serves_the_contract(millis_mock: MockMillis, name: str) -> None:
    """Both forms of the contract come byte for byte as they are installed."""
    contract = (files("millis_api") / "contract" / name).read_bytes()
    answer = httpx.get(f"{millis_mock.url}/open{name.replace('millis', 'api')}", trust_env=False)
    assert answer.content == contract
    assert name.partition(".")[2] in answer.headers["content-type"]


PREFLIGHT = {
    "origin": "https://app.example",
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type",
}


@pytest.mark.parametrize("path", [CHAT, duplicate_path()])
def test_a_browser_may_call_the_mock_only_if_cors_is_on(path: str) -> None:
    """The preflight and the request itself are allowed for every origin, method and header."""
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


def test_the_mock_serves_its_page_of_magic_ids(millis_mock: MockMillis) -> None:
    """Whoever runs the mock can look its ids up without the sources."""
    page = httpx.get(millis_mock.url, trust_env=False).text
    assert all(agent_id in page for agent_id in MAGIC_IDS)


def test_a_mock_starts_and_stops_more_than_once() -> None:
    """It has an address only while it runs, and frees it afterwards."""
    mock = MockMillis()
    with pytest.raises(ConfigurationError, match="does not run"):
        _ = mock.url
    with mock:
        port = httpx.URL(mock.url).port or 0
        with pytest.raises(ConfigurationError, match="runs already"):
            mock.start()
        with pytest.raises(ConfigurationError, match=f"no server at 127.0.0.1, port {port}"):
            MockMillis().start(port=port)
    mock.stop()
    with mock.start(port=port) as again:
        assert again.url == f"http://127.0.0.1:{port}"
        assert httpx.get(f"{again.url}/openapi.json", trust_env=False).status_code == 200


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_refused(mock: MockMillis, port: int) -> None:
    """A wrong number is told as such, and not as a traceback of the socket."""
    with pytest.raises(ConfigurationError, match=f"port {port}"):
        mock.start(port=port)


@pytest.mark.anyio
@pytest.mark.parametrize("path", [CHAT, duplicate_path(STALLING)])
async def test_a_stalled_answer_ends_when_its_reader_goes_away(mock: MockMillis, path: str) -> None:
    """A test that gives up on a stalled answer leaves nothing behind."""
    leave = anyio.Event()

    def watch(exchange: Exchange) -> None:
        if exchange.pieces:
            leave.set()

    answer = await post(mock.app, path, chat_body("a b c", STALLING), leave=leave, watch=watch)
    assert answer.pieces
    assert not answer.complete
    assert not answer.cut


@pytest.mark.parametrize("agent_id", [STALLING, SLOW])
def test_stopping_the_mock_ends_what_is_under_way(agent_id: str, caplog: pytest.LogCaptureFixture) -> None:
    """A stalled or late answer keeps no test run from ending, and no traceback tells of it."""
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
        answer = httpx.post(
            mock.url + CHAT,
            json=chat_body(agent_id=agent_id),
            headers={"authorization": "k"},
            timeout=PATIENCE,
            trust_env=False,
        )
        assert answer.status_code == 500  # the slow one had not begun
    except httpx.RemoteProtocolError:
        assert agent_id == STALLING
    stopping.join(PATIENCE)
    assert not stopping.is_alive()
    assert caplog.text == ""


def test_a_cut_answer_is_cut_on_the_wire_and_not_in_the_log(
    millis_mock: MockMillis, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection closes without the mark that ends a body, and the log stays empty."""
    body = chat_body("one two three", CUTTING)
    with (
        httpx.Client(trust_env=False, timeout=PATIENCE) as client,
        pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"),
    ):
        client.post(millis_mock.url + CHAT, json=body, headers={"authorization": "k"})
    assert caplog.text == ""


def test_requests_are_logged_in_one_line_without_the_key(
    millis_mock: MockMillis, caplog: pytest.LogCaptureFixture
) -> None:
    """One line each, on the mock's own logger, and nothing of it is shown unless somebody asks for it."""
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
    """Half a request is no request, and no failure of the mock."""
    leave = anyio.Event()
    leave.set()
    await post(mock.app, CHAT, b'{"agent"', leave=leave, uploaded=False)
    assert mock.requests == []


def test_what_is_sent_does_not_wait_for_more() -> None:
    """The pieces of a paced reply leave one by one: the system is told not to gather them."""
    with listen("127.0.0.1", 0) as listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_real_failure_of_the_mock_stays_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only cuts are kept out of the log, and the program's own loggers are left as they are."""
    access = logging.getLogger("uvicorn.access")
    monkeypatch.setattr(access, "propagate", True)  # whatever another server in this process has set

    def record(error: Exception | None) -> logging.LogRecord:
        exc_info = None if error is None else (type(error), error, None)
        return logging.LogRecord("millis_wrapper.mock", logging.ERROR, "", 1, "", (), exc_info)

    assert [is_failure(record(error)) for error in (CutError(), ValueError(), None)] == [False, True, True]
    with MockMillis():
        assert access.propagate


@pytest.mark.anyio
async def test_two_hundred_clients_at_once_are_all_answered(millis_mock: MockMillis) -> None:
    """The mock stays up under load, and mixes nobody's reply up with another's."""
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
