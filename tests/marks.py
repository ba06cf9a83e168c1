"""Marks for tests in several files."""

from __future__ import annotations

import sys

import pytest

NEEDS_DOCSTRINGS = pytest.mark.skipif(sys.flags.optimize > 1, reason="python -OO removes docstrings")
