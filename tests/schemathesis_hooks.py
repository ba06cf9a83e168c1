"""Hooks for Schemathesis in tests/test_schemathesis.py: valid requests use the id of an existing agent.

The contract does not list existing agents, so without the hook almost every request would return 404.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from millis_wrapper._json import is_object

# Any, because the package has no types for its hooks.
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
