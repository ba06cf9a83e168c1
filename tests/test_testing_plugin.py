"""The pytest plugin in the test run of a user."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from importlib.resources import files

import pytest
from plugin_runs import ALONE, user_project

pytest_plugins = ["pytester"]


@pytest.fixture
def user(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """The directory of a user, without the settings of this project."""
    return user_project(pytester, monkeypatch)


def test_the_example_in_the_readme_passes(user: pytest.Pytester) -> None:
    """The example is a complete test of at most ten lines."""
    page = (files("millis_wrapper.mock") / "README.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert example.count("\n") <= 10
    user.makepyfile(example)
    user.runpytest_subprocess(*ALONE).assert_outcomes(passed=1)


def test_both_clients_work_in_sync_and_async_tests(user: pytest.Pytester) -> None:
    """The async client needs no plugin, works in several event loops, and need not be closed."""
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


def test_the_mock_server_is_reset_between_tests(user: pytest.Pytester) -> None:
    """Replies, failures, agents and requests of one test do not affect the next one."""
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


def test_the_clients_retry_without_waiting(user: pytest.Pytester) -> None:
    """The delays before retries are a few milliseconds."""
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


def test_tests_can_share_a_reply(user: pytest.Pytester) -> None:
    """A fixture of module or session scope can chat or duplicate once for several tests."""
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


def test_fixtures_of_a_wider_scope_use_a_reset_server(user: pytest.Pytester) -> None:
    """A fixture of module scope does not receive the replies that an earlier test set."""
    user.makepyfile(
        """
        import pytest

        @pytest.fixture(scope="module")
        def shared(millis, millis_agent_id):
            return millis.chat.send("Hello", agent_id=millis_agent_id)

        def test_sets_a_reply(millis, millis_mock):
            millis_mock.reply_with("changed")

        def test_shares(shared):
            assert shared.text == "Hello"
        """
    )
    user.runpytest_subprocess(*ALONE).assert_outcomes(passed=2)


def test_a_test_without_millis_mock_starts_from_a_reset_server(user: pytest.Pytester) -> None:
    """Replies, failures and counters of one test do not affect a test that uses only `millis`."""
    user.makepyfile(
        """
        import pytest

        def test_changes_the_server(millis, millis_mock):
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


def test_shared_clients_behave_the_same_in_every_test(user: pytest.Pytester) -> None:
    """Closing a client has no effect, and it forgets which end marks it has seen."""
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


def test_an_unused_plugin_does_not_import_other_packages(user: pytest.Pytester) -> None:
    """A run that does not use the fixtures imports no server, HTTP client or schema library."""
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


def test_pytest_loads_the_plugin_unless_it_is_turned_off(
    user: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plugin has the name millis_wrapper; `-p no:millis_wrapper` turns it off."""
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    user.makepyfile("def test_url(millis_mock): assert millis_mock.url")
    others = {point.name for point in entry_points(group="pytest11")} - {"millis_wrapper"}
    without_others = [
        argument for name in others for argument in ("-p", f"no:{name}")
    ]  # loading them takes seconds
    user.runpytest_subprocess(*without_others).assert_outcomes(passed=1)
    result = user.runpytest_subprocess(*without_others, "-p", "no:millis_wrapper")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'millis_mock' not found*"])


def test_a_missing_extra_is_an_error_of_one_line(user: pytest.Pytester) -> None:
    """Without the extra, a test that needs the mock server has an error with the install command."""
    user.makepyfile("def test_url(millis_mock): pass\n\ndef test_other(): pass\n")
    user.makeconftest("import sys\nsys.modules['starlette'] = None\n")
    result = user.runpytest_subprocess(*ALONE)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the mock server needs starlette*in a clone *pip install '.?mock?'*"])
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize("name", ["millis_mock", "millis", "async_millis", "millis_agent_id"])
def test_every_fixture_has_a_description(user: pytest.Pytester, name: str) -> None:
    """`pytest --fixtures` shows it."""
    result = user.runpytest_subprocess("--fixtures", "-p", "millis_wrapper.testing")
    result.stdout.re_match_lines(
        [rf"{name} (\[session scope\] )?-- .*testing\.py:\d+", r"    \w.*"], consecutive=True
    )
