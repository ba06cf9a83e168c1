"""Agents of the mock server can be added, loaded from a file and duplicated."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from asgi import CHAT, chat_body, duplicate_path, post

from millis_wrapper import ConfigurationError
from millis_wrapper.contract._validation import violations
from millis_wrapper.mock import DEFAULT_AGENT_ID, MAGIC_IDS, MockMillis


@pytest.mark.anyio
async def test_a_copy_is_a_new_agent_with_the_same_config() -> None:
    """The copy has a new id in the service's form, the same config, and its time in milliseconds."""
    mock = MockMillis(clock=lambda: 1_700_000_000.25)
    config = {"prompt": "p", "voice": {"provider": "openai", "voice_id": "v"}, "new": {"deep": [None]}}
    original = mock.add_agent(name="Desk", config=config)
    response = await post(mock.app, duplicate_path(original))
    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    assert list(violations(response.json, "DuplicateAgentResponse")) == []
    assert list(response.json) == ["id", "name", "config", "created_at"]
    assert re.fullmatch(r"-[A-Za-z0-9_-]{19}", response.json["id"])
    assert response.json["id"] != original
    assert response.json["name"] == "Desk (copy)"
    assert response.json["config"] == config
    assert response.json["created_at"] == 1_700_000_000_250


@pytest.mark.anyio
async def test_a_copy_can_chat_and_be_duplicated(mock: MockMillis) -> None:
    """A copy works like any other agent, and every duplicate request makes another copy."""
    first, second = [(await post(mock.app, duplicate_path())).json["id"] for _ in range(2)]
    assert first != second
    assert (await post(mock.app, CHAT, chat_body(agent_id=first))).status == 200
    third = (await post(mock.app, duplicate_path(first))).json
    assert third["id"] not in (first, second)


@pytest.mark.anyio
async def test_agents_can_be_loaded_from_a_file(mock: MockMillis, tmp_path: Path) -> None:
    """Loaded agents can chat and be duplicated; defaults for a missing prompt and voice are added."""
    saved = tmp_path / "agents.json"
    saved.write_text(json.dumps([{"id": "-a", "name": "A", "config": {"first_message": "Hi"}}, {"id": "-b"}]))
    assert mock.load_agents(saved) == ["-a", "-b"]
    copy = (await post(mock.app, duplicate_path("-a"))).json
    assert copy["name"] == "A (copy)"
    assert copy["config"]["first_message"] == "Hi"
    assert set(copy["config"]) == {"first_message", "prompt", "voice"}
    assert (await post(mock.app, CHAT, chat_body(agent_id="-b"))).status == 200


@pytest.mark.parametrize(
    ("content", "key_word"),
    [
        (None, "No such file"),
        ("nope", "not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("{}", "a list"),
        ("[]", "a list"),
        ("[7]", r"\[0\]: must be an object"),
        ('[{"id": "-a"}, {"name": "B"}]', r"\[1\]: .* id\b"),
        ('[{"id": "-a", "name": 7}]', r"name \(string\)"),
        ('[{"id": "-a", "config": []}]', r"config \(object\)"),
        ('[{"id": "-a"}, {"id": "-a"}]', r'\[1\]: agent_id: "-a" already exists'),
        ('[{"id": "no/slash"}]', "agent_id: .*no/slash"),
        ('[{"id": "-a", "config": {"flow": {"response_delay": "x"}}}]', r"flow\.response_delay"),
    ],
)
def test_the_message_for_an_invalid_agents_file_names_the_file_and_the_place(
    mock: MockMillis, tmp_path: Path, content: str | None, key_word: str
) -> None:
    """The message names the file, the index of the agent and the mistake."""
    saved = tmp_path / "agents.json"
    if content is not None:
        saved.write_text(content)
    with pytest.raises(ConfigurationError, match=re.escape(str(saved)) + ".*" + key_word):
        mock.load_agents(saved)


@pytest.mark.parametrize("agent_id", [DEFAULT_AGENT_ID, next(iter(MAGIC_IDS)), "", "a b", "a/b"])
def test_an_agent_needs_a_new_and_valid_id(mock: MockMillis, agent_id: str) -> None:
    """The ids of the mock server's own agents and invalid ids are rejected."""
    with pytest.raises(ConfigurationError, match=r"^agent_id: "):
        mock.add_agent(agent_id)


@pytest.mark.parametrize(
    "config",
    [
        {"tools": [{"name": "a", "description": "b", "header": {"X-Key": ["s3cret"]}}]},
        {"tools": [{"name": "a", "description": "b", "header": "s3cret"}]},
        {"session_data_webhook": ["https://ada:s3cret@example.com"]},
        {"session_data_webhook": {"url": 5, "headers": "s3cret"}},
    ],
)
def test_an_error_about_a_config_does_not_show_secrets(mock: MockMillis, config: Any) -> None:
    """The error names the field and masks its value."""
    with pytest.raises(ConfigurationError, match=next(iter(config))) as caught:
        mock.add_agent(config=config)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("config", [{"voice": "v"}, {"prompt": {1}}, {"vad_threshold": float("nan")}, 7])
def test_an_agent_needs_a_valid_config(mock: MockMillis, config: Any) -> None:
    """A config that does not match the contract, or that JSON cannot encode, is rejected when it is added."""
    with pytest.raises(ConfigurationError, match="config"):
        mock.add_agent(config=config)
