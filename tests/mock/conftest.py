from __future__ import annotations

import pytest

from millis_wrapper.mock import MockMillis


@pytest.fixture
def mock() -> MockMillis:
    """A mock server that is not running; tests call its `app` without a network."""
    return MockMillis()
