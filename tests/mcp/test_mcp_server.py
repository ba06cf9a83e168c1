"""The MCP server around its tools: time limits, keys, conversations, stdout and stderr."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import paths
import pytest
from cli_runs import KEY, MILLIS, Terminal, environment
from loopback import STREAM, Loopback, Step, event, http, reply, text_event, until_disconnect
from mcp_runs import AGENT, at, in_process

from millis_wrapper import AsyncMillis
from millis_wrapper.mcp import _tools, create_server
from millis_wrapper.mock import MockMillis

pytestmark = pytest.mark.anyio
COPY = "-MadeByDuplicate0000"
STALLS: list[Step] = [STREAM + text_event("Good "), until_disconnect]


def test_the_default_time_limit_is_below_that_of_clients() -> None:
    """The Node SDK gives up after 60 s, without the server's error message."""
    default = inspect.signature(create_server).parameters["time_limit"].default
    assert default <= 55


async def test_a_reply_that_takes_too_long_is_an_error_with_its_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error holds the received text, and the connection to the service is closed."""
    scopes: list[anyio.CancelScope] = []

    @contextmanager
    def fail_after(seconds: float) -> Generator[None]:
        assert seconds == 20
        with anyio.fail_after(None) as scope:
            scopes.append(scope)
            yield

    async def time_is_up(progress: float, total: float | None, message: str | None) -> None:
        scopes[0].deadline = anyio.current_time()

    monkeypatch.setattr(_tools, "fail_after", fail_after)
    with Loopback(STALLS) as service:
        async with at(service.url, time_limit=20) as host:
            text = await host.error("chat", time_is_up, message="Hello", agent_id=AGENT)
        assert await anyio.to_thread.run_sync(service.disconnected.wait, 20)
    assert "20 s" in text
    assert "ask the user" in text
    assert text.endswith("\nIncomplete reply: Good ")


async def test_the_error_of_a_reply_without_text_does_not_announce_a_text() -> None:
    """It still says that the conversation does not contain the turn."""
    with Loopback([STREAM + event('{"error": "overloaded"}')]) as service:
        async with at(service.url, time_limit=20) as host:
            text = await host.error("chat", message="Hello", agent_id=AGENT)
    assert "overloaded" in text
    assert text.endswith("; the conversation does not contain this turn")


async def test_a_duplicate_that_takes_too_long_may_have_made_a_copy() -> None:
    """The error warns that a copy may exist."""
    with Loopback([until_disconnect]) as service:
        async with at(service.url, time_limit=0.2) as host:
            text = await host.error("duplicate_agent", agent_id=AGENT)
    assert "a copy may exist" in text
    assert "ask the user" in text


def deep(depth: int) -> str:
    return '{"llm": {"api_key": "k3y", "a": ' + '{"a":' * depth + '{"token": "t0ken"}' + "}" * depth + "}}"


@pytest.mark.parametrize(
    "config",
    [r'{"\ud83d": "\ud83d"}', deep(90), deep(400), deep(5000), "[" * 5000 + "]" * 5000, "1e999", "7"],
)
async def test_every_copy_is_returned_with_its_id(config: str) -> None:
    """The copy exists, so the result has its id, even if the config is malformed or nested 5,000 deep."""
    body = f'{{"id": "{COPY}", "name": "Copy \\ud83d", "config": {config}}}'
    with Loopback([http(200, body)]) as service:
        async with at(service.url) as host:
            result = await host.result("duplicate_agent", agent_id=AGENT)
    assert result["id"] == COPY
    assert result["name"] == "Copy \ufffd"
    assert "k3y" not in str(result)
    assert "t0ken" not in str(result)
    assert len(service.requests) == 1


async def test_without_a_key_the_free_tools_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two tools that need a key fail with an error that explains where to set it."""
    monkeypatch.delenv("MILLIS_API_KEY", raising=False)
    async with in_process(create_server()) as host:
        for text in (
            await host.error("chat", message="Hello", agent_id=AGENT),
            await host.error("duplicate_agent", agent_id=AGENT),
        ):
            assert "MILLIS_API_KEY" in text
            assert "`env`" in text
        assert (await host.result("check_config", config={"prompt": "p"}))["findings"] == []


async def test_a_retry_after_beyond_the_time_limit_raises_at_once(
    monkeypatch: pytest.MonkeyPatch, millis_mock: MockMillis
) -> None:
    """The error names the delay, so that the caller can wait."""
    monkeypatch.setenv("MILLIS_API_KEY", KEY)
    monkeypatch.setenv("MILLIS_BASE_URL", millis_mock.url)
    millis_mock.fail_next(429, retry_after=25)
    async with in_process(create_server()) as host:
        text = await host.error("chat", message="Hello", agent_id=AGENT)
    assert "429" in text
    assert "25 s" in text
    assert len(millis_mock.requests) == 1


async def test_the_server_closes_the_client_that_it_created(
    monkeypatch: pytest.MonkeyPatch, millis_mock: MockMillis
) -> None:
    """The server creates one client from the environment and closes it when it stops."""
    monkeypatch.setenv("MILLIS_API_KEY", KEY)
    monkeypatch.setenv("MILLIS_BASE_URL", millis_mock.url)
    made: list[AsyncMillis] = []

    class Recorded(AsyncMillis):
        def __init__(self, **arguments: Any) -> None:
            super().__init__(**arguments)
            made.append(self)

    monkeypatch.setattr(_tools, "AsyncMillis", Recorded)
    async with in_process(create_server()) as host:
        for _ in range(2):
            await host.result("chat", message="Hello", agent_id=AGENT)
    assert [client.closed for client in made] == [True]


async def test_only_the_latest_conversations_are_kept(
    monkeypatch: pytest.MonkeyPatch, millis_mock: MockMillis
) -> None:
    """The least recently used conversation is dropped; its id then raises an error with advice."""
    monkeypatch.setattr(_tools, "MOST_TALKS", 2)
    async with at(millis_mock.url) as host:

        async def turn(talk: str | None = None) -> str:
            new = {"agent_id": AGENT} if talk is None else {"conversation_id": talk}
            return str((await host.result("chat", message="Hello", **new))["conversation_id"])

        first, second = await turn(), await turn()
        await turn(first)
        await turn()
        text = await host.error("chat", message="Hello", conversation_id=second)
        assert "start a new one" in text
        await turn(first)


async def test_a_conversation_has_one_turn_at_a_time(millis_mock: MockMillis) -> None:
    """A second call fails while the first one runs; a canceled turn is not part of the history."""
    with Loopback(reply("Hello"), STALLS, reply("Fine")) as service:
        async with at(service.url) as host:
            talk = (await host.result("chat", message="Hi", agent_id=AGENT))["conversation_id"]
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: host.call("chat", message="slow", conversation_id=talk))
                await anyio.to_thread.run_sync(service.wait_for_requests, 2)
                text = await host.error("chat", message="too early", conversation_id=talk)
                assert text.endswith("wait for its result")
                group.cancel_scope.cancel()
            await host.result("chat", message="now", conversation_id=talk)
    assert [message["content"] for message in service.bodies[-1]["messages"]] == ["Hi", "Hello", "now"]


def test_only_the_protocol_is_written_to_stdout(millis_mock: MockMillis, tmp_path: Path) -> None:
    """Every line on stdout is a JSON-RPC message, also while calls fail and warnings are issued."""
    lines: list[dict[str, Any]] = [
        INITIALIZE,
        {"method": "notifications/initialized"},
        call(2, "chat", message="Hello", agent_id="-mock-500-----------"),
        call(3, "chat", message="Hello", agent_config={"flow": {"nope": 1}}),
        call(4, "check_config", config={"nope": 1}),
    ]
    results: dict[int, Any] = {}
    with (
        (tmp_path / "errors").open("w+") as errors,
        subprocess.Popen(
            [MILLIS, "mcp"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment(millis_mock.url, PYTHONWARNINGS="always"),
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        for line in lines:
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **line}) + "\n")
        process.stdin.flush()
        while len(results) < 4:
            message = json.loads(process.stdout.readline())
            assert message["jsonrpc"] == "2.0"
            results[message["id"]] = message["result"]
        process.stdin.close()
        assert process.stdout.read() == ""
    assert process.returncode == 0
    assert [bool(results[id_].get("isError")) for id_ in (2, 3, 4)] == [True, True, False]


INITIALIZE: dict[str, Any] = {
    "method": "initialize",
    "id": 1,
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


def call(id_: int, tool: str, **arguments: Any) -> dict[str, Any]:
    return {"method": "tools/call", "id": id_, "params": {"name": tool, "arguments": arguments}}


def test_on_a_terminal_it_explains_that_it_waits_and_stops_at_ctrl_c(millis_mock: MockMillis) -> None:
    """A server that is started by hand does not appear to hang."""
    terminal = Terminal(millis_mock.url, "mcp")
    terminal.sees("MCP client")
    terminal.sees("Ctrl-C")
    terminal.sends(json.dumps({"jsonrpc": "2.0", **INITIALIZE}))
    terminal.sees('"serverInfo"')  # The server now waits for the next line.
    terminal.ctrl("c")
    assert "Traceback" not in terminal.end()[1]


def test_the_package_uses_only_public_names() -> None:
    """The server imports only the public API."""
    package = paths.ROOT / "millis_wrapper" / "mcp"
    imported = {
        name
        for file in package.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and (name := node.module or "").startswith("millis_wrapper")
    }
    assert imported <= {"millis_wrapper", "millis_wrapper.config", "millis_wrapper.errors"}
