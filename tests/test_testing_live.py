"""The pytest plugin against the live service, which a second mock server replaces here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from plugin_runs import ALONE, user_project

from millis_wrapper.mock import MockMillis

pytest_plugins = ["pytester"]

SUITE = """
import pytest

def test_talks(millis, millis_agent_id):
    assert millis.chat.send("Hello", agent_id=millis_agent_id).text

@pytest.mark.anyio
async def test_talks_async(async_millis, millis_agent_id):
    assert (await async_millis.chat.send("Hello", agent_id=millis_agent_id)).text

def test_copies(millis, millis_agent_id):
    assert millis.agents.duplicate(millis_agent_id).id

@pytest.mark.anyio
async def test_copies_async(async_millis, millis_agent_id):
    assert (await async_millis.agents.duplicate(millis_agent_id)).id

def test_needs_the_mock(millis, millis_mock, millis_agent_id):
    millis_mock.reply_with("Scripted.")
    assert millis.chat.send("Hello", agent_id=millis_agent_id).text == "Scripted."
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """The test suite of a user that runs against the mock server and the live service."""
    user = user_project(pytester, monkeypatch)
    user.makepyfile(SUITE)
    user.makeconftest("import pytest\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n")
    return user


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockMillis]:
    """A second mock server in place of the live service."""
    with MockMillis(api_key="the-live-key") as service:
        monkeypatch.setenv("MILLIS_API_KEY", "the-live-key")
        monkeypatch.setenv("MILLIS_BASE_URL", service.url)
        monkeypatch.setenv("MILLIS_AGENT_ID", service.add_agent("-TheLiveAgent"))
        yield service


def test_a_suite_runs_against_the_mock_server(suite: pytest.Pytester, live: MockMillis) -> None:
    """Without --millis-live, the service receives no request, even if the environment variables are set."""
    suite.runpytest_subprocess(*ALONE).assert_outcomes(passed=5)
    assert live.requests == []


def test_a_suite_runs_against_the_live_service_without_copies(
    suite: pytest.Pytester, live: MockMillis
) -> None:
    """The agent is that of MILLIS_AGENT_ID; tests that need the mock server or create copies are skipped."""
    result = suite.runpytest_subprocess(*ALONE, "--millis-live", "-rs")
    result.assert_outcomes(passed=2, skipped=3)
    result.stdout.fnmatch_lines(["*needs the mock server*"])
    result.stdout.fnmatch_lines(["*--millis-live-copies*"])
    assert [(request.operation, request.agent_id) for request in live.requests] == [
        ("chat", "-TheLiveAgent")
    ] * 2


def test_live_copies_require_an_option(suite: pytest.Pytester, live: MockMillis) -> None:
    """With --millis-live-copies, `duplicate` creates real copies."""
    result = suite.runpytest_subprocess(*ALONE, "--millis-live", "--millis-live-copies")
    result.assert_outcomes(passed=4, skipped=1)
    assert [request.operation for request in live.requests].count("duplicate") == 2


def test_a_live_run_without_an_agent_names_the_variable(
    suite: pytest.Pytester, live: MockMillis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names MILLIS_AGENT_ID, and no request is sent."""
    monkeypatch.delenv("MILLIS_AGENT_ID")
    result = suite.runpytest_subprocess(*ALONE, "--millis-live")
    result.stdout.fnmatch_lines(["*set MILLIS_AGENT_ID*"])
    assert live.requests == []


def test_a_live_run_without_a_key_is_an_error_of_one_line(
    suite: pytest.Pytester, live: MockMillis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names MILLIS_API_KEY without a traceback, and no request is sent."""
    monkeypatch.delenv("MILLIS_API_KEY")
    result = suite.runpytest_subprocess(*ALONE, "--millis-live")
    result.assert_outcomes(errors=5)
    result.stdout.fnmatch_lines(["*--millis-live: *MILLIS_API_KEY*"])
    for text in ("Traceback", "*testing.py:*", "*_arguments*", "*api_key=*"):
        result.stdout.no_fnmatch_line(f"*{text}*")
    assert live.requests == []
