"""What came in: requests as the mock reads them, and as it remembers them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import attrs

from millis_wrapper._json import is_object
from millis_wrapper.retry import Operation

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_REMEMBERED = 1000


@attrs.frozen
class MockRequest:
    """One request that came to an endpoint.

    `agent_id`: which agent it named, or None. `headers`: by lower-case name, the key masked. `body`: the
    JSON value that was sent; text where that was no JSON, None where there was nothing.
    """

    operation: Operation
    agent_id: str | None
    headers: dict[str, str]
    body: Any = None


class Body(NamedTuple):
    """What a request's body holds: a JSON value, or text and a complaint about it."""

    value: Any
    complaint: str | None = None


def read_body(content: bytes) -> Body:
    """Read the JSON in `content`, as strictly as RFC 8259 has it."""
    if not content:
        return Body(None)
    try:
        return Body(json.loads(content, parse_constant=_refused, parse_float=_finite))
    except (ValueError, RecursionError) as error:
        return Body(content.decode("utf-8", "replace"), str(error))


def remembered(
    operation: Operation, headers: Mapping[str, str], body: Body, agent_id: str | None
) -> MockRequest:
    """Return the request as it is to be remembered: without the key."""
    shown = {name.lower(): value for name, value in headers.items()}
    if "authorization" in shown:
        shown["authorization"] = "****"
    return MockRequest(operation, agent_id, shown, body.value)


def named_agent(body: Body) -> str | None:
    """Return the id of the agent that a chat request names, whatever else is in it."""
    agent = body.value.get("agent") if is_object(body.value) else None
    agent_id = agent.get("agent_id") if is_object(agent) else None
    return agent_id if isinstance(agent_id, str) else None


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")  # though Python reads it


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError("a number is too large")  # it could not be sent back
    return value
