from __future__ import annotations

import pytest

from millis_wrapper.mock import MockMillis


@pytest.fixture
def mock() -> MockMillis:
    """A mock that does not run: its `app` is called without a network."""
    return MockMillis()
