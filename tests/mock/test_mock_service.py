"""The mock server records requests, fails on request, and can be reset."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from asgi import CHAT, chat_body, duplicate_path, post, texts

from millis_wrapper import ConfigurationError, Millis
from millis_wrapper._text import short_repr
from millis_wrapper.mock import MockMillis
from millis_wrapper.mock._requests import MAX_REMEMBERED, MockRequest

CUTTING = "-mock-cut-----------"


@pytest.mark.anyio
async def test_requests_are_recorded_without_the_key(mock: MockMillis) -> None:
    """The mock server also records refused requests, and masks the key."""
    await post(mock.app, CHAT, chat_body(agent_id="-x"), headers={"authorization": "s3cret"})
    await post(mock.app, duplicate_path("-y"), headers={"authorization": "s3cret"})
    await post(mock.app, CHAT, b"{half", headers={"X-Trace": "7"})
    chat, duplicate, half = mock.requests
    assert (chat.operation, chat.agent_id, chat.body) == ("chat", "-x", chat_body(agent_id="-x"))
    assert (duplicate.operation, duplicate.agent_id, duplicate.body) == ("duplicate", "-y", None)
    assert (half.agent_id, half.body, half.headers["x-trace"]) == (None, "{half", "7")
    assert chat.headers["authorization"] == "****"
    assert "s3cret" not in repr(mock.requests)


@pytest.mark.anyio
@pytest.mark.parametrize("as_text", [False, True])
async def test_the_repr_of_a_request_masks_secrets(mock: MockMillis, as_text: bool) -> None:
    """`body` contains the secrets of a config unchanged, but a failing test does not print them."""
    tool = {"name": "a", "description": "b", "header": {"X-Key": "s3cret"}}
    body = {**chat_body(), "agent": {"agent_config": {"tools": [tool]}}}
    await post(mock.app, CHAT, f"{json.dumps(body)}]".encode() if as_text else body)
    assert "s3cret" in str(mock.requests[-1].body)
    assert "s3cret" not in repr(mock.requests)


def test_only_the_latest_requests_are_recorded(mock: MockMillis) -> None:
    """The memory for recorded requests is limited."""
    for number in range(MAX_REMEMBERED + 1):
        mock.remember(MockRequest("duplicate", str(number), {}))
    assert len(mock.requests) == MAX_REMEMBERED
    assert mock.requests[-1].agent_id == str(MAX_REMEMBERED)


@pytest.mark.anyio
async def test_fail_next_makes_the_next_valid_requests_fail(mock: MockMillis) -> None:
    """Failures queue up and apply to any agent and operation. An invalid request does not use them up."""
    mock.fail_next(503, retry_after=7)
    mock.fail_next("half-event", times=2)
    mock.fail_next(CUTTING)
    refused = await post(mock.app, CHAT, {})
    assert refused.status == 422
    first = await post(mock.app, duplicate_path())
    assert (first.status, first.headers["retry-after"]) == (503, "7")
    for _ in range(2):
        assert (await post(mock.app, CHAT, chat_body())).body.endswith(b'"con')
    assert (await post(mock.app, CHAT, chat_body())).cut
    assert (await post(mock.app, CHAT, chat_body())).body.endswith(b"[DONE]\n\n")


@pytest.mark.parametrize("scenario", [200, 299, 600, True, None, 5.0, "nope", "-mock-agent---------"])
def test_an_unknown_scenario_is_rejected(mock: MockMillis, scenario: Any) -> None:
    """A misspelled name raises an error instead of making a test pass."""
    with pytest.raises(ConfigurationError, match=re.escape(short_repr(scenario))):
        mock.fail_next(scenario)


def test_invalid_arguments_of_fail_next_are_rejected(mock: MockMillis) -> None:
    """The message names the argument; Retry-After cannot be combined with a scenario."""
    for times in (0, True, "2", None):
        with pytest.raises(ConfigurationError, match=r"^times: "):
            mock.fail_next(times=times)  # type: ignore[arg-type]  # a type checker rejects it, too
    with pytest.raises(ConfigurationError, match=r"^retry_after: "):
        mock.fail_next(429, retry_after=1.5)  # type: ignore[arg-type]  # as above
    with pytest.raises(ConfigurationError, match=r"^retry_after: "):
        mock.fail_next("cut", retry_after=1)


@pytest.mark.anyio
async def test_reset_restores_the_initial_state() -> None:
    """Replies, failures, agents, settings, counters and requests are reset."""
    mock = MockMillis(pace=0, slow=3, retry_after=5)
    added = mock.add_agent()
    await post(mock.app, CHAT, chat_body(agent_id="-mock-429-1-then-ok-"))
    mock.reply_with("changed")
    mock.fail_next(times=2)
    mock.pace, mock.slow, mock.retry_after = 1, 1, 1
    mock.reset()
    assert mock.requests == []
    assert (mock.pace, mock.slow, mock.retry_after) == (0, 3, 5)
    assert (await post(mock.app, CHAT, chat_body(agent_id=added))).status == 404
    refused = await post(mock.app, CHAT, chat_body(agent_id="-mock-429-1-then-ok-"))
    assert (refused.status, refused.headers["retry-after"]) == (429, "5")
    assert texts((await post(mock.app, CHAT, chat_body())).body) == ["Hello"]


def test_the_repr_shows_the_url_and_the_number_of_agents_and_requests(mock: MockMillis) -> None:
    """A failing test shows the state of the mock server."""
    mock.add_agent()
    assert repr(mock) == "<MockMillis not running: 2 agents, 0 requests>"
    mock.remember(MockRequest("duplicate", "-x", {}))
    with mock:
        assert repr(mock) == f"<MockMillis at {mock.url}: 2 agents, 1 requests>"


@pytest.mark.parametrize(("host", "named"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]")])
def test_the_url_can_be_used_by_a_client(mock: MockMillis, host: str, named: str) -> None:
    """For a host that means all addresses, the URL names the loopback address."""
    with mock.start(host=host), Millis("any-key", base_url=mock.url) as millis:
        assert re.fullmatch(rf"http://{re.escape(named)}:\d+", mock.url)
        assert millis.agents.duplicate("-mock-agent---------").id
