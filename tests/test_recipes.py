"""The three programs that the guide shows do what they say."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import loopback
import pytest
import uvicorn
from paths import ROOT
from recipes import relay, thirty_copies

from millis_wrapper import AsyncMillis
from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis
from millis_wrapper.mock._server import listen

RECIPES = ROOT / "tests" / "recipes"


@pytest.mark.parametrize("name", ["relay", "ci_suite", "thirty_copies"])
def test_a_recipe_is_short(name: str) -> None:
    """Each is read in a minute."""
    assert len((RECIPES / f"{name}.py").read_text("utf-8").splitlines()) < 80


@contextmanager
def relayed(monkeypatch: pytest.MonkeyPatch, service: str) -> Generator[str]:
    """Run the relay in front of `service`, and yield its address."""
    monkeypatch.setenv("MILLIS_API_KEY", "a-key")
    monkeypatch.setenv("MILLIS_BASE_URL", service)
    monkeypatch.setenv("MILLIS_AGENT_ID", DEFAULT_AGENT_ID)
    server = uvicorn.Server(uvicorn.Config(relay.app, log_config=None, loop="asyncio"))
    listener = listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, args=[[listener]])
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def test_the_relay_hands_a_reply_on(monkeypatch: pytest.MonkeyPatch, millis_mock: MockMillis) -> None:
    """A browser gets each piece of text, and then that the reply is whole."""
    millis_mock.reply_with(["Good ", "evening"])
    with relayed(monkeypatch, millis_mock.url) as url:
        answer = httpx.post(f"{url}/chat", json={"text": "Hello"}, trust_env=False)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text == (
        'event: text\ndata: "Good "\n\nevent: text\ndata: "evening"\n\nevent: done\ndata: ""\n\n'
    )


def test_the_relay_says_that_a_reply_is_not_whole(
    monkeypatch: pytest.MonkeyPatch, millis_mock: MockMillis
) -> None:
    """A browser is never left with half a reply that looks whole."""
    millis_mock.reply_with("Good evening, Ada, how are you?")
    millis_mock.fail_next("cut")
    with relayed(monkeypatch, millis_mock.url) as url:
        answer = httpx.post(f"{url}/chat", json={"text": "Hello"}, trust_env=False)
    assert answer.text.endswith('event: failed\ndata: "The reply broke off."\n\n')


@pytest.mark.parametrize(("refused_with", "status_code", "wait"), [(500, 502, None), (429, 503, "31")])
def test_the_relay_answers_an_agent_that_does_not_begin_with_an_error_status(
    monkeypatch: pytest.MonkeyPatch, refused_with: int, status_code: int, wait: str | None
) -> None:
    """The stream is opened before the relay's own status goes out."""
    refusal = loopback.http(refused_with, "", {"retry-after": "31"} if wait else None)
    with loopback.Loopback([refusal]) as service, relayed(monkeypatch, service.url) as url:
        answer = httpx.post(f"{url}/chat", json={"text": "Hello"}, trust_env=False)
    assert (answer.status_code, answer.headers.get("retry-after")) == (status_code, wait)


def test_the_relay_stops_when_the_browser_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply that nobody reads is not paid for: the agent's stream is closed."""
    answer: list[loopback.Step] = [loopback.STREAM + loopback.said("Good"), loopback.until_left]
    with loopback.Loopback(answer) as service, relayed(monkeypatch, service.url) as url:
        with (
            httpx.Client(trust_env=False) as browser,
            browser.stream("POST", f"{url}/chat", json={"text": "Hello"}) as stream,
        ):
            next(stream.iter_bytes())
        assert service.left.wait(loopback.PATIENCE)


def journal(path: Path) -> thirty_copies.Journal:
    return thirty_copies.Journal(path)


def copies(path: Path, count: int = 30) -> list[str]:
    """Run the script for `count` customers; return those without a copy."""
    customers = [f"customer {number}" for number in range(count)]
    return asyncio.run(thirty_copies.main(DEFAULT_AGENT_ID, customers, journal(path)))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, millis_mock: MockMillis) -> MockMillis:
    monkeypatch.setenv("MILLIS_API_KEY", "a-key")
    monkeypatch.setenv("MILLIS_BASE_URL", millis_mock.url)
    return millis_mock


def test_each_customer_gets_one_copy(service: MockMillis, tmp_path: Path) -> None:
    """Thirty customers, thirty requests, and a second run sends nothing."""
    path = tmp_path / "copies.jsonl"
    assert copies(path) == []
    assert copies(path) == []
    assert len(service.requests) == 30
    entries = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    made = {entry["customer"]: entry["id"] for entry in entries if entry["state"] == "made"}
    assert len(made) == len(set(made.values())) == 30


def test_a_customer_whose_copy_may_exist_is_not_tried_again(service: MockMillis, tmp_path: Path) -> None:
    """A 500 may come after the copy was made, so a person has to look."""
    path = tmp_path / "copies.jsonl"
    service.fail_next(500)
    missing = copies(path, 3)
    assert len(missing) == 1
    assert copies(path, 3) == missing
    assert len(service.requests) == 3


def test_a_customer_who_surely_has_no_copy_is_tried_again(service: MockMillis, tmp_path: Path) -> None:
    """The service refused it, so trying again makes no second copy."""
    path = tmp_path / "copies.jsonl"
    service.fail_next(404, times=3)
    assert len(copies(path, 3)) == 3
    assert copies(path, 3) == []
    assert len(service.requests) == 6


@pytest.mark.parametrize("written", ["", '{"customer": "customer 0", "st', '{"customer": "customer 0"'])
def test_a_run_that_was_killed_goes_on(service: MockMillis, tmp_path: Path, written: str) -> None:
    """Half a line in the journal belongs to a request that was not sent, or to an outcome that is open."""
    path = tmp_path / "copies.jsonl"
    path.write_text('{"customer": "customer 1", "state": "sent"}\n' + written, "utf-8")
    assert copies(path, 3) == ["customer 1"]
    assert copies(path, 3) == ["customer 1"]
    assert len(service.requests) == 2


def test_only_a_few_requests_are_under_way_at_once(
    monkeypatch: pytest.MonkeyPatch, service: MockMillis, tmp_path: Path
) -> None:
    """The service is not flooded."""
    under_way: set[str] = set()
    most = 0
    copy_for = thirty_copies.copy_for

    async def counted(
        millis: AsyncMillis, agent_id: str, customer: str, journal: thirty_copies.Journal
    ) -> None:
        nonlocal most
        under_way.add(customer)
        most = max(most, len(under_way))
        await copy_for(millis, agent_id, customer, journal)
        under_way.discard(customer)

    monkeypatch.setattr(thirty_copies, "copy_for", counted)
    assert copies(tmp_path / "copies.jsonl") == []
    assert most == thirty_copies.AT_ONCE


def test_the_script_runs_as_a_program(service: MockMillis, tmp_path: Path) -> None:
    """It takes the names and the journal from the command line, and fails while a customer has no copy."""
    (tmp_path / "customers.txt").write_text("Ada\n\nGrace\n", "utf-8")
    service.fail_next(404)
    command = [
        sys.executable,
        str(RECIPES / "thirty_copies.py"),
        DEFAULT_AGENT_ID,
        "customers.txt",
        "c.jsonl",
    ]
    first, second = (
        subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False) for _ in range(2)
    )
    assert (first.returncode, first.stdout) == (1, "1 of 2 customers have a copy.\n")
    assert (second.returncode, second.stdout, second.stderr) == (0, "2 of 2 customers have a copy.\n", "")


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    shutil.copy(RECIPES / "ci_suite.py", pytester.path / "test_agent.py")
    return pytester


def test_the_suite_passes_on_the_mock(suite: pytest.Pytester) -> None:
    """The suite runs without an account."""
    suite.runpytest_subprocess("-q").assert_outcomes(passed=5)


def test_the_suite_asks_the_live_agent(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one option the same tests are about the agent; here a mock on another port is the service."""

    def agent(body: dict[str, Any]) -> str:
        asked = body["messages"][-1]["content"]
        return "This is Chez Ada." if "restaurant" in asked else "Hello, Ada."

    with MockMillis() as live:
        live.reply_with(agent)
        monkeypatch.setenv("MILLIS_API_KEY", "a-key")
        monkeypatch.setenv("MILLIS_BASE_URL", live.url)
        monkeypatch.setenv("MILLIS_AGENT_ID", DEFAULT_AGENT_ID)
        suite.runpytest_subprocess("-q", "--millis-live").assert_outcomes(passed=4, skipped=1)
        assert len(live.requests) == 4
