from __future__ import annotations

import inspect
import re
import textwrap

import paths
import pytest

from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis
from millis_wrapper.mock.__main__ import serve

README = paths.ROOT / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", [block for block in BLOCKS if "def test_" not in block])
def test_each_block_of_the_readme_runs(
    block: str, millis_mock: MockMillis, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the README shows works as it is shown, and prints something."""
    monkeypatch.setenv("MILLIS_API_KEY", "a-key")
    monkeypatch.setenv("MILLIS_BASE_URL", millis_mock.url)
    millis_mock.add_agent("-OabCdEfGhIjKlMnOpQr")
    exec(compile(block, str(README), "exec"), {})
    assert capsys.readouterr().out.strip()


def test_the_readme_shows_what_to_do_with_a_cut_stream(
    millis_mock: MockMillis, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first example catches a reply that is cut, and shows what had come of it."""
    monkeypatch.setenv("MILLIS_API_KEY", "a-key")
    monkeypatch.setenv("MILLIS_BASE_URL", millis_mock.url)
    millis_mock.add_agent("-OabCdEfGhIjKlMnOpQr")
    millis_mock.reply_with("Good evening, Ada, how are you?")
    millis_mock.fail_next("cut")
    exec(compile(BLOCKS[0], str(README), "exec"), {})
    assert re.search(r"cut short after: Good \w+", capsys.readouterr().out)


def test_the_test_in_the_readme_passes(pytester: pytest.Pytester) -> None:
    """The test that the README shows passes as it is shown."""
    (block,) = (block for block in BLOCKS if "def test_" in block)
    pytester.makepyfile(textwrap.dedent(block))
    pytester.runpytest_subprocess("-q").assert_outcomes(passed=1)


def test_the_readme_stays_short() -> None:
    """A newcomer reads it in minutes."""
    assert len(README.read_text().splitlines()) <= 85


def test_the_readme_tells_where_the_mock_is() -> None:
    """Whoever has no account finds it at the address, and with the agent, that the README names."""
    where = {name: param.default for name, param in inspect.signature(serve).parameters.items()}
    said = README.read_text()
    assert f"MILLIS_BASE_URL=http://{where['host']}:{where['port']}`" in said
    assert f"its agent is `{DEFAULT_AGENT_ID}`" in said
