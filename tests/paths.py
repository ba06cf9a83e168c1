"""Where things are in a checkout."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
CORPUS = TESTS / "corpus"
EXAMPLES = CORPUS / "examples"
"""The examples of the contract as files: `scripts/regenerate` writes them."""
