"""README.md and the guide: each block runs as it is shown, and each link leads somewhere."""

from __future__ import annotations

import inspect
import logging
import re
from pathlib import Path

import paths
import pytest

from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis
from millis_wrapper.mock.__main__ import serve

README = paths.ROOT / "README.md"
GUIDE = paths.ROOT / "millis_wrapper" / "README.md"
HOME = paths.ROOT / "scripts" / "site" / "index.md"


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


PROGRAMS = [block for page in (README, GUIDE, HOME) for block in blocks(page) if "def test_" not in block]
TESTS = [block for page in (README, GUIDE) for block in blocks(page) if "def test_" in block]


@pytest.mark.filterwarnings("ignore::millis_wrapper.UnknownFieldWarning")
@pytest.mark.parametrize("block", PROGRAMS)
def test_each_block_runs_as_it_is_shown(
    block: str, millis_mock: MockMillis, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What README and guide show works as it is shown, and prints something."""
    monkeypatch.setenv("MILLIS_API_KEY", "any-key")
    monkeypatch.setenv("MILLIS_BASE_URL", millis_mock.url)
    loggers = [logging.getLogger(), logging.getLogger("millis_wrapper")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        monkeypatch.setattr(logger, "handlers", [])
    try:
        exec(compile(block, "block", "exec"), {})
    finally:  # what a block does to logging is undone
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("block", TESTS)
def test_each_test_passes_as_it_is_shown(pytester: pytest.Pytester, block: str) -> None:
    """The tests that README and guide show pass as they are shown."""
    pytester.makepyfile(block)
    pytester.runpytest_subprocess("-q").assert_outcomes(passed=1)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of the headings of `page`."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


PAGES = [*paths.ROOT.glob("*.md"), GUIDE, *(paths.ROOT / "millis_wrapper").glob("*/README.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(paths.ROOT).as_posix())
def test_each_link_leads_somewhere(page: Path) -> None:
    """A link to a file of this repository, or to a heading in one, is never dead."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    dead: list[str] = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def test_the_links_of_the_guide_stay_in_the_package() -> None:
    """The guide is installed with the package, and so is every page that it links to."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", GUIDE.read_text("utf-8"))
    assert [link for link in links if ".." in link] == []
    assert {"mock/README.md", "gateway/README.md"} <= set(links)


def test_the_readme_shows_what_to_do_with_a_cut_stream(
    millis_mock: MockMillis, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first example catches a reply that is cut, and shows what had come of it."""
    monkeypatch.setenv("MILLIS_API_KEY", "a-key")
    monkeypatch.setenv("MILLIS_BASE_URL", millis_mock.url)
    millis_mock.reply_with("Good evening, Ada, how are you?")
    millis_mock.fail_next("cut")
    exec(compile(PROGRAMS[0], str(README), "exec"), {})
    assert re.search(r"cut short after: Good \w+", capsys.readouterr().out)


def test_the_readme_stays_short() -> None:
    """A newcomer reads it in minutes."""
    assert len(README.read_text("utf-8").splitlines()) <= 90


def test_the_readme_tells_where_the_mock_is() -> None:
    """Whoever has no account finds it at the address, and with the agent, that the README names."""
    where = {name: param.default for name, param in inspect.signature(serve).parameters.items()}
    said = README.read_text("utf-8")
    assert f"MILLIS_BASE_URL=http://{where['host']}:{where['port']}`" in said
    assert f"Its agent is `{DEFAULT_AGENT_ID}`" in said
