"""Data for the tests of configs: the full config of the vendor's pages, any JSON, and invalid configs."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from schemas import CORPUS, Step, at, children, paths, read_json

bounded = settings(max_examples=60, derandomize=True, database=None)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["", "{name}", "https://example.com", "+14155550100", "Europe/Berlin", "/etc/passwd", "a.b", "[0]"]
)
# Without minus zero, which equals zero but is written differently.
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0)
any_json = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def full_config() -> dict[str, Any]:
    """The config of the vendor's page on duplicate, with every field of that page."""
    config: dict[str, Any] = read_json(CORPUS / "pages" / "duplicate-response.json")["config"]
    return config


def with_value(config: dict[str, Any], path: tuple[Step, ...], value: Any) -> dict[str, Any]:
    """A copy of `config` that has `value` at `path`."""
    changed = copy.deepcopy(config)
    at(changed, path[:-1])[path[-1]] = value
    return changed


invalid_configs = st.builds(
    with_value, st.builds(full_config), st.sampled_from([*paths(full_config())]), any_json
)


def containers(value: Any) -> set[int]:
    """The identities of all dicts and lists within `value`."""
    within = [value, *(at(value, path) for path in paths(value))]
    return {id(each) for each in within if children(each) or each in ({}, [])}
