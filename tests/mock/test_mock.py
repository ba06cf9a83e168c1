"""The mock package: light to import, and clear about what it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import millis_wrapper.mock as mock_package
from millis_wrapper import ConfigurationError


@pytest.mark.parametrize("name", ["starlette", "uvicorn", "jsonschema"])
def test_a_missing_extra_is_told_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whoever installed the package without the extra learns what to do."""
    monkeypatch.delitem(vars(mock_package), "MockMillis", raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match=rf"{name}.* in a clone .* pip install '\.\[mock\]'"):
        _ = mock_package.MockMillis


def test_importing_the_mock_package_loads_no_server() -> None:
    """The package costs next to nothing until something of it is used."""
    code = (
        "import sys, millis_wrapper.mock, millis_wrapper.testing;"
        "print(sorted({'starlette', 'uvicorn', 'jsonschema', 'httpx', 'anyio'} & set(sys.modules)))"
    )
    # pytest itself loads anyio's plugin; without site-packages' plugins the import stands alone.
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def test_every_public_name_of_the_mock_package_is_there() -> None:
    """What `__all__` promises can be had."""
    assert all(getattr(mock_package, name) is not None for name in mock_package.__all__)
    assert set(mock_package.__all__) <= set(dir(mock_package))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = mock_package.no_such_name
