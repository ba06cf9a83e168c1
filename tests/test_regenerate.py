"""scripts/regenerate: the code and the reference are what the contract makes of them, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from schemas import ROOT, document

from scripts import _document, _generate

MODEL = "generated/millis_api/models/voice.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what regenerating reads and writes, somewhere else."""
    for part in ("openapi", "generated"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests" / "corpus" / "contract", tmp_path / "tests" / "corpus" / "contract")
    for part in ("_async", "_sync"):
        shutil.copytree(ROOT / "millis_wrapper" / part, tmp_path / "millis_wrapper" / part)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.fixture
def unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The generator is not run again: what it makes is what is committed."""

    def make(project: Path, target: Path) -> None:
        for path, content in _generate.files(ROOT).items():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_bytes(content)

    monkeypatch.setattr(_generate, "make", make)


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), "utf-8")


def test_a_change_of_the_contract_changes_what_is_made_from_it_and_nothing_else(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another folder, with another hash seed and no `generated` at all, a new field is all that is new."""
    before = _generate.files(project)
    shutil.rmtree(project / "generated")
    edit(
        project / "openapi" / "millis.yaml",
        "        voice_id:\n",
        "        accent:\n          type: [string, 'null']\n          description: How the voice sounds.\n"
        "          x-origin: [inferred]\n        voice_id:\n",
    )
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    assert _generate.main([], project) == 0
    after = _generate.files(project)
    assert {path for path in after if after[path] != before[path]} == {
        MODEL,
        "generated/millis_api/contract/millis.json",
        "generated/millis_api/contract/millis.yaml",
        "openapi/REFERENCE.md",
        "openapi/millis-3.2.yaml",
        "tests/corpus/contract/fields.tsv",
    }
    assert set(after) == set(before)
    assert b"accent: None | str | Unset = UNSET" in after[MODEL]
    assert "| `accent` | string or null | How the voice sounds. |" in after["openapi/REFERENCE.md"].decode()
    assert "Voice\taccent\tstring or null\t" in after["tests/corpus/contract/fields.tsv"].decode()


def test_what_the_generator_only_warns_of_is_an_error_and_changes_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A schema that the generator would leave out stops it, with its words, before any file is touched."""
    before = _generate.files(project)
    edit(project / "openapi" / "millis.yaml", "    VoiceSettings:\n", "    VoiceSettings_:\n")
    assert _generate.main([], project) == 1
    assert "VoiceSettings" in capsys.readouterr().err
    assert _generate.files(project) == before


def changed(model: Path) -> list[str]:
    edit(model, "class Voice:", "class Voise:")
    return ["differs", "-class Voise:", "+class Voice:"]


def deleted(model: Path) -> list[str]:
    model.unlink()
    return ["is missing", "+class Voice:"]


def stale(model: Path) -> list[str]:
    model.with_name("stale.py").write_text("old = 1\n")
    return ["stale.py: is stale", "-old = 1"]


@pytest.mark.parametrize("drift", [changed, deleted, stale])
@pytest.mark.usefixtures("unchanged")
def test_check_shows_drift_and_changes_nothing(
    project: Path, capsys: pytest.CaptureFixture[str], drift: Callable[[Path], list[str]]
) -> None:
    """A file that was edited, deleted or left over fails --check, with a diff of what would be written."""
    said = drift(project / MODEL)
    drifted = _generate.files(project)
    assert _generate.main(["--check"], project) == 1
    shown = capsys.readouterr()
    assert all(line in shown.out for line in said)
    assert "run scripts/regenerate" in shown.err
    assert _generate.files(project) == drifted


@pytest.mark.usefixtures("unchanged")
def test_writing_takes_stale_files_away(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After writing, what is there is what was made, and --check is silent."""
    (project / MODEL).with_name("stale.py").write_text("old = 1\n")
    (project / "openapi" / "REFERENCE.md").unlink()
    assert _generate.main([], project) == 0
    assert _generate.files(project) == _generate.files(ROOT)
    assert _generate.main(["--check"], project) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("tool", ["openapi-python-client", "ruff"])
def test_another_version_of_a_tool_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str], tool: str
) -> None:
    """Code is made with the pinned versions only, since another one would write other code."""
    pin = next(
        line for line in (project / "pyproject.toml").read_text("utf-8").splitlines() if f'"{tool}==' in line
    )
    edit(project / "pyproject.toml", pin, f'    "{tool}==0.0.1",')
    assert _generate.main(["--check"], project) == 1
    assert "pyproject.toml pins ['0.0.1']" in capsys.readouterr().err


def test_the_generator_is_given_the_contract_with_two_things_left_out() -> None:
    """Only the closed top level of a partial config and the required keys of an answered one are relaxed."""
    given = _document.for_the_generator(document())
    schemas = given["components"]["schemas"]
    assert "additionalProperties" not in schemas["AgentConfigOverride"]
    assert "required" not in schemas["AgentConfig"]
    schemas["AgentConfigOverride"]["additionalProperties"] = False
    schemas["AgentConfig"]["required"] = ["prompt", "voice"]
    # The generator reads a parameter's description from its schema.
    (parameter,) = given["paths"]["/agents/{agent_id}/duplicate"]["post"]["parameters"]
    assert parameter["schema"].pop("description") == parameter["description"]
    assert given == document()


def test_a_line_that_is_gone_from_the_async_client_is_drift_until_the_sync_client_is_made_again(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Promise 5: sync and async are the same library, and `--check` fails as soon as they are not."""
    source = project / "millis_wrapper" / "_async" / "conversation.py"
    edit(source, "    async def __aexit__(", "    async def __leave__(")
    assert _generate.main(["--check"], project) == 1
    assert "+    def __leave__(" in capsys.readouterr().out
    assert _generate.main([], project) == 0
    assert "def __leave__(" in (project / "millis_wrapper" / "_sync" / "conversation.py").read_text("utf-8")
    assert _generate.main(["--check"], project) == 0
