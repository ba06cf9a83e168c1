"""The pytest plugin, as its users meet it: in a test run of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.resources import files

import pytest

from millis_wrapper.mock import MockMillis

pytest_plugins = ["pytester"]

# What a fresh environment has, whatever else is installed in this one.
ALONE = (
    *("-p", "millis_wrapper.testing", "-p", "anyio", "-W", "error"),
    # With python -O pytest says that assertions outside of tests do nothing.
    *("-W", "ignore:assertions not in test modules:pytest.PytestConfigWarning"),
)


@pytest.fixture
def user(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A user's directory, with nothing of this project's settings."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("MILLIS_API_KEY", raising=False)
    monkeypatch.setenv("MILLIS_BASE_URL", "http://127.0.0.1:9")  # the fixtures do not look at it
    return pytester


def test_the_test_on_the_page_passes(user: pytest.Pytester) -> None:
    """The ten lines that the page shows are a test that passes as they stand."""
    page = (files("millis_wrapper.mock") / "README.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert example.count("\n") <= 10
    user.makepyfile(example)
    user.runpytest_subprocess(*ALONE).assert_outcomes(passed=1)


def test_both_clients_work_in_any_kind_of_test(user: pytest.Pytester) -> None:
    """The async client needs no plugin and no closing, and may be used in more than one event loop."""
    user.makepyfile(
        """
        import asyncio
        import gc

        import pytest

        AGENT = "-mock-agent---------"

        def test_sync(millis):
            assert millis.chat.send("Hello", agent_id=AGENT).text == "Hello"

        @pytest.mark.anyio
        async def test_async(async_millis):
            assert (await async_millis.chat.send("Hello", agent_id=AGENT)).text == "Hello"

        def test_two_loops_without_a_plugin(async_millis):
            for _ in range(2):
                reply = asyncio.run(async_millis.chat.send("Hello", agent_id=AGENT))
                assert reply.text == "Hello"
            gc.collect()

        @pytest.mark.anyio
        async def test_many_at_once(async_millis, millis_mock):
            await asyncio.gather(*(async_millis.agents.duplicate(AGENT) for _ in range(20)))
            assert len(millis_mock.requests) == 20
            await async_millis.aclose()
        """
    )
    user.makeconftest("import pytest\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n")
    user.runpytest_subprocess(*ALONE).assert_outcomes(passed=4)


def test_nothing_reaches_the_next_test(user: pytest.Pytester) -> None:
    """Replies, failures, agents and requests are those of one test only."""
    user.makepyfile(
        """
        import pytest
        from millis_wrapper import NotFoundError

        def test_one(millis, millis_mock):
            millis_mock.reply_with("changed")
            millis_mock.add_agent("-added")
            assert millis.chat.send("Hello", agent_id="-added").text == "changed"
            millis_mock.fail_next(500, times=9)

        def test_two(millis, millis_mock):
            assert millis_mock.requests == []
            with pytest.raises(NotFoundError):
                millis.chat.send("Hello", agent_id="-added")
            assert millis.chat.send("Hello", agent_id="-mock-agent---------").text == "Hello"
        """
    )
    user.runpytest_subprocess(*ALONE).assert_outcomes(passed=2)


def test_what_is_sent_again_is_sent_again_at_once(user: pytest.Pytester) -> None:
    """A refusal that asks for no wait costs a test no time: the clients wait for milliseconds."""
    user.makepyfile(
        """
        def test_waits(millis, async_millis, monkeypatch):
            for client in (millis, async_millis):
                policy = client._transport.policy
                assert policy.max_retries == 2
                assert policy.initial_delay * 2 ** policy.max_retries < 0.01

        def test_again(millis, millis_mock):
            reply = millis.chat.send("Hello", agent_id="-mock-429-2-then-ok-")
            assert reply.text == "Hello"
            assert len(millis_mock.requests) == 3
        """
    )
    user.runpytest_subprocess(*ALONE).assert_outcomes(passed=2)


def test_one_reply_is_shared_by_the_tests_of_a_module(user: pytest.Pytester) -> None:
    """A fixture of a wider scope can chat and duplicate once, and every test uses the result."""
    user.makepyfile(
        """
        import pytest

        @pytest.fixture(scope="module")
        def reply(millis, millis_agent_id):
            return millis.chat.send("Hello", agent_id=millis_agent_id)

        @pytest.fixture(scope="session")
        def copy(async_millis, millis_agent_id):
            import asyncio

            return asyncio.run(async_millis.agents.duplicate(millis_agent_id))

        @pytest.mark.parametrize("number", range(3))
        def test_text(number, reply, copy, millis, millis_mock):
            assert reply.text == "Hello"
            assert millis_mock.requests == []
            assert millis.chat.send("To the copy", agent_id=copy.id).text == "To the copy"
            assert len(millis_mock.requests) == 1
        """
    )
    user.runpytest_subprocess(*ALONE).assert_outcomes(passed=3)


def test_what_a_module_shares_is_asked_of_a_reset_server(user: pytest.Pytester) -> None:
    """A fixture of module scope does not get the replies that an earlier test set."""
    user.makepyfile(
        """
        import pytest

        @pytest.fixture(scope="module")
        def shared(millis, millis_agent_id):
            return millis.chat.send("Hello", agent_id=millis_agent_id)

        def test_leaves_a_mess(millis, millis_mock):
            millis_mock.reply_with("changed")

        def test_shares(shared):
            assert shared.text == "Hello"
        """
    )
    user.runpytest_subprocess(*ALONE).assert_outcomes(passed=2)


def test_a_test_without_millis_mock_starts_from_a_reset_server(user: pytest.Pytester) -> None:
    """Replies, failures and counted refusals of one test never reach a test that asks for `millis` alone."""
    user.makepyfile(
        """
        import pytest

        def test_leaves_a_mess(millis, millis_mock):
            millis_mock.reply_with("changed")
            millis_mock.fail_next(500, times=9)

        @pytest.mark.parametrize("number", range(2))
        def test_echo(number, millis, millis_agent_id):
            assert millis.chat.send("Hello", agent_id=millis_agent_id).text == "Hello"

        @pytest.mark.parametrize("number", range(2))
        def test_counts(number, millis):
            assert millis.chat.send("Hello", agent_id="-mock-429-2-then-ok-").text == "Hello"

        def test_a_request_before_millis_mock_counts(greeting, millis_mock):
            assert len(millis_mock.requests) == 1

        @pytest.fixture
        def greeting(millis, millis_agent_id):
            return millis.chat.send("Hello", agent_id=millis_agent_id)
        """
    )
    user.runpytest_subprocess(*ALONE).assert_outcomes(passed=6)


def test_a_shared_client_is_the_same_in_every_test(user: pytest.Pytester) -> None:
    """Closing it has no effect, and it forgets which end marks it has seen."""
    user.makepyfile(
        """
        import pytest

        AGENT = "-mock-agent---------"

        @pytest.mark.parametrize("number", range(2))
        def test_closes(number, millis):
            assert millis.chat.send("Hello", agent_id="-mock-no-done-------").ended == "eof"
            with millis:
                assert millis.chat.send("Hello", agent_id=AGENT).ended == "done"
            millis.close()
            assert not millis.closed

        @pytest.mark.anyio
        @pytest.mark.parametrize("number", range(2))
        async def test_closes_async(number, async_millis):
            reply = await async_millis.chat.send("Hello", agent_id="-mock-no-done-------")
            assert reply.ended == "eof"
            async with async_millis:
                assert (await async_millis.chat.send("Hello", agent_id=AGENT)).ended == "done"
            await async_millis.aclose()
            assert not async_millis.closed
        """
    )
    user.makeconftest("import pytest\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n")
    user.runpytest_subprocess(*ALONE).assert_outcomes(passed=4)


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
def suite(user: pytest.Pytester) -> pytest.Pytester:
    """A suite of a user that runs on the mock and on the live service."""
    user.makepyfile(SUITE)
    user.makeconftest("import pytest\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n")
    return user


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockMillis]:
    """A mock on another port that stands in for the service."""
    with MockMillis(api_key="the-live-key") as service:
        monkeypatch.setenv("MILLIS_API_KEY", "the-live-key")
        monkeypatch.setenv("MILLIS_BASE_URL", service.url)
        monkeypatch.setenv("MILLIS_AGENT_ID", service.add_agent("-TheLiveAgent"))
        yield service


def test_a_suite_runs_on_the_mock(suite: pytest.Pytester, live: MockMillis) -> None:
    """Without an option nothing reaches the service, whatever the environment says."""
    suite.runpytest_subprocess(*ALONE).assert_outcomes(passed=5)
    assert live.requests == []


def test_the_same_suite_runs_on_the_live_agent_and_copies_nothing(
    suite: pytest.Pytester, live: MockMillis
) -> None:
    """The agent is the one in MILLIS_AGENT_ID; what needs the mock, or makes copies, is skipped."""
    result = suite.runpytest_subprocess(*ALONE, "--millis-live", "-rs")
    result.assert_outcomes(passed=2, skipped=3)
    result.stdout.fnmatch_lines(["*needs the mock server*"])
    result.stdout.fnmatch_lines(["*--millis-live-copies*"])
    assert [(one.operation, one.agent_id) for one in live.requests] == [("chat", "-TheLiveAgent")] * 2


def test_live_copies_are_made_only_when_allowed(suite: pytest.Pytester, live: MockMillis) -> None:
    """A copy is real, and has to be deleted by somebody."""
    result = suite.runpytest_subprocess(*ALONE, "--millis-live", "--millis-live-copies")
    result.assert_outcomes(passed=4, skipped=1)
    assert [one.operation for one in live.requests].count("duplicate") == 2


def test_a_live_run_without_an_agent_says_what_to_set(
    suite: pytest.Pytester, live: MockMillis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable is named, and nothing is sent."""
    monkeypatch.delenv("MILLIS_AGENT_ID")
    result = suite.runpytest_subprocess(*ALONE, "--millis-live")
    result.stdout.fnmatch_lines(["*set MILLIS_AGENT_ID*"])
    assert live.requests == []


def test_a_live_run_without_a_key_is_one_line(
    suite: pytest.Pytester, live: MockMillis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable is named without a traceback, and nothing is sent."""
    monkeypatch.delenv("MILLIS_API_KEY")
    result = suite.runpytest_subprocess(*ALONE, "--millis-live")
    result.assert_outcomes(errors=5)
    result.stdout.fnmatch_lines(["*--millis-live: *MILLIS_API_KEY*"])
    for words in ("Traceback", "*testing.py:*", "*_arguments*", "*api_key=*"):
        result.stdout.no_fnmatch_line(f"*{words}*")
    assert live.requests == []


def test_an_unused_plugin_loads_nothing(user: pytest.Pytester) -> None:
    """A test run that does not use it imports no server, no HTTP client and no schema library."""
    user.makepyfile("def test_nothing(): pass")
    user.makeconftest(
        """
        import sys

        def pytest_sessionfinish():
            heavy = {"starlette", "uvicorn", "httpx", "anyio", "attrs", "jsonschema", "millis_api"}
            print("loaded:", sorted(heavy & set(sys.modules)))
        """
    )
    result = user.runpytest_subprocess("-s", "-p", "millis_wrapper.testing")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*loaded: []"])


def test_the_plugin_comes_with_the_package_and_can_be_left_out(
    user: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pytest finds it by itself under the name millis_wrapper, by which it is also left out."""
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    user.makepyfile("def test_url(millis_mock): assert millis_mock.url")
    others = {each.name for each in entry_points(group="pytest11")} - {"millis_wrapper"}
    without_others = [argument for name in others for argument in ("-p", f"no:{name}")]  # they take seconds
    user.runpytest_subprocess(*without_others).assert_outcomes(passed=1)
    result = user.runpytest_subprocess(*without_others, "-p", "no:millis_wrapper")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'millis_mock' not found*"])


def test_a_missing_extra_is_told_in_one_line(user: pytest.Pytester) -> None:
    """Without the extra a test that needs the mock says what to install, and the others run."""
    user.makepyfile("def test_url(millis_mock): pass\n\ndef test_other(): pass\n")
    user.makeconftest("import sys\nsys.modules['starlette'] = None\n")
    result = user.runpytest_subprocess(*ALONE)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the mock server needs starlette*in a clone *pip install '.?mock?'*"])
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize("name", ["millis_mock", "millis", "async_millis", "millis_agent_id"])
def test_every_fixture_is_described(user: pytest.Pytester, name: str) -> None:
    """`pytest --fixtures` tells what each is for."""
    result = user.runpytest_subprocess("--fixtures", "-p", "millis_wrapper.testing")
    result.stdout.re_match_lines(
        [rf"{name} (\[session scope\] )?-- .*testing\.py:\d+", r"    \w.*"], consecutive=True
    )
