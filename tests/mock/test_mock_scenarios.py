"""Every failure scenario leads to the right error or result in the clients, sync and async."""

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

# Short timeouts for responses that never arrive. The other calls use the defaults.
LIMITS = {"slow": Timeout(first_byte=0.05), "stall": Timeout(idle=1)}


@attrs.frozen
class Outcome:
    """The expected outcome of a call.

    `error`: the class of the error, or None. `attempts`: the number of requests, with up to two retries.
    `holds`: attributes of the error or the result. `reply`: the text received before the error.
    """

    error: type[MillisError] | None = None
    attempts: int = 1
    holds: dict[str, Any] = attrs.field(factory=dict[str, Any])
    reply: str | None = None


def refused(cls: type[MillisError], status: int, attempts: int = 1, **holds: Any) -> Outcome:
    return Outcome(cls, attempts, {"status_code": status, **holds})


def replied(attempts: int = 1, **holds: Any) -> Outcome:
    return Outcome(None, attempts, {"text": TEXT, "ended": "done", **holds})


def cut_off(cls: type[MillisError], **holds: Any) -> Outcome:
    return Outcome(cls, 1, holds, BEGINNING)


LIMITED: dict[str, Any] = {"retry_after": 0.0, "detail": "Too many requests"}
COPIED = Outcome()

CHATS: dict[str, Outcome] = {
    "401": refused(AuthenticationError, 401, detail="Invalid private key"),
    "404": refused(NotFoundError, 404, detail=None, body=""),
    "422": refused(UnprocessableEntityError, 422),
    "429": refused(RateLimitError, 429, attempts=3, **LIMITED),
    "429-1-then-ok": replied(attempts=2),
    "429-2-then-ok": replied(attempts=3),
    "429-3-then-ok": refused(RateLimitError, 429, attempts=3, **LIMITED),
    "500": refused(InternalServerError, 500, detail="Internal Server Error"),
    "503": refused(InternalServerError, 503, retry_after=None),
    "503-then-ok": replied(attempts=2),
    "502-html": refused(InternalServerError, 502, detail=None),
    "slow": Outcome(APITimeoutError, holds={"maybe_processed": True}),
    "stall": cut_off(StreamInterruptedError),
    "cut": cut_off(StreamInterruptedError),
    "half-event": cut_off(StreamInterruptedError),
    "error-event": cut_off(StreamFailedError, error={"message": "the mock's model is overloaded"}),
    "error-object": cut_off(StreamFailedError),
    "no-done": replied(ended="eof"),
    "role-only": replied(),
    "null-deltas": replied(),
    "crlf": replied(),
    "one-byte": replied(),
    "comments": replied(),
    "200-html": Outcome(UnexpectedResponseError),
    "unknown-fields": replied(),
    "nulls": replied(finish_reason=None, usage=None),
    "new-values": replied(finish_reason="mock_new_reason"),
    "seconds": replied(),
    "iso-date": replied(),
}

# A duplicate is retried only after a 429, because any other failure may have made a copy.
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


def test_every_scenario_has_an_expected_outcome() -> None:
    """A new scenario needs an expected outcome of a chat in this file."""
    assert list(CHATS) == names()
    assert set(COPIES) <= set(names())


@pytest.mark.anyio
@pytest.mark.parametrize("name", names())
async def test_a_chat_ends_with_the_expected_outcome(
    clients: Clients, millis_mock: MockMillis, name: str
) -> None:
    """Every scenario ends with the expected error or reply after the expected number of attempts."""
    millis_mock.slow = 30
    outcome = CHATS[name]
    client = clients.without_sleep(millis_mock.url, timeout=LIMITS.get(name))
    agent_id = scenario_named(name).agent_id
    if outcome.error is None:
        check(await client.chat.send(TEXT, agent_id=agent_id), outcome)
    else:
        with pytest.raises(MillisError) as caught:
            await client.chat.send(TEXT, agent_id=agent_id)
        check(caught.value, outcome)
    assert [request.agent_id for request in millis_mock.requests] == [agent_id] * outcome.attempts


@pytest.mark.anyio
@pytest.mark.parametrize("name", names())
async def test_a_duplicate_ends_with_the_expected_outcome(
    clients: Clients, millis_mock: MockMillis, name: str
) -> None:
    """Every scenario ends with the expected error or copy, and an agent is not duplicated twice."""
    millis_mock.slow = 30
    outcome = COPIES.get(name, COPIED)
    client = clients.without_sleep(millis_mock.url, timeout=LIMITS.get(name))
    agent_id = scenario_named(name).agent_id
    if outcome.error is None:
        copy = await client.agents.duplicate(agent_id)
        check(copy, outcome)
        assert re.fullmatch(r"-[A-Za-z0-9_-]{19}", copy.id)
        assert copy.config is not None
        assert copy.config.to_dict() == copy.raw["config"]
        assert copy.name == copy.raw["name"]
    else:
        with pytest.raises(MillisError) as caught:
            await client.agents.duplicate(agent_id)
        check(caught.value, outcome)
    assert [request.agent_id for request in millis_mock.requests] == [agent_id] * outcome.attempts


def check(result: ChatReply | DuplicatedAgent | MillisError, outcome: Outcome) -> None:
    if outcome.error is not None:
        assert type(result) is outcome.error
    assert {name: getattr(result, name) for name in outcome.holds} == outcome.holds
    if outcome.reply is not None:
        assert isinstance(result, StreamFailedError | StreamInterruptedError)
        assert (result.reply.text, result.reply.ended) == (outcome.reply, None)


@pytest.mark.anyio
async def test_a_slow_response_within_the_timeout_succeeds(clients: Clients, millis_mock: MockMillis) -> None:
    """The scenario `slow` delays the response without any other failure."""
    millis_mock.slow = 0.01
    client = clients.without_sleep(millis_mock.url)
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
async def test_unknown_keys_and_values_of_a_copy_are_kept(
    clients: Clients, millis_mock: MockMillis, name: str, places: list[tuple[str, ...]]
) -> None:
    """`raw` contains unknown keys and values at every depth."""
    copy = await clients.without_sleep(millis_mock.url).agents.duplicate(scenario_named(name).agent_id)
    for place in places:
        value: Any = copy.raw
        for key in place:
            value = value[key]
        assert "mock" in json.dumps([value, place])


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["seconds", "iso-date"])
async def test_the_time_of_a_copy_is_parsed_in_every_form(
    clients: Clients, millis_mock: MockMillis, name: str
) -> None:
    """Milliseconds, seconds and ISO 8601 text give the same time, to the second."""
    millis_mock.agents.clock = lambda: 1_700_000_000.0
    copy = await clients.without_sleep(millis_mock.url).agents.duplicate(scenario_named(name).agent_id)
    assert copy.raw["created_at"] in (1_700_000_000, "2023-11-14T22:13:20+00:00")
    assert copy.created_at is not None
    assert copy.created_at.timestamp() == 1_700_000_000.0
