"""Run the pytest plugin like in a user's project."""

from __future__ import annotations

import pytest

# Load only these plugins, because this environment contains others.
ALONE = (
    *("-p", "millis_wrapper.testing", "-p", "anyio", "-W", "error"),
    # With python -O, pytest warns that assertions outside of tests have no effect.
    *("-W", "ignore:assertions not in test modules:pytest.PytestConfigWarning"),
)


def user_project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return the directory of a user, without the settings of this project."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("MILLIS_API_KEY", raising=False)
    monkeypatch.setenv("MILLIS_BASE_URL", "http://127.0.0.1:9")  # The fixtures ignore it.
    return pytester
