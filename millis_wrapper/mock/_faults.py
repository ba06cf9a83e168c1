"""Faults on demand: agent ids that make the mock go wrong in one way each. README.md lists them."""

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
    """An error status in place of the answer.

    `asks_to_wait`: whether there is a Retry-After; `wait`: its value, None for the mock's own.
    """

    status: int
    body: bytes
    media_type: str = "application/json"
    asks_to_wait: bool = False
    wait: int | str | None = None


@attrs.frozen
class Fault:
    """One way to go wrong.

    `does`: what happens, in one line. `refusal`: what comes in place of an answer, for the first `times`
    requests (None: for all). `slow`: whether the answer begins late. `chat`, `duplicate`: how the answer is
    written. `media_type`: of an answer that is not what its media type says.
    """

    name: str
    does: str
    refusal: Refusal | None = None
    times: int | None = None
    slow: bool = False
    chat: streams.Writer = streams.as_documented
    duplicate: copies.CopyWriter = copies.as_documented
    media_type: str | None = None

    @property
    def agent_id(self) -> str:
        """The agent id that asks for it."""
        return f"{_PREFIX}{self.name}".ljust(ID_LENGTH, "-")

    @property
    def where(self) -> str:
        """The calls in which it shows: `chat`, `duplicate`, or both."""
        everywhere = self.refusal is not None or self.slow
        calls = [
            "chat" if everywhere or self.chat is not streams.as_documented else "",
            "duplicate" if everywhere or self.duplicate is not copies.as_documented else "",
        ]
        return ", ".join(filter(None, calls))


def refuse(status: int, detail: Any, *, asks_to_wait: bool = False, wait: int | str | None = None) -> Refusal:
    """Return a refusal with the service's usual body."""
    body = json.dumps({"detail": detail}).encode()
    return Refusal(status, body, asks_to_wait=asks_to_wait, wait=wait)


def _too_many(name: str, does: str, times: int | None = None) -> Fault:
    return Fault(name, does, refuse(429, "Too many requests", asks_to_wait=True), times=times)


_FAULTS = (
    Fault("401", "401 with a detail", refuse(401, "Invalid private key")),
    Fault("404", "404 without a body", Refusal(404, b"")),
    Fault("422", "422 naming one faulty place", refuse(422, [_MISSING])),
    _too_many("429", "429 with Retry-After, always"),
    _too_many("429-1-then-ok", "429 with Retry-After once, then fine", 1),
    _too_many("429-2-then-ok", "429 with Retry-After twice, then fine", 2),
    _too_many("429-3-then-ok", "429 with Retry-After three times, then fine", 3),
    Fault("500", "500 with a bare JSON string", Refusal(500, b'"Internal Server Error"')),
    Fault("503", "503 with a detail and no Retry-After", refuse(503, "Service unavailable")),
    Fault(
        "503-then-ok",
        "503 with Retry-After once, then fine",
        refuse(503, "Service unavailable", asks_to_wait=True),
        times=1,
    ),
    Fault("502-html", "502 with a gateway's HTML page", Refusal(502, streams.HTML, "text/html")),
    Fault("slow", "the first byte comes late (`slow` seconds), then fine", slow=True),
    Fault(
        "stall",
        "the answer begins, and then nothing more comes",
        chat=streams.stall,
        duplicate=copies.stall,
    ),
    Fault(
        "cut",
        "the connection is closed in the middle of the answer",
        chat=streams.cut,
        duplicate=copies.cut,
    ),
    Fault("half-event", "the stream ends properly, in the middle of an event", chat=streams.half_event),
    Fault("error-event", "an `event: error` after the first words", chat=streams.error_event),
    Fault("error-object", 'an `{"error": ...}` object after the first words', chat=streams.error_object),
    Fault("no-done", "a whole reply without `[DONE]`", chat=streams.without_end_mark),
    Fault("role-only", "a first delta with a role and no content", chat=streams.role_first),
    Fault("null-deltas", "null and empty deltas, and a chunk without choices", chat=streams.null_deltas),
    Fault("crlf", "lines that end in CR LF, with pieces cut in between", chat=streams.crlf),
    Fault("one-byte", "a reply in pieces of one byte", chat=streams.one_byte_each),
    Fault("comments", "a comment before each event, as a keep-alive", chat=streams.with_comments),
    Fault(
        "200-html",
        "200 with an HTML page",
        chat=streams.html,
        duplicate=copies.html,
        media_type="text/html",
    ),
    Fault(
        "unknown-fields",
        "keys that the contract does not have, at every depth",
        chat=streams.unknown_fields,
        duplicate=copies.unknown_fields,
    ),
    Fault(
        "nulls",
        "null for all that is not set; of a copy also the name and the date",
        chat=streams.nulls,
        duplicate=copies.nulls,
    ),
    Fault(
        "new-values",
        "values that the contract's known sets do not have",
        chat=streams.new_values,
        duplicate=copies.new_values,
    ),
    Fault("seconds", "`created_at` in seconds", duplicate=copies.in_seconds),
    Fault("iso-date", "`created_at` as an ISO 8601 date", duplicate=copies.as_iso_date),
)

FAULTS: dict[str, Fault] = {fault.agent_id: fault for fault in _FAULTS}

MAGIC_IDS: dict[str, str] = {agent_id: fault.does for agent_id, fault in FAULTS.items()}

NO_FAULT = Fault("none", "nothing: the answer is as documented")


def fault_named(name: str) -> Fault:
    """Return a fault by its agent id, or by its name (`cut`); raises ConfigurationError, listing all."""
    for fault in _FAULTS:
        if name in (fault.name, fault.agent_id):
            return fault
    raise ConfigurationError(f"{name!r} is no fault; there are " + ", ".join(fault.name for fault in _FAULTS))
