"""README.md and the guide: every code block runs, and every link has a target."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import paths
import pytest

from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis
from millis_wrapper.mock.__main__ import new_parser

README = paths.ROOT / "README.md"
GUIDE = paths.ROOT / "millis_wrapper" / "README.md"
HOME = paths.ROOT / "scripts" / "site" / "index.md"


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


PROGRAMS = [block for page in (README, GUIDE, HOME) for block in blocks(page) if "def test_" not in block]
TESTS = [block for page in (README, GUIDE) for block in blocks(page) if "def test_" in block]


@pytest.mark.filterwarnings("ignore::millis_wrapper.UnknownFieldWarning")
@pytest.mark.parametrize("block", PROGRAMS)
def test_every_code_block_runs(
    block: str, millis_mock: MockMillis, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every program in README and guide runs unchanged and prints something."""
    monkeypatch.setenv("MILLIS_API_KEY", "any-key")
    monkeypatch.setenv("MILLIS_BASE_URL", millis_mock.url)
    loggers = [logging.getLogger(), logging.getLogger("millis_wrapper")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        monkeypatch.setattr(logger, "handlers", [])
    try:
        exec(compile(block, "block", "exec"), {})
    finally:  # undo the block's changes to logging
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("block", TESTS)
def test_every_test_in_the_docs_passes(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, block: str
) -> None:
    """The tests that README and guide show pass unchanged."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # the other plugins take a second to load
    pytester.makepyfile(block)
    pytester.runpytest_subprocess("-p", "millis_wrapper.testing", "-p", "anyio").assert_outcomes(
        passed=block.count("def test_")
    )


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub creates for the headings of `page`."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


PAGES = [*paths.ROOT.glob("*.md"), GUIDE, *(paths.ROOT / "millis_wrapper").glob("*/README.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(paths.ROOT).as_posix())
def test_every_link_has_a_target(page: Path) -> None:
    """Every relative link leads to a file of this repository and to a heading in it."""
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


@pytest.mark.parametrize(
    "page", [*PAGES, *(paths.ROOT / "scripts" / "site").glob("*.md")], ids=lambda page: page.name
)
def test_every_file_in_the_docs_exists(page: Path) -> None:
    """A code span with a file name is the end of the path of a file; the changelog also has removed files."""
    folders = [paths.ROOT / name for name in ("millis_wrapper", "openapi", "scripts", "tests")]
    found = [*paths.ROOT.glob("*.*"), *(path for folder in folders for path in folder.rglob("*.*"))]
    files = [path.as_posix() for path in found]
    named = re.findall(r"`(\w[\w./-]*\.(?:py|md|yaml|json|tsv|txt|html))`", page.read_text("utf-8"))
    missing = {name for name in named if not any(file.endswith(f"/{name}") for file in files)}
    assert missing == ({"openapi/millis-3.2.yaml"} if page.name == "CHANGELOG.md" else set())


def test_the_links_of_the_guide_stay_in_the_package() -> None:
    """The guide is installed with the package, and it links only to pages that are installed with it."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", GUIDE.read_text("utf-8"))
    assert [link for link in links if ".." in link] == []
    assert {"mock/README.md", "gateway/README.md"} <= set(links)


def test_the_first_example_handles_a_reply_that_is_cut_off(
    millis_mock: MockMillis, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first example of the README catches the error and prints the received text."""
    monkeypatch.setenv("MILLIS_API_KEY", "a-key")
    monkeypatch.setenv("MILLIS_BASE_URL", millis_mock.url)
    millis_mock.reply_with("Good evening, Ada, how are you?")
    millis_mock.fail_next("cut")
    exec(compile(PROGRAMS[0], str(README), "exec"), {})
    assert re.search(r"cut short after: Good \w+", capsys.readouterr().out)


@pytest.mark.parametrize(("page", "minutes"), [(README, 2), (GUIDE, 15)], ids=["README", "guide"])
def test_the_page_stays_short(page: Path, minutes: int) -> None:
    """The README can be read in 2 minutes and the guide in 15, with all code, at 240 words a minute."""
    assert len(re.findall(r"\S*\w\S*", page.read_text("utf-8"))) <= 240 * minutes


def test_the_readme_names_the_mock_servers_address_and_agent() -> None:
    """The address and the agent in the README are the mock server's defaults."""
    defaults = vars(new_parser().parse_args([]))
    text = README.read_text("utf-8")
    assert f"MILLIS_BASE_URL=http://{defaults['host']}:{defaults['port']}`" in text
    assert f"Its agent is `{DEFAULT_AGENT_ID}`" in text
