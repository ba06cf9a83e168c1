"""scripts/regenerate writes the code and the reference, which depend only on the contract."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from schemas import ROOT, changed_contract

from scripts import _document, _editions, _generate, _reference, _supported, _sync

pytestmark = pytest.mark.untraced

MODEL = "generated/millis_api/models/voice.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the files that regenerating reads and writes."""
    for part in ("openapi", "generated"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("contract", "examples"):
        shutil.copytree(ROOT / "tests" / "corpus" / part, tmp_path / "tests" / "corpus" / part)
    for part in ("_async", "_sync"):
        shutil.copytree(ROOT / "millis_wrapper" / part, tmp_path / "millis_wrapper" / part)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.fixture
def unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the committed code instead of running the generator, which is slow."""

    def make(project: Path, target: Path) -> None:
        for path, content in _generate.files(ROOT).items():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_bytes(content)

    monkeypatch.setattr(_generate, "make", make)


@pytest.fixture
def only_sync(unchanged: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regenerate only the sync modules and use the committed files for the rest."""
    make = _generate.make

    def make_sync(project: Path, target: Path) -> None:
        make(project, target)
        _sync.make(project, target)

    monkeypatch.setattr(_generate, "make", make_sync)


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), "utf-8")


def test_a_change_of_the_contract_changes_only_the_affected_files(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another folder, with another hash seed and no `generated`, only the new field differs."""
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
        "generated/millis_api/contract/__init__.py",
        "generated/millis_api/contract/millis.json",
        "generated/millis_api/contract/millis.yaml",
        "openapi/REFERENCE.md",
        *(f"openapi/editions/millis{kind}" for kind in ("-3.2.yaml", "-codegen.yaml", ".json")),
        "tests/corpus/contract/fields.tsv",
    }
    assert set(after) == set(before)
    assert b"accent: None | str | Unset = UNSET" in after[MODEL]
    assert "| `accent` | string or null | How the voice sounds. |" in after["openapi/REFERENCE.md"].decode()
    assert "Voice\taccent\tstring or null\t" in after["tests/corpus/contract/fields.tsv"].decode()


def test_regenerating_needs_no_generated_code() -> None:
    """Missing or broken generated code can be repaired by regenerating."""
    code = "import sys; sys.modules['millis_api'] = None; import scripts._generate"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_warning_of_the_generator_is_an_error(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The generator would omit a schema, so the command stops with its warning and writes nothing."""
    before = _generate.files(project)
    edit(project / "openapi" / "millis.yaml", "    VoiceSettings:\n", "    VoiceSettings_:\n")
    assert _generate.main([], project) == 1
    assert "VoiceSettings" in capsys.readouterr().err
    assert _generate.files(project) == before


def changed(model: Path) -> list[str]:
    edit(model, "class Voice(Model):", "class Voise(Model):")
    return ["differs", "-class Voise(Model):", "+class Voice(Model):"]


def deleted(model: Path) -> list[str]:
    model.unlink()
    return ["is missing", "+class Voice(Model):"]


def stale(model: Path) -> list[str]:
    model.with_name("stale.py").write_text("old = 1\n")
    return ["stale.py: is stale", "-old = 1"]


@pytest.mark.parametrize("drift", [changed, deleted, stale])
@pytest.mark.usefixtures("unchanged")
def test_check_shows_drift_and_changes_nothing(
    project: Path, capsys: pytest.CaptureFixture[str], drift: Callable[[Path], list[str]]
) -> None:
    """An edited, deleted or extra file makes --check fail with a diff."""
    expected = drift(project / MODEL)
    drifted = _generate.files(project)
    assert _generate.main(["--check"], project) == 1
    captured = capsys.readouterr()
    assert all(line in captured.out for line in expected)
    assert "run scripts/regenerate" in captured.err
    assert _generate.files(project) == drifted


@pytest.mark.usefixtures("unchanged")
def test_writing_removes_stale_files(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After writing, --check passes."""
    (project / MODEL).with_name("stale.py").write_text("old = 1\n")
    (project / "openapi" / "REFERENCE.md").unlink()
    assert _generate.main([], project) == 0
    assert _generate.files(project) == _generate.files(ROOT)
    assert _generate.main(["--check"], project) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("tool", ["openapi-python-client", "ruff"])
def test_another_version_of_a_tool_is_rejected(
    project: Path, capsys: pytest.CaptureFixture[str], tool: str
) -> None:
    """Only the pinned versions generate code, because other versions would generate different code."""
    pin = next(
        line for line in (project / "pyproject.toml").read_text("utf-8").splitlines() if f'"{tool}==' in line
    )
    edit(project / "pyproject.toml", pin, f'    "{tool}==0.0.1",')
    assert _generate.main(["--check"], project) == 1
    assert "pyproject.toml pins ['0.0.1']" in capsys.readouterr().err


def test_a_change_of_the_async_client_is_drift_until_the_sync_client_is_regenerated(
    project: Path, only_sync: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sync and async clients are always the same library (promise 5 of the design)."""
    source = project / "millis_wrapper" / "_async" / "conversation.py"
    edit(source, "    async def __aexit__(", "    async def __leave__(")
    assert _generate.main(["--check"], project) == 1
    assert "+    def __leave__(" in capsys.readouterr().out
    assert _generate.main([], project) == 0
    assert "def __leave__(" in (project / "millis_wrapper" / "_sync" / "conversation.py").read_text("utf-8")
    assert _generate.main(["--check"], project) == 0


AGENTS = {
    "get": {
        "operationId": "listAgents",
        "tags": ["agents"],
        "summary": "List the saved agents",
        "parameters": [
            {"name": "limit", "in": "query", "schema": {"type": "integer"}, "description": "At most so many."}
        ],
        "responses": {
            "200": {
                "description": "The agents.",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "array",
                            "items": {"$ref": "#/components/schemas/DuplicateAgentResponse"},
                        }
                    }
                },
            }
        },
    },
    "post": {
        "operationId": "saveVoice",
        "tags": ["agents"],
        "summary": "Save a voice",
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Voice"}}}},
        "responses": {"204": {"description": "It is saved."}},
    },
    "parameters": [{"$ref": "#/components/parameters/Region"}],
}
REGION = {
    "name": "region",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": "Where.",
}


def test_a_new_endpoint_becomes_code_and_a_section(project: Path) -> None:
    """It has a list as its response, parameters of several kinds, and a body without a description."""
    contract = changed_contract("paths /regions/{region}/agents", AGENTS)
    contract["components"]["parameters"] = {"Region": REGION}
    (project / "openapi" / "millis.yaml").write_text(json.dumps(contract), "utf-8")
    assert _generate.main([], project) == 0
    functions = project / "generated" / "millis_api" / "api" / "agents"
    listed = (functions / "list_agents.py").read_text("utf-8")
    assert "region: str" in listed
    assert "limit: int | Unset = UNSET" in listed
    assert "read_body(response, listed=(models.DuplicateAgentResponse,))" in listed
    assert "limit: At most so many." in listed
    assert "errors.UnexpectedStatus(response.status_code" in listed
    assert "body.to_dict()" in (functions / "save_voice.py").read_text("utf-8")
    page = (project / "openapi" / "REFERENCE.md").read_text("utf-8")
    section = page.partition("## GET /regions/{region}/agents")[2].partition("\n## ")[0]
    assert "`region` in the path (string, required): Where." in section
    assert "`limit` in the query (integer, optional): At most so many." in section
    assert "`application/json`: list of [DuplicateAgentResponse](#duplicateagentresponse)" in section
    assert "**Request body.**" in page.partition("## POST /regions/{region}/agents")[2]


def test_the_reference_shows_deprecations_and_response_headers() -> None:
    """The page contains the same facts as the contract."""
    listing: Any = copy.deepcopy(AGENTS["get"])
    contract = changed_contract("paths /agents", {"get": listing})
    listing["deprecated"] = True
    listing["parameters"][0]["deprecated"] = True
    listing["responses"]["200"]["headers"] = {
        "X-Total": {"description": "How many there are.", "schema": {"type": "integer"}}
    }
    assert _supported.problems(contract) == []
    section = _reference.render(contract).partition("## GET /agents")[2].partition("\n## ")[0]
    assert "**Deprecated.** List the saved agents." in section
    assert "(integer, optional): **Deprecated.** At most so many." in section
    assert "The agents. Header `X-Total`: How many there are." in section


def test_a_long_list_of_problems_is_cut(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message has at most six lines, and the last one counts the rest."""
    wrong_names = {f"{number}th": {"type": "string"} for number in range(9)}
    contract = changed_contract("components schemas Voice properties", wrong_names)
    (project / "openapi" / "millis.yaml").write_text(json.dumps(contract), "utf-8")
    assert _generate.main([], project) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6
    assert lines[-1] == "  and 5 more"


def test_any_failure_is_reported_in_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exception of a library ends the command with its name, no traceback and no changed file."""

    def stumble(contract: object) -> str:
        raise TypeError("unhashable\ntype")

    before = _generate.files(project)
    monkeypatch.setattr(_editions, "edition_3_2", stumble)
    assert _generate.main([], project) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "TypeError: unhashable type" in line
    assert _generate.files(project) == before


def test_generated_code_that_cannot_be_imported_is_rejected(tmp_path: Path) -> None:
    """The generator does not check that every name exists."""
    package = tmp_path / "millis_api"
    package.mkdir()
    (package / "__init__.py").write_text("", "utf-8")
    (package / "broken.py").write_text("Voices = Missing\n", "utf-8")
    with pytest.raises(_document.RegenerateError, match="name 'Missing' is not defined"):
        _generate.import_all(package)


def test_a_rejected_contract_changes_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints each problem in one line, without a traceback, and writes no file."""
    before = _generate.files(project)
    source = project / "openapi" / "millis.yaml"
    edit(source, "title: UserMessage", "title: UserMessage\n      x-orgin: []")
    assert _generate.main([], project) == 1
    assert capsys.readouterr().err.splitlines() == [
        "scripts/regenerate: openapi/millis.yaml:",
        "  components.schemas.UserMessage: x-orgin is not a known extension; did you mean x-origin?",
    ]
    source.write_text("openapi: [", "utf-8")
    assert _generate.main([], project) == 1
    assert "is not valid YAML" in capsys.readouterr().err
    assert _generate.files(project) == before
