"""tests/corpus/messages.txt contains the full text of every message that a user can see."""

from __future__ import annotations

from pathlib import Path

import paths
import pytest

from scripts import _messages

SOURCE = '''\
"""A module's docstring is not shown."""

import re

PATTERN = re.compile("a pattern is not a text")
NAMES = ["one", "two"]


class Box:
    """A class's docstring is not shown."""

    size: int = 1
    """An attribute's docstring is not shown."""

    def open(self, key: str) -> None:
        """A method's docstring is not shown."""
        more = f" got {key!r}{', which is text' if key else ''}"
        raise ValueError(f"key: must be {self.size:>3}" " or more" + more)


def command(name: Annotated[str, Argument(help="What to call it.")], debug: Debug = False) -> None:
    """Show the help.

    It has two paragraphs.
    """
    print("the same text", "the same text", b"bytes are data", NAMES[0])
'''
CORPUS = """\

## millis_wrapper/_sync/io.py
use AsyncMillis

## millis_wrapper/box.py
 got {}{}
, which is text
key: must be {} or more
Show the help.

    It has two paragraphs.
What to call it.
the same text
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout with one module, its generated sync version, and a sync module written by hand."""
    for folder in ("millis_wrapper/_sync", "tests/corpus"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "millis_wrapper" / "box.py").write_text(SOURCE)
    (tmp_path / "millis_wrapper" / "_sync" / "box.py").write_text(SOURCE)
    (tmp_path / "millis_wrapper" / "_sync" / "io.py").write_text("raise ValueError('use AsyncMillis')\n")
    return tmp_path


def test_the_corpus_is_up_to_date() -> None:
    """A changed message changes the corpus, which `scripts/regenerate` writes."""
    assert _messages.main(["--check"], paths.ROOT) == 0


def test_the_corpus_contains_messages_and_help_but_no_docstrings(project: Path) -> None:
    """The corpus lists each text once per module, with `{}` for every value in it."""
    assert _messages.render(project).partition("file.\n")[2] == CORPUS


def test_check_shows_the_difference_and_changes_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check fails and prints the changed lines until the corpus is regenerated."""
    corpus = project / "tests" / "corpus" / "messages.txt"
    assert _messages.main([], project) == 0
    assert _messages.main(["--check"], project) == 0
    module = project / "millis_wrapper" / "box.py"
    module.write_text(SOURCE.replace("which is text", "which is a string"))
    before = corpus.read_bytes()
    assert _messages.main(["--check"], project) == 1
    shown = capsys.readouterr().err.splitlines()
    assert "scripts/regenerate" in shown[0]
    assert "+, which is a string" in shown
    assert corpus.read_bytes() == before
    assert _messages.main([], project) == 0
    assert "which is a string" in corpus.read_text()
