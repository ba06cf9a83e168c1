"""Scenarios: agent ids that make the mock go wrong in one way each. README.md lists them."""

from __future__ import annotations

import json
from typing import Any

import attrs

from millis_wrapper.errors import ConfigurationError

from . import _copies as copies
from . import _streams as streams

_PREFIX = "-mock-"
ID_LENGTH = 20  # as the service's own ids

_MISSING = {"loc": ["body", "messages", 0, "content"], "msg": "Field required", "type": "missing"}


@attrs.frozen
class Refusal:
    """An error status in place of the answer."""

    status_code: int
    body: bytes
    media_type: str = "application/json"
    asks_to_wait: bool = False
    """Whether there is a Retry-After."""
    wait: int | str | None = None
    """Its value; None is the mock's own `retry_after`."""


@attrs.frozen
class Scenario:
    """What the mock does wrong on purpose, in one way."""

    name: str
    does: str
    """What happens, in one line."""
    chat: streams.Writer = streams.as_documented
    """How the answer of chat is written."""
    duplicate: copies.CopyWriter = copies.as_documented
    """How the answer of duplicate is written."""
    media_type: str | None = None
    """The media type of an answer that is not what it should be."""
    refusal: Refusal | None = None
    """What comes in place of an answer."""
    times: int | None = None
    """For how many requests; None is all."""
    slow: bool = False
    """Whether the answer begins late."""

    @property
    def agent_id(self) -> str:
        """The agent id that asks for it."""
        return f"{_PREFIX}{self.name}".ljust(ID_LENGTH, "-")


def refuse(
    status_code: int, detail: Any, *, asks_to_wait: bool = False, wait: int | str | None = None
) -> Refusal:
    """Return a refusal with the service's usual body."""
    body = json.dumps({"detail": detail}).encode()
    return Refusal(status_code, body, asks_to_wait=asks_to_wait, wait=wait)


def _too_many(name: str, does: str, times: int | None = None) -> Scenario:
    refusal = refuse(429, "Too many requests", asks_to_wait=True)
    return Scenario(name, does, refusal=refusal, times=times)


_SCENARIOS = (
    Scenario("401", "401 with a detail", refusal=refuse(401, "Invalid private key")),
    Scenario("404", "404 without a body", refusal=Refusal(404, b"")),
    Scenario("422", "422 naming one place that is wrong", refusal=refuse(422, [_MISSING])),
    _too_many("429", "429 with Retry-After, always"),
    _too_many("429-1-then-ok", "429 with Retry-After once, then fine", 1),
    _too_many("429-2-then-ok", "429 with Retry-After twice, then fine", 2),
    _too_many("429-3-then-ok", "429 with Retry-After three times, then fine", 3),
    Scenario("500", "500 with a bare JSON string", refusal=Refusal(500, b'"Internal Server Error"')),
    Scenario("503", "503 with a detail and no Retry-After", refusal=refuse(503, "Service unavailable")),
    Scenario(
        "503-then-ok",
        "503 with Retry-After once, then fine",
        refusal=refuse(503, "Service unavailable", asks_to_wait=True),
        times=1,
    ),
    Scenario("502-html", "502 with a gateway's HTML page", refusal=Refusal(502, streams.HTML, "text/html")),
    Scenario("slow", "the first byte comes late (`slow` seconds), then fine", slow=True),
    Scenario("stall", "the answer begins, and then nothing more comes", streams.stall, copies.stall),
    Scenario("cut", "the connection is closed in the middle of the answer", streams.cut, copies.cut),
    Scenario("half-event", "the stream ends properly, in the middle of an event", streams.half_event),
    Scenario("error-event", "an `event: error` after the first words", streams.error_event),
    Scenario("error-object", 'an `{"error": ...}` object after the first words', streams.error_object),
    Scenario("no-done", "a whole reply without `[DONE]`", streams.without_end_mark),
    Scenario("role-only", "a first delta with a role and no content", streams.role_first),
    Scenario("null-deltas", "null and empty deltas, and a chunk without choices", streams.null_deltas),
    Scenario("crlf", "lines that end in CR LF, with pieces cut in between", streams.crlf),
    Scenario("one-byte", "a reply in pieces of one byte", streams.one_byte_each),
    Scenario("comments", "a comment before each event, as a keep-alive", streams.with_comments),
    Scenario("200-html", "200 with an HTML page", streams.html, copies.html, media_type="text/html"),
    Scenario(
        "unknown-fields",
        "keys that the contract does not have, at every depth",
        streams.unknown_fields,
        copies.unknown_fields,
    ),
    Scenario(
        "nulls",
        "null for all that is not set; of a copy also the name and the date",
        streams.nulls,
        copies.nulls,
    ),
    Scenario(
        "new-values",
        "values that the contract's known sets do not have",
        streams.new_values,
        copies.new_values,
    ),
    Scenario("seconds", "`created_at` in seconds", duplicate=copies.in_seconds),
    Scenario("iso-date", "`created_at` as an ISO 8601 date", duplicate=copies.as_iso_date),
)

SCENARIOS: dict[str, Scenario] = {scenario.agent_id: scenario for scenario in _SCENARIOS}

MAGIC_IDS: dict[str, str] = {agent_id: scenario.does for agent_id, scenario in SCENARIOS.items()}

AS_DOCUMENTED = Scenario("none", "nothing: the answer is as documented")


def scenario_named(name: str) -> Scenario:
    """Return a scenario by its agent id, or by its name (`cut`).

    Raises:
        ConfigurationError: there is none; the message lists all.
    """
    by_name = {scenario.name: scenario for scenario in _SCENARIOS}
    scenario = by_name.get(name) or SCENARIOS.get(name)
    if scenario is None:
        raise ConfigurationError(f"{name!r} is not a scenario: pass one of {', '.join(by_name)}")
    return scenario
