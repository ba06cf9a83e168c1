"""`millis duplicate --save` saves the config of the copy to a file."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from cli_runs import AGENT, Cli
from loopback import Loopback, http

from millis_wrapper.config import load_config
from millis_wrapper.mock import MockMillis

CONFIG: dict[str, Any] = {
    "prompt": "Be kind.\nAnd brief.",
    "voice": {"provider": "openai", "voice_id": "v"},
    "tools": [{"name": "book", "description": "1e5", "header": {"Authorization": "s3cret-token"}}],
}


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], millis_mock: MockMillis) -> Cli:
    """The command in this process, with the mock as its service."""
    millis_mock.add_agent("-with-secrets", config=CONFIG)
    return Cli(monkeypatch, capsys).asking(millis_mock.url)


@pytest.mark.parametrize("name", ["copy.json", "copy.yaml", "copy.yml", "copy"])
def test_the_config_is_saved_exactly(cli: Cli, tmp_path: Path, name: str) -> None:
    """The file name sets the format. Secrets are saved, but only their paths are printed."""
    file = tmp_path / name
    ran = cli("duplicate", "--save", str(file), "--", "-with-secrets")
    assert ran.code == 0
    assert ran.out.startswith("-")
    assert load_config(file) == CONFIG
    assert file.read_text().startswith("{\n" if name in ("copy.json", "copy") else "prompt: |-\n")
    assert str(file) in ran.error
    assert "private" in ran.error
    assert "tools[0].header.Authorization" in ran.error
    assert "s3cret" not in ran.error + ran.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_config_without_secrets_is_saved_without_a_warning(cli: Cli, tmp_path: Path) -> None:
    """The note on stderr names only the file."""
    ran = cli("duplicate", AGENT, "--save", str(tmp_path / "copy.yaml"), "--json")
    assert json.loads(ran.out)["config"] == load_config(tmp_path / "copy.yaml")
    assert "private" not in ran.error


def test_an_existing_file_is_not_overwritten(cli: Cli, millis_mock: MockMillis, tmp_path: Path) -> None:
    """A file that cannot be created is an error before the request, so no copy is created."""
    taken = tmp_path / "taken.yaml"
    taken.write_text("mine")
    for file in (taken, tmp_path / "no" / "folder.yaml", tmp_path):
        ran = cli("duplicate", AGENT, "--save", str(file))
        assert (ran.code, ran.out) == (2, "")
        assert ran.error.startswith(f"millis: --save: {file}: ")
    assert taken.read_text() == "mine"
    assert millis_mock.requests == []


def test_a_failed_duplicate_leaves_no_file(cli: Cli, tmp_path: Path) -> None:
    """The file that was created before the request is removed."""
    file = tmp_path / "copy.json"
    assert cli("duplicate", "-mock-401-----------", "--save", str(file)).code == 1
    assert not file.exists()


def test_a_copy_without_a_config_is_not_lost(cli: Cli, tmp_path: Path) -> None:
    """The id is printed, and the missing config is an error."""
    file = tmp_path / "copy.json"
    with Loopback([http(200, json.dumps({"id": "-OabCdEfGhIjKlMnOpQr", "name": "n"}))]) as server:
        ran = cli.asking(server.url)("duplicate", AGENT, "--save", str(file))
    assert (ran.code, ran.out) == (1, "-OabCdEfGhIjKlMnOpQr\n")
    assert "config" in ran.error
    assert not file.exists()


def test_a_full_disk_does_not_lose_the_id(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The id is printed even if the config cannot be saved."""

    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("millis_wrapper.cli._duplicate._as_text", full)
    ran = cli("duplicate", AGENT, "--save", str(tmp_path / "copy.json"))
    assert ran.code == 1
    assert ran.out.startswith("-")
    assert "No space left" in ran.error
