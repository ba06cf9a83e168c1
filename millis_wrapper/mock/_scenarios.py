"""Failure scenarios: each agent id here makes requests fail in its own way. README.md lists them."""

from __future__ import annotations

import json
from typing import Any

import attrs

from millis_wrapper._text import short_repr
from millis_wrapper.errors import ConfigurationError

from . import _copies as copies
from . import _streams as streams

_PREFIX = "-mock-"
ID_LENGTH = 20  # like the service's own ids

_MISSING = {"loc": ["body", "messages", 0, "content"], "msg": "Field required", "type": "missing"}


@attrs.frozen
class Refusal:
    """An error response."""

    status_code: int
    body: bytes
    media_type: str = "application/json"
    asks_to_wait: bool = False
    """Whether the response has a Retry-After header."""
    wait: int | str | None = None
    """The value of Retry-After. None means the `retry_after` of the mock server."""


@attrs.frozen
class Scenario:
    """One failure scenario."""

    name: str
    does: str
    """A description in one line."""
    chat: streams.Writer = streams.as_documented
    """Writes the response to chat."""
    duplicate: copies.CopyWriter = copies.as_documented
    """Writes the response to duplicate."""
    media_type: str | None = None
    """The media type of the response. None means the documented one."""
    refusal: Refusal | None = None
    """The error response to send instead, if any."""
    times: int | None = None
    """The number of requests that fail. None means all."""
    slow: bool = False
    """Whether the response starts late."""

    @property
    def agent_id(self) -> str:
        """The agent id that selects this scenario."""
        return f"{_PREFIX}{self.name}".ljust(ID_LENGTH, "-")


def refuse(
    status_code: int, detail: Any, *, asks_to_wait: bool = False, wait: int | str | None = None
) -> Refusal:
    """Return an error response in the service's usual form."""
    body = json.dumps({"detail": detail}).encode()
    return Refusal(status_code, body, asks_to_wait=asks_to_wait, wait=wait)


def _too_many(name: str, does: str, times: int | None = None) -> Scenario:
    refusal = refuse(429, "Too many requests", asks_to_wait=True)
    return Scenario(name, does, refusal=refusal, times=times)


_SCENARIOS = (
    Scenario("401", "401 with a detail", refusal=refuse(401, "Invalid private key")),
    Scenario("404", "404 without a body", refusal=Refusal(404, b"")),
    Scenario("422", "422 for one missing field", refusal=refuse(422, [_MISSING])),
    _too_many("429", "429 with Retry-After, every time"),
    _too_many("429-1-then-ok", "429 with Retry-After once, then success", 1),
    _too_many("429-2-then-ok", "429 with Retry-After twice, then success", 2),
    _too_many("429-3-then-ok", "429 with Retry-After three times, then success", 3),
    Scenario("500", "500 with a JSON string as the body", refusal=Refusal(500, b'"Internal Server Error"')),
    Scenario("503", "503 with a detail and no Retry-After", refusal=refuse(503, "Service unavailable")),
    Scenario(
        "503-then-ok",
        "503 with Retry-After once, then success",
        refusal=refuse(503, "Service unavailable", asks_to_wait=True),
        times=1,
    ),
    Scenario(
        "502-html", "502 with an HTML page of a gateway", refusal=Refusal(502, streams.HTML, "text/html")
    ),
    Scenario("slow", "the response starts after a delay of `slow` seconds", slow=True),
    Scenario("stall", "the response starts and then stalls", streams.stall, copies.stall),
    Scenario("cut", "the connection is closed in the middle of the response", streams.cut, copies.cut),
    Scenario("half-event", "the stream ends normally, but in the middle of an event", streams.half_event),
    Scenario("error-event", "an `event: error` after the first two chunks of the reply", streams.error_event),
    Scenario(
        "error-object",
        'an `{"error": ...}` object after the first two chunks of the reply',
        streams.error_object,
    ),
    Scenario("no-done", "a complete reply without `[DONE]`", streams.without_end_mark),
    Scenario("role-only", "a first delta with a role and no content", streams.role_first),
    Scenario("null-deltas", "null and empty deltas, and a chunk without choices", streams.null_deltas),
    Scenario("crlf", "CR LF line ends, split between body chunks", streams.crlf),
    Scenario("one-byte", "a reply in body chunks of one byte", streams.one_byte_each),
    Scenario("comments", "a keep-alive comment before each event", streams.with_comments),
    Scenario("200-html", "200 with an HTML page", streams.html, copies.html, media_type="text/html"),
    Scenario(
        "unknown-fields",
        "unknown keys at every depth",
        streams.unknown_fields,
        copies.unknown_fields,
    ),
    Scenario(
        "nulls",
        "null for every unset field, and for the name and date of a copy",
        streams.nulls,
        copies.nulls,
    ),
    Scenario(
        "new-values",
        "values outside the contract's known sets",
        streams.new_values,
        copies.new_values,
    ),
    Scenario("seconds", "`created_at` in seconds", duplicate=copies.in_seconds),
    Scenario("iso-date", "`created_at` as an ISO 8601 date", duplicate=copies.as_iso_date),
)

SCENARIOS: dict[str, Scenario] = {scenario.agent_id: scenario for scenario in _SCENARIOS}

MAGIC_IDS: dict[str, str] = {agent_id: scenario.does for agent_id, scenario in SCENARIOS.items()}

AS_DOCUMENTED = Scenario("none", "no failure; the response is as documented")


def scenario_named(name: str) -> Scenario:
    """Return the scenario with this agent id or name (such as `cut`).

    Raises:
        ConfigurationError: The name is unknown; the message lists all names.
    """
    by_name = {scenario.name: scenario for scenario in _SCENARIOS}
    scenario = by_name.get(name) or SCENARIOS.get(name)
    if scenario is None:
        raise ConfigurationError(
            f"scenario: unknown name {short_repr(name)}; use one of {', '.join(by_name)}"
        )
    return scenario
