"""What came in: requests as the mock reads, checks and remembers them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any, NamedTuple

import attrs

from millis_wrapper._json import is_object
from millis_wrapper.contract._validation import Violation, violations
from millis_wrapper.retry import Operation

MAX_REMEMBERED = 1000
MAX_DETAILS = 50  # of one request; a list of a million wrong items is wrong enough after these

# JSON Schema's type -> pydantic's words and its code for the violation.
_TYPES = {
    "string": ("Input should be a valid string", "string_type"),
    "integer": ("Input should be a valid integer", "int_type"),
    "number": ("Input should be a valid number", "float_type"),
    "boolean": ("Input should be a valid boolean", "bool_type"),
    "array": ("Input should be a valid list", "list_type"),
    "object": ("Input should be a valid dictionary", "dict_type"),
    "null": ("Input should be None", "none_required"),
}
_FRACTION = ("Input should be a valid integer, got a number with a fractional part", "int_from_float")


def _without_key(headers: Mapping[str, str]) -> dict[str, str]:
    shown = {name.lower(): value for name, value in headers.items()}
    return {name: "****" if name == "authorization" else value for name, value in shown.items()}


@attrs.frozen
class MockRequest:
    """One request that came to an endpoint."""

    operation: Operation
    agent_id: str | None
    """The agent that it named, or None."""
    headers: dict[str, str] = attrs.field(converter=_without_key)
    """Its headers by lower-case name, the key masked."""
    body: Any = None
    """The JSON value that was sent; text where that was not JSON, None where there was nothing."""


class Body(NamedTuple):
    """What a request's body holds: a JSON value, or text and a complaint about it."""

    value: Any
    complaint: str | None = None


def read_body(content: bytes) -> Body:
    """Read the JSON in `content`, as strictly as RFC 8259 has it."""
    if not content:
        return Body(None)
    try:
        return Body(json.loads(content, parse_constant=_refused))
    except (ValueError, RecursionError) as error:
        return Body(content.decode("utf-8", "replace"), str(error))


def named_agent(body: Body) -> str | None:
    """Return the id of the agent that a chat request names, whatever else is in it."""
    agent = body.value.get("agent") if is_object(body.value) else None
    agent_id = agent.get("agent_id") if is_object(agent) else None
    return agent_id if isinstance(agent_id, str) else None


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")  # though Python reads it


def details_of(body: object, component: str) -> list[dict[str, Any]]:
    """Return the `detail` of FastAPI's 422: an item for each violation of `component` by `body`."""
    details: list[dict[str, Any]] = []
    for violation in islice(violations(body, component), MAX_DETAILS):
        msg, kind = _words(violation)
        details.append({"loc": ["body", *violation.path], "msg": msg, "type": kind})
    return details


def _words(violation: Violation) -> tuple[str, str]:
    if violation.kind == "missing":
        return "Field required", "missing"
    if violation.kind == "extra":
        return "Extra inputs are not permitted", "extra_forbidden"
    if violation.kind == "constant":
        *others, last = map(repr, violation.wanted)
        listed = f"{', '.join(others)} or {last}" if others else last
        return f"Input should be {listed}", "literal_error"
    if violation.kind == "type":
        fraction = "integer" in violation.wanted and isinstance(violation.value, float)
        return _FRACTION if fraction else _TYPES[violation.wanted[0]]
    return violation.words, "value_error"
