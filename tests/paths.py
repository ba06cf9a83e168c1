"""Paths in a checkout."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
CORPUS = TESTS / "corpus"
EXAMPLES = CORPUS / "examples"
"""The contract's examples as files, written by `scripts/regenerate`."""
RECIPES = TESTS / "recipes"
