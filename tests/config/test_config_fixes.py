from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from config_cases import bounded, invalid_configs
from hypothesis import given
from hypothesis import strategies as st
from schemas import CORPUS, at, is_list, is_object, paths, read_json

from millis_wrapper._paths import format_path
from millis_wrapper.config import Finding, check_config
from millis_wrapper.config._checks import Kind

CASES = [case for file in sorted((CORPUS / "config").glob("*.json")) for case in read_json(file)]
CONFIGS: list[dict[str, Any]] = [case["config"] for case in CASES if isinstance(case["config"], dict)]
KINDS: tuple[Kind, ...] = ("agent", "override")


def apply_fix(config: dict[str, Any], finding: Finding) -> dict[str, Any] | None:
    """Return the config after applying the fix of a finding; None if the fix is not mechanical."""
    fix = finding.fix or ""
    config = copy.deepcopy(config)
    places = {format_path(steps): steps for steps in paths(config)}
    if rename := re.fullmatch(r'rename (.+) to "(\S+)"', fix):
        return renamed(config, places[rename[1]], rename[2])
    suggestion = re.fullmatch(r"did you mean (\".+\")\?", fix)
    if suggestion and finding.message.startswith("unknown key"):
        return renamed(config, places[finding.path], json.loads(suggestion[1]))
    if finding.path not in places:
        return None
    *above, key = places[finding.path]
    parent = at(config, tuple(above))
    if suggestion:
        parent[key] = json.loads(suggestion[1])
    elif fix == "remove it" or fix.startswith("remove it or"):
        del parent[key]
    elif fix == "put it in a list":
        parent[key] = [parent[key]]
    elif fix.startswith("write "):
        try:
            parent[key], _ = json.JSONDecoder().raw_decode(fix.removeprefix("write "))
        except json.JSONDecodeError:
            return None
    else:
        return None
    return config


def renamed(config: dict[str, Any], steps: tuple[Any, ...], name: str) -> dict[str, Any]:
    *above, key = steps
    parent = at(config, tuple(above))
    parent[name] = parent.pop(key)
    return config


def assert_no_fix_adds_a_finding(config: dict[str, Any], kind: Kind) -> int:
    found = check_config(config, kind)
    count = 0
    for finding in found:
        changed = apply_fix(config, finding)
        if changed is not None:
            count += 1
            after = check_config(changed, kind)
            assert len(after) <= len(found), (finding, after)
            assert errors(after) <= errors(found), (finding, after)
            assert finding not in after
    return count


def errors(found: list[Finding]) -> int:
    return sum(finding.level == "error" for finding in found)


@pytest.mark.parametrize("kind", KINDS)
def test_no_fix_of_the_corpus_adds_a_finding(kind: Kind) -> None:
    """Every fix in the corpus that can be applied removes its finding and does not add one."""
    tried = sum(assert_no_fix_adds_a_finding(config, kind) for config in CONFIGS)
    assert tried > 60


def merged(configs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a config with the mistakes of all: lists are concatenated, objects merged."""
    return _merged({}, copy.deepcopy(configs))


def _merged(base: dict[str, Any], configs: list[dict[str, Any]]) -> dict[str, Any]:
    for config in configs:
        for key, value in config.items():
            before = base.get(key)
            if is_object(before) and is_object(value):
                base[key] = _merged(before, [value])
            elif is_list(before) and is_list(value):
                base[key] = [*before, *value]
            else:
                base[key] = value
    return base


def misspelled(config: dict[str, Any], number: int, name: str) -> dict[str, Any]:
    """Return a copy in which one key has another name."""
    config = copy.deepcopy(config)
    places = [steps for steps in paths(config) if steps and isinstance(steps[-1], str)] or [("prompt",)]
    *above, key = places[number % len(places)]
    parent = at(config, tuple(above))
    parent[name.replace("KEY", str(key))] = parent.pop(key, None)
    return config


def with_key(config: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    return {**config, key: value}


def one_of(choices: list[Any]) -> st.SearchStrategy[Any]:
    """Like `sampled_from`, but without all choices in the output of a failure."""
    return st.integers(0, len(choices) - 1).map(choices.__getitem__)


VALUES = [value for config in CONFIGS for value in config.values()]
names = one_of(["KEYs", "_KEY", "KEYx", "tool", "millisFunctions", "Memory", "userIdentifierKey"])
similar_keys = one_of(["millis_function", "tool", "memry", "flwo", "voise", "privacySettings"])
many_mistakes = st.builds(merged, st.lists(one_of(CONFIGS), min_size=1, max_size=6))
misspelled_configs = st.builds(misspelled, invalid_configs | many_mistakes, st.integers(0, 200), names)
misplaced_keys = st.builds(with_key, many_mistakes, similar_keys, one_of(VALUES))


@bounded
@given(many_mistakes | invalid_configs | misspelled_configs | misplaced_keys, one_of(list(KINDS)))
def test_no_fix_adds_a_finding(config: dict[str, Any], kind: Kind) -> None:
    """A fix removes its finding and does not increase the number of findings or of errors.

    The value of a misspelled key is therefore checked before the fix suggests to rename the key.
    """
    assert_no_fix_adds_a_finding(config, kind)
