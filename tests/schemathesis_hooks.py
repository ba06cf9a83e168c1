"""Loaded by Schemathesis in tests/test_schemathesis.py: requests in order name an agent that the mock knows.

A contract cannot say which agents exist, so by itself Schemathesis would hardly get past the 404.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from millis_wrapper._json import is_object

# Any, because its published types leave the hooks unknown.
schemathesis: Any = import_module("schemathesis")

KNOWN_AGENT = "-known-to-the-mock--"


def map_case(context: object, case: Any) -> Any:
    if not case.meta.generation.mode.is_positive:
        return case
    if "agent_id" in case.path_parameters:
        case.path_parameters["agent_id"] = KNOWN_AGENT
    agent = case.body.get("agent") if is_object(case.body) else None
    if is_object(agent) and isinstance(agent.get("agent_id"), str):
        agent["agent_id"] = KNOWN_AGENT
    return case


schemathesis.hook(map_case)
