"""Each documented way to call a script works. `.ci/run` and the workflows run the slow ones."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from paths import ROOT

from scripts import _bench, _try_tools
from scripts._bench_rows import Row

pytestmark = [
    pytest.mark.untraced,
    pytest.mark.skipif(shutil.which("bash") is None, reason="the scripts need bash"),
]

NAMES = sorted(
    file.name
    for file in (ROOT / "scripts").iterdir()
    if re.fullmatch(r"[a-z]\w+", file.name) and file.is_file()
)
PAGES = [*ROOT.glob("*.md"), *(ROOT / ".github").rglob("*.yml"), ROOT / ".ci" / "run"]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project; its scripts use the active environment and install nothing."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "scripts" / "_env").open("a") as file:
        file.write("need() { :; }\n")
    for name in ("pyproject.toml", "tests", "millis_wrapper", "openapi", "generated"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_every_script_describes_itself(checkout: Path, name: str) -> None:
    """`--help` prints a description and exits with status 0."""
    ran = run(checkout, f"scripts/{name}", "--help")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(ran.stdout.split()) > 5


@pytest.mark.parametrize("name", ["build", "check", "docs", "lint_contract", "pin"])
def test_an_unknown_argument_does_not_start_a_script(checkout: Path, name: str) -> None:
    """The script prints one line that contains the argument, and exits with status 2."""
    ran = run(checkout, f"scripts/{name}", "--nonsense")
    assert ran.returncode == 2
    assert re.fullmatch(rf"scripts/{name}: .*'--nonsense'.*\n", ran.stderr)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_script_in_the_docs_and_workflows_exists(page: Path) -> None:
    """Docs and workflows name scripts as scripts/NAME."""
    assert {*re.findall(r"\bscripts/([a-z]\w+)(?![\w.])", page.read_text("utf-8"))} <= {*NAMES, "site"}


def measure(measured: list[str], name: str, rounds: int) -> list[Row]:
    measured.append(name)
    return []


@pytest.mark.parametrize("arguments", [[], ["all"], ["first"], ["first", "second", "--rounds", "2"]])
def test_bench_measures_all_groups_or_the_named_ones(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """Without arguments, `scripts/bench` measures every group."""
    measured: list[str] = []
    groups = {name: partial(measure, measured, name) for name in ("first", "second")}
    monkeypatch.setattr(_bench, "GROUPS", groups)
    assert _bench.main(arguments) == 0
    assert measured == (["first"] if arguments == ["first"] else ["first", "second"])


def passes(folder: Path) -> list[str]:
    return []


def fails(folder: Path) -> list[str]:
    return ["one problem"]


def test_try_tools_runs_the_named_tools_and_reports_problems(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit status is 1 if a tool finds problems."""
    monkeypatch.setattr(_try_tools, "TOOLS", {"frozen": passes, "faults": fails})
    monkeypatch.setattr("sys.argv", ["try_tools", "frozen", "faults"])
    assert _try_tools.main() == 1
    assert capsys.readouterr().out == "frozen: passed\nfaults: FAILED\none problem\n"
    monkeypatch.setattr("sys.argv", ["try_tools", "nonsense"])
    with pytest.raises(SystemExit, match="2"):
        _try_tools.main()
    assert "unknown tool nonsense" in capsys.readouterr().err


CHANGES = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A line.\n\n## [0.1.0] - 2026-11-20\n\n- First.\n"


@pytest.fixture
def repository(tmp_path: Path, checkout: Path) -> Path:
    """A clean repository with version 0.1.0, whose check and build pass at once."""
    folder = tmp_path / "repository"
    (folder / "millis_wrapper").mkdir(parents=True)
    (folder / "scripts").mkdir()
    for name in ("_env", "release"):
        shutil.copy(checkout / "scripts" / name, folder / "scripts")
    for name in ("check", "build"):
        write_script(folder / "scripts" / name, status=0)
    (folder / "millis_wrapper" / "_version.py").write_text('__version__ = "0.1.0"\n')
    (folder / "CHANGELOG.md").write_text(CHANGES)
    for command in ("init --quiet", "config user.name A", "config user.email a@example.org", "add --all"):
        run(folder, "git", *command.split())
    commit(folder)
    return folder


def write_script(path: Path, status: int) -> None:
    path.write_text(f"#!/bin/sh\nexit {status}\n")
    path.chmod(0o755)


def commit(folder: Path) -> None:
    run(folder, "git", "commit", "--quiet", "--all", "--message", "Change")


def test_release_sets_version_and_heading_and_makes_a_tag(repository: Path) -> None:
    """The tag passes `scripts/release --check`, and the printed command pushes it."""
    ran = run(repository, "scripts/release", "1.2.0")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "git push origin HEAD v1.2.0" in ran.stdout
    assert (repository / "millis_wrapper" / "_version.py").read_text() == '__version__ = "1.2.0"\n'
    assert re.search(
        r"## \[Unreleased\]\n\n## \[1\.2\.0\] - 20\d\d-\d\d-\d\d\n\n### Added",
        (repository / "CHANGELOG.md").read_text(),
    )
    assert run(repository, "git", "status", "--porcelain").stdout == ""
    assert run(repository, "git", "describe").stdout == "v1.2.0\n"
    assert run(repository, "scripts/release", "--check", "v1.2.0").returncode == 0
    assert "must be v1.2.0" in run(repository, "scripts/release", "--check", "v1.2.1").stderr


def dirty(folder: Path) -> None:
    (folder / "CHANGELOG.md").write_text(CHANGES + "x")


def tagged(folder: Path) -> None:
    run(folder, "git", "tag", "v1.2.0")


def unchanged(folder: Path) -> None:
    (folder / "CHANGELOG.md").write_text(CHANGES.replace("- A line.\n", ""))
    commit(folder)


def broken(folder: Path) -> None:
    write_script(folder / "scripts" / "build", status=1)
    commit(folder)


@pytest.mark.parametrize(
    ("version", "prepare", "key_words"),
    [
        ("1.2", None, "must have a form"),
        ("", None, "must have a form"),
        ("0.1.0", None, "must be newer than 0.1.0"),
        ("0.1.0rc1", None, "must be newer than 0.1.0"),
        ("1.2.0", dirty, "uncommitted changes"),
        ("1.2.0", tagged, "v1.2.0 already exists"),
        ("1.2.0", unchanged, "has no entries"),
        ("1.2.0", broken, ""),
    ],
)
def test_a_release_that_cannot_be_made_changes_nothing(
    repository: Path, version: str, prepare: Callable[[Path], None] | None, key_words: str
) -> None:
    """The message contains the reason; version, changelog and history do not change."""
    if prepare is not None:
        prepare(repository)
    before = [run(repository, "git", *command.split()).stdout for command in ("log", "diff", "tag")]
    ran = run(repository, "scripts/release", version)
    assert ran.returncode == 1
    assert key_words in ran.stderr
    assert [run(repository, "git", *command.split()).stdout for command in ("log", "diff", "tag")] == before
