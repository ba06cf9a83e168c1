"""The recipes work as described in their docstrings; test_recipe_relay.py tests the relay."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from paths import RECIPES
from recipes import thirty_copies

from millis_wrapper import AsyncMillis
from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("relay.py", 120),
        ("relay.html", 40),
        ("ci_suite.py", 90),
        ("thirty_copies.py", 120),
        ("side_by_side.py", 90),
    ],
)
def test_a_recipe_is_short(name: str, most: int) -> None:
    """A recipe can be read in two minutes."""
    assert len((RECIPES / name).read_text("utf-8").splitlines()) <= most


def journal(path: Path) -> thirty_copies.Journal:
    return thirty_copies.Journal(path)


def copies(path: Path, count: int = 30) -> list[str]:
    """Run the script for `count` customers and return the customers without a copy."""
    customers = {f"customer {number}": {"city": f"city {number}"} for number in range(count)}
    return asyncio.run(thirty_copies.main(DEFAULT_AGENT_ID, customers, journal(path)))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, millis_mock: MockMillis) -> MockMillis:
    monkeypatch.setenv("MILLIS_API_KEY", "a-key")
    monkeypatch.setenv("MILLIS_BASE_URL", millis_mock.url)
    return millis_mock


def test_each_customer_gets_one_copy(service: MockMillis, tmp_path: Path) -> None:
    """Thirty customers cause thirty requests, and a second run sends nothing."""
    path = tmp_path / "copies.jsonl"
    assert copies(path) == []
    assert copies(path) == []
    assert len(service.requests) == 30
    entries = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    made = {entry["customer"]: entry for entry in entries if entry["state"] == "made"}
    assert len(made) == len({entry["id"] for entry in made.values()}) == 30
    assert made["customer 7"]["metadata"] == {"city": "city 7"}


def test_a_customer_whose_copy_may_exist_is_not_retried(service: MockMillis, tmp_path: Path) -> None:
    """The service may have made the copy before it returned 500, so a person has to check."""
    path = tmp_path / "copies.jsonl"
    service.fail_next(500)
    missing = copies(path, 3)
    assert len(missing) == 1
    assert copies(path, 3) == missing
    assert len(service.requests) == 3


def test_a_customer_without_a_copy_is_retried(service: MockMillis, tmp_path: Path) -> None:
    """After a 404, a retry cannot make a second copy."""
    path = tmp_path / "copies.jsonl"
    service.fail_next(404, times=3)
    assert len(copies(path, 3)) == 3
    assert copies(path, 3) == []
    assert len(service.requests) == 6


@pytest.mark.parametrize("written", ["", '{"customer": "customer 0", "st', '{"customer": "customer 0"'])
def test_a_killed_run_can_be_continued(service: MockMillis, tmp_path: Path, written: str) -> None:
    """An incomplete line in the journal does not cause a second request for the same customer."""
    path = tmp_path / "copies.jsonl"
    path.write_text('{"customer": "customer 1", "state": "sent"}\n' + written, "utf-8")
    assert copies(path, 3) == ["customer 1"]
    assert copies(path, 3) == ["customer 1"]
    assert len(service.requests) == 2


def test_the_number_of_concurrent_requests_is_limited(
    monkeypatch: pytest.MonkeyPatch, service: MockMillis, tmp_path: Path
) -> None:
    """At most `AT_ONCE` requests run at the same time."""
    active: set[str] = set()
    most = 0
    copy_for = thirty_copies.copy_for

    async def counted(
        millis: AsyncMillis,
        agent_id: str,
        customer: str,
        metadata: dict[str, str],
        journal: thirty_copies.Journal,
    ) -> str:
        nonlocal most
        active.add(customer)
        most = max(most, len(active))
        outcome = await copy_for(millis, agent_id, customer, metadata, journal)
        active.discard(customer)
        return outcome

    monkeypatch.setattr(thirty_copies, "copy_for", counted)
    assert copies(tmp_path / "copies.jsonl") == []
    assert most == thirty_copies.AT_ONCE


def run(script: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RECIPES / script), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_script_reads_a_csv_file_and_shows_its_progress(service: MockMillis, tmp_path: Path) -> None:
    """The script exits with status 1 while a customer lacks a copy."""
    table = '\ufeffcustomer,city\n"Lovelace, Ada",London\n"Grace ""Amazing"" Hopper","New\nYork"\n'
    (tmp_path / "customers.csv").write_text(table, "utf-8")
    service.fail_next(404)
    arguments = (DEFAULT_AGENT_ID, "customers.csv", "copies.jsonl")
    first, second = (run("thirty_copies.py", *arguments, folder=tmp_path) for _ in range(2))
    assert (first.returncode, first.stdout) == (1, "1 of 2 customers have a copy.\n")
    assert (second.returncode, second.stdout) == (0, "2 of 2 customers have a copy.\n")
    progress = [line for line in (first.stderr + second.stderr).splitlines() if line.startswith("[")]
    assert [line[:5] for line in progress] == ["[1/2]", "[2/2]", "[1/1]"]
    made = [json.loads(line) for line in (tmp_path / "copies.jsonl").read_text("utf-8").splitlines()]
    assert {entry["customer"]: entry["metadata"] for entry in made if entry["state"] == "made"} == {
        "Lovelace, Ada": {"city": "London"},
        'Grace "Amazing" Hopper': {"city": "New\nYork"},
    }


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("Ada\nGrace\n", "first line"),
        ("", "first line"),
        ("customer;city\nAda;London\n", "first line"),
        ("customer,city\nAda\n", "line 2: must have 2 fields"),
        ("customer,city\nAda,London,Paris\n", "line 2: must have 2 fields"),
        ("customer\nAda\nAda\n", "line 3"),
        ('customer,city\n"",London\n', "line 2"),
        ('customer\n"Ada', "end of data"),
    ],
)
def test_a_table_with_a_mistake_makes_no_copy(
    service: MockMillis, tmp_path: Path, table: str, message: str
) -> None:
    """The script rejects a missing header, an extra field or a repeated name before it sends a request."""
    (tmp_path / "customers.csv").write_text(table, "utf-8")
    done = run("thirty_copies.py", DEFAULT_AGENT_ID, "customers.csv", "copies.jsonl", folder=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert service.requests == []


def test_two_agents_are_printed_side_by_side(service: MockMillis, tmp_path: Path) -> None:
    """Each question is sent to both agents, and the differences are bold."""

    def agent(body: dict[str, Any]) -> str:
        config = body["agent"].get("agent_config") or {"prompt": "until ten"}
        return f"We are open {config['prompt']} tonight. {body['messages'][-1]['content']}"

    service.reply_with(agent)
    (tmp_path / "new.json").write_text('{"prompt": "until eleven"}', "utf-8")
    (tmp_path / "questions.txt").write_text("Open?\n\nA|B?\n", "utf-8")
    done = run("side_by_side.py", "questions.txt", DEFAULT_AGENT_ID, "new.json", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    head, line, first, second, times = done.stdout.splitlines()
    assert head == f"| question | {DEFAULT_AGENT_ID} | new.json |"
    assert line == "| --- | --- | --- |"
    assert first == (
        "| Open? | We are open until **ten** tonight. Open? | We are open until **eleven** tonight. Open? |"
    )
    assert second.startswith(r"| A\|B? | We are open until **ten** tonight. A\|B? |")
    assert times.startswith("| *median time to the first text* |")


def test_a_failed_side_is_marked(service: MockMillis, tmp_path: Path) -> None:
    """An incomplete or missing reply does not look like a short reply."""
    (tmp_path / "questions.txt").write_text("Hello\n", "utf-8")
    sides = ("-mock-cut-----------", "-mock-500-----------")
    done = run("side_by_side.py", "questions.txt", *sides, folder=tmp_path)
    row = done.stdout.splitlines()[2]
    assert "(incomplete)" in row
    assert "(failed: [500" in row


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # the other plugins take a second to load
    shutil.copy(RECIPES / "ci_suite.py", pytester.path / "test_agent.py")
    return pytester


def test_the_suite_passes_on_the_mock(suite: pytest.Pytester) -> None:
    """The suite needs no account."""
    suite.runpytest_subprocess("-p", "millis_wrapper.testing").assert_outcomes(passed=6)


def test_the_suite_can_test_the_live_agent(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --millis-live, the tests use MILLIS_AGENT_ID; a second mock server is the live service here."""

    def agent(body: dict[str, Any]) -> str:
        asked = body["messages"][-1]["content"]
        return "This is Chez Ada." if "restaurant" in asked else "Hello, Ada."

    with MockMillis() as live:
        live.reply_with(agent)
        monkeypatch.setenv("MILLIS_API_KEY", "a-key")
        monkeypatch.setenv("MILLIS_BASE_URL", live.url)
        monkeypatch.setenv("MILLIS_AGENT_ID", DEFAULT_AGENT_ID)
        suite.runpytest_subprocess("-p", "millis_wrapper.testing", "--millis-live").assert_outcomes(
            passed=5, skipped=1
        )
        assert len(live.requests) == 4
