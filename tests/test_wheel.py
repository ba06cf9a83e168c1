"""The wheel works in fresh environments without the sources. These tests need a package index."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import ROOT

STREAM_A_REPLY = """
import anyio, sys, warnings
warnings.simplefilter("error")
from millis_wrapper import AsyncMillis, Millis
import millis_api, millis_wrapper
assert all("site-packages" in module.__file__ for module in (millis_api, millis_wrapper))
with Millis("a-key") as millis:
    with millis.chat.stream("Hello", agent_config={"prompt": "Repeat."}) as stream:
        sys.stdout.writelines(stream.text_stream)
    copy = millis.agents.duplicate("-mock-agent---------")
    assert copy.id and copy.config.to_dict() == copy.raw["config"]

async def main():
    async with AsyncMillis("a-key") as millis, millis.chat.stream("Hello", agent_id=copy.id) as stream:
        async for text in stream.text_stream:
            sys.stdout.write(text)

anyio.run(main)
"""

TEN_LINES = """
def test_greets_the_caller(millis, millis_mock):
    millis_mock.reply_with("Good evening, Ada.")

    reply = millis.chat.send("Hello", agent_config={"prompt": "Greet them."})

    assert "Ada" in reply.text
    assert millis_mock.requests[-1].body["messages"] == [{"role": "user", "content": "Hello"}]
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT))
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def mock_url() -> Iterator[str]:
    from millis_wrapper.mock import MockMillis

    with MockMillis() as mock:
        yield mock.url


def test_the_wheel_contains_both_packages_the_contract_and_the_license(wheel: Path) -> None:
    """The wheel contains the library, its types and the contract, without tests and scripts."""
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"millis_wrapper/py.typed", "millis_api/py.typed"} <= names
    assert {"millis_api/contract/millis.yaml", "millis_api/contract/millis.json"} <= names
    assert {
        "millis_wrapper/__init__.py",
        "millis_wrapper/_sync/client.py",
        "millis_api/models/agent_config.py",
    } <= names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"millis_wrapper", "millis_api"}


def test_the_wheel_streams_a_reply_without_extras(wheel: Path, mock_url: str, tmp_path: Path) -> None:
    """The wheel needs only its declared dependencies."""
    python = _environment(tmp_path, str(wheel))
    assert _streamed(python, mock_url, tmp_path) == "HelloHello"


def test_the_lowest_allowed_versions_stream_a_reply(wheel: Path, mock_url: str, tmp_path: Path) -> None:
    """The wheel works with the lowest version of each dependency."""
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    lowest = [requirement.split(",")[0].replace(">=", "==") for requirement in requirements]
    assert len(lowest) == 4, "the package itself needs four dependencies"
    python = _environment(tmp_path, str(wheel), *lowest)
    assert _streamed(python, mock_url, tmp_path) == "HelloHello"


def test_a_users_test_of_ten_lines_passes_with_the_mock_extra_alone(wheel: Path, tmp_path: Path) -> None:
    """A user's test needs only millis-wrapper[mock] and pytest, which finds the plugin."""
    python = _environment(tmp_path, f"{wheel}[mock]", "pytest")
    (tmp_path / "test_mine.py").write_text(TEN_LINES)
    result = _run(str(python), "-I", "-m", "pytest", "-q", "-W", "error", "test_mine.py", cwd=tmp_path)
    assert "1 passed" in result.stdout


def _environment(folder: Path, *requirements: str) -> Path:
    home = folder / "env"
    _run(sys.executable, "-m", "venv", "--without-pip", str(home))
    python = home / "bin" / "python"
    options = ("--python", str(python), "install", "--quiet", "--no-compile")
    _run(sys.executable, "-m", "pip", *options, *requirements)
    return python


def _streamed(python: Path, mock_url: str, folder: Path) -> str:
    return _run(str(python), "-I", "-c", STREAM_A_REPLY, cwd=folder, env={"MILLIS_BASE_URL": mock_url}).stdout


def _run(
    *command: str, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "MILLIS", "VIRTUAL"))
    }
    result = subprocess.run(command, cwd=cwd, env=environment | (env or {}), capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result
