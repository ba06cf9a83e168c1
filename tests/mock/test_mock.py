"""The mock package imports quickly and names a missing extra."""

from __future__ import annotations

import subprocess
import sys

import pytest

import millis_wrapper.mock as mock_package
from millis_wrapper import ConfigurationError


@pytest.mark.parametrize("name", ["starlette", "uvicorn", "jsonschema"])
def test_the_message_for_a_missing_extra_contains_the_install_command(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The message names the missing package and the command that installs the extra."""
    monkeypatch.delitem(vars(mock_package), "MockMillis", raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match=rf"{name}.* in a clone .* pip install '\.\[mock\]'"):
        _ = mock_package.MockMillis


def test_importing_the_mock_package_loads_no_server() -> None:
    """The package loads its dependencies only when one of its names is used."""
    code = (
        "import sys, millis_wrapper.mock, millis_wrapper.testing;"
        "print(sorted({'starlette', 'uvicorn', 'jsonschema', 'httpx', 'anyio'} & set(sys.modules)))"
    )
    # A subprocess, because pytest has already loaded anyio's plugin in this process.
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_every_public_name_of_the_mock_package_exists() -> None:
    """The names in `__all__` can be imported and are listed by `dir()`."""
    assert all(getattr(mock_package, name) is not None for name in mock_package.__all__)
    assert set(mock_package.__all__) <= set(dir(mock_package))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = mock_package.no_such_name
