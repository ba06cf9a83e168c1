"""The real client, sync and async, takes every agent that fails on purpose as it should."""

from __future__ import annotations

import json
import re
from typing import Any

import attrs
import pytest
from clients import Clients

from millis_wrapper import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    ChatReply,
    DuplicatedAgent,
    InternalServerError,
    MillisError,
    NotFoundError,
    RateLimitError,
    StreamFailedError,
    StreamInterruptedError,
    Timeout,
    UnexpectedResponseError,
    UnprocessableEntityError,
)
from millis_wrapper.mock import MockMillis
from millis_wrapper.mock._scenarios import SCENARIOS, scenario_named

TEXT = "one two three four"
BEGINNING = "one two"

# For what never comes: the other calls have all the time there is.
LIMITS = {"slow": Timeout(first_byte=0.05), "stall": Timeout(idle=1)}


@attrs.frozen
class Outcome:
    """What a call has to end in.

    `error`: its class, None for a success. `attempts`: how often the call is sent, with two retries.
    `holds`: attributes of the error or of the result. `reply`: the text that had come before the error.
    """

    error: type[MillisError] | None = None
    attempts: int = 1
    holds: dict[str, Any] = attrs.field(factory=dict[str, Any])
    reply: str | None = None


def refused(cls: type[MillisError], status: int, attempts: int = 1, **holds: Any) -> Outcome:
    return Outcome(cls, attempts, {"status_code": status, **holds})


def said(attempts: int = 1, **holds: Any) -> Outcome:
    return Outcome(None, attempts, {"text": TEXT, "ended": "done", **holds})


def broken(cls: type[MillisError], **holds: Any) -> Outcome:
    return Outcome(cls, 1, holds, BEGINNING)


LIMITED: dict[str, Any] = {"retry_after": 0.0, "detail": "Too many requests"}
COPIED = Outcome()

CHATS: dict[str, Outcome] = {
    "401": refused(AuthenticationError, 401, detail="Invalid private key"),
    "404": refused(NotFoundError, 404, detail=None, body=""),
    "422": refused(UnprocessableEntityError, 422),
    "429": refused(RateLimitError, 429, attempts=3, **LIMITED),
    "429-1-then-ok": said(attempts=2),
    "429-2-then-ok": said(attempts=3),
    "429-3-then-ok": refused(RateLimitError, 429, attempts=3, **LIMITED),
    "500": refused(InternalServerError, 500, detail="Internal Server Error"),
    "503": refused(InternalServerError, 503, retry_after=None),
    "503-then-ok": said(attempts=2),
    "502-html": refused(InternalServerError, 502, detail=None),
    "slow": Outcome(APITimeoutError, holds={"maybe_processed": True}),
    "stall": broken(StreamInterruptedError),
    "cut": broken(StreamInterruptedError),
    "half-event": broken(StreamInterruptedError),
    "error-event": broken(StreamFailedError, error={"message": "the mock's model is overloaded"}),
    "error-object": broken(StreamFailedError),
    "no-done": said(ended="eof"),
    "role-only": said(),
    "null-deltas": said(),
    "crlf": said(),
    "one-byte": said(),
    "comments": said(),
    "200-html": Outcome(UnexpectedResponseError),
    "unknown-fields": said(),
    "nulls": said(finish_reason=None, usage=None),
    "new-values": said(finish_reason="mock_new_reason"),
    "seconds": said(),
    "iso-date": said(),
}

# A copy is sent for again only after a 429: anything else may have made one.
COPIES: dict[str, Outcome] = {
    "401": refused(AuthenticationError, 401),
    "404": refused(NotFoundError, 404),
    "422": refused(UnprocessableEntityError, 422),
    "429": refused(RateLimitError, 429, attempts=3, **LIMITED),
    "429-1-then-ok": attrs.evolve(COPIED, attempts=2),
    "429-2-then-ok": attrs.evolve(COPIED, attempts=3),
    "429-3-then-ok": refused(RateLimitError, 429, attempts=3),
    "500": refused(InternalServerError, 500),
    "503": refused(InternalServerError, 503),
    "503-then-ok": refused(InternalServerError, 503, retry_after=0.0),
    "502-html": refused(InternalServerError, 502),
    "slow": Outcome(APITimeoutError, holds={"maybe_processed": True}),
    "stall": Outcome(APITimeoutError, holds={"maybe_processed": True}),
    "cut": Outcome(APIConnectionError, holds={"maybe_processed": True}),
    "200-html": Outcome(UnexpectedResponseError),
    "nulls": Outcome(holds={"name": None, "created_at": None}),
}


def names() -> list[str]:
    return [scenario.name for scenario in SCENARIOS.values()]


def test_every_scenario_has_its_expected_outcome() -> None:
    """No scenario is added without saying what the client makes of it."""
    assert list(CHATS) == names()
    assert set(COPIES) <= set(names())


@pytest.mark.anyio
@pytest.mark.parametrize("name", names())
async def test_the_client_takes_a_chat_that_goes_wrong(
    clients: Clients, millis_mock: MockMillis, name: str
) -> None:
    """Each scenario ends in the one right error or reply, after the right number of attempts."""
    millis_mock.slow = 30
    outcome = CHATS[name]
    client = clients.patient(millis_mock.url, timeout=LIMITS.get(name))
    agent_id = scenario_named(name).agent_id
    if outcome.error is None:
        hold(await client.chat.send(TEXT, agent_id=agent_id), outcome)
    else:
        with pytest.raises(MillisError) as caught:
            await client.chat.send(TEXT, agent_id=agent_id)
        hold(caught.value, outcome)
    assert [request.agent_id for request in millis_mock.requests] == [agent_id] * outcome.attempts


@pytest.mark.anyio
@pytest.mark.parametrize("name", names())
async def test_the_client_takes_a_copy_that_goes_wrong(
    clients: Clients, millis_mock: MockMillis, name: str
) -> None:
    """Each scenario ends in the one right error or copy, and nothing is copied twice."""
    millis_mock.slow = 30
    outcome = COPIES.get(name, COPIED)
    client = clients.patient(millis_mock.url, timeout=LIMITS.get(name))
    agent_id = scenario_named(name).agent_id
    if outcome.error is None:
        copy = await client.agents.duplicate(agent_id)
        hold(copy, outcome)
        assert re.fullmatch(r"-[A-Za-z0-9_-]{19}", copy.id)
        assert copy.config is not None
        assert copy.config.to_dict() == copy.raw["config"]
        assert copy.name == copy.raw["name"]
    else:
        with pytest.raises(MillisError) as caught:
            await client.agents.duplicate(agent_id)
        hold(caught.value, outcome)
    assert [request.agent_id for request in millis_mock.requests] == [agent_id] * outcome.attempts


def hold(result: ChatReply | DuplicatedAgent | MillisError, outcome: Outcome) -> None:
    if outcome.error is not None:
        assert type(result) is outcome.error
    assert {name: getattr(result, name) for name in outcome.holds} == outcome.holds
    if outcome.reply is not None:
        assert isinstance(result, StreamFailedError | StreamInterruptedError)
        assert (result.reply.text, result.reply.ended) == (outcome.reply, None)


@pytest.mark.anyio
async def test_a_slow_agent_is_fine_for_who_waits(clients: Clients, millis_mock: MockMillis) -> None:
    """Slow is late, and not lost."""
    millis_mock.slow = 0.01
    client = clients.patient(millis_mock.url)
    agent_id = scenario_named("slow").agent_id
    assert (await client.chat.send(TEXT, agent_id=agent_id)).text == TEXT
    assert (await client.agents.duplicate(agent_id)).name == "Mock agent (copy)"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("unknown-fields", [("mock_owner",), ("config", "mock_mood"), ("config", "voice", "mock_pitch")]),
        ("new-values", [("config", "voice", "provider"), ("config", "tools")]),
    ],
)
async def test_what_a_copy_holds_beyond_the_contract_is_kept(
    clients: Clients, millis_mock: MockMillis, name: str, places: list[tuple[str, ...]]
) -> None:
    """Keys and values that nobody foresaw are in `raw`, at every depth."""
    copy = await clients.patient(millis_mock.url).agents.duplicate(scenario_named(name).agent_id)
    for place in places:
        value: Any = copy.raw
        for key in place:
            value = value[key]
        assert "mock" in json.dumps([value, place])


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["seconds", "iso-date"])
async def test_the_moment_of_a_copy_is_read_in_every_form(
    clients: Clients, millis_mock: MockMillis, name: str
) -> None:
    """Milliseconds, seconds and text name one and the same moment, to the second."""
    millis_mock.agents.clock = lambda: 1_700_000_000.0
    copy = await clients.patient(millis_mock.url).agents.duplicate(scenario_named(name).agent_id)
    assert copy.raw["created_at"] in (1_700_000_000, "2023-11-14T22:13:20+00:00")
    assert copy.created_at is not None
    assert copy.created_at.timestamp() == 1_700_000_000.0
