"""The mock's agents can be added, loaded and copied, as the contract has it."""

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
    """The copy has an id of the service's form, the whole config, and the moment in milliseconds."""
    mock = MockMillis(clock=lambda: 1_700_000_000.25)
    config = {"prompt": "p", "voice": {"provider": "openai", "voice_id": "v"}, "new": {"deep": [None]}}
    original = mock.add_agent(name="Desk", config=config)
    answer = await post(mock.app, duplicate_path(original))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert list(violations(answer.json, "DuplicateAgentResponse")) == []
    assert list(answer.json) == ["id", "name", "config", "created_at"]
    assert re.fullmatch(r"-[A-Za-z0-9_-]{19}", answer.json["id"])
    assert answer.json["id"] != original
    assert answer.json["name"] == "Desk (copy)"
    assert answer.json["config"] == config
    assert answer.json["created_at"] == 1_700_000_000_250


@pytest.mark.anyio
async def test_a_copy_can_be_talked_to_and_copied_again(mock: MockMillis) -> None:
    """A copy is an agent like any other, and each call makes another one."""
    first, second = [(await post(mock.app, duplicate_path())).json["id"] for _ in range(2)]
    assert first != second
    assert (await post(mock.app, CHAT, chat_body(agent_id=first))).status == 200
    third = (await post(mock.app, duplicate_path(first))).json
    assert third["id"] not in (first, second)


@pytest.mark.anyio
async def test_agents_can_come_from_a_file(mock: MockMillis, tmp_path: Path) -> None:
    """A file's agents can be talked to and copied; prompt and voice are filled in where they are not set."""
    saved = tmp_path / "agents.json"
    saved.write_text(json.dumps([{"id": "-a", "name": "A", "config": {"first_message": "Hi"}}, {"id": "-b"}]))
    assert mock.load_agents(saved) == ["-a", "-b"]
    copy = (await post(mock.app, duplicate_path("-a"))).json
    assert copy["name"] == "A (copy)"
    assert copy["config"]["first_message"] == "Hi"
    assert set(copy["config"]) == {"first_message", "prompt", "voice"}
    assert (await post(mock.app, CHAT, chat_body(agent_id="-b"))).status == 200


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        ("nope", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("{}", "must hold a list"),
        ("[]", "must hold a list"),
        ("[7]", r"\[0\]: must be an object"),
        ('[{"id": "-a"}, {"name": "B"}]', r"\[1\]: must be an object: id and name strings"),
        ('[{"id": "-a", "name": 7}]', "id and name strings"),
        ('[{"id": "-a", "config": []}]', "config an object"),
        ('[{"id": "-a"}, {"id": "-a"}]', r"\[1\]: the agent id '-a' is taken"),
        ('[{"id": "no/slash"}]', "is not a valid agent id"),
        ('[{"id": "-a", "config": {"flow": {"response_delay": "x"}}}]', r"flow\.response_delay"),
    ],
)
def test_an_agents_file_that_is_wrong_is_named_with_the_place(
    mock: MockMillis, tmp_path: Path, content: str | None, words: str
) -> None:
    """Whatever is wrong, the error names the file, the agent and the mistake."""
    saved = tmp_path / "agents.json"
    if content is not None:
        saved.write_text(content)
    with pytest.raises(ConfigurationError, match=re.escape(str(saved)) + ".*" + words):
        mock.load_agents(saved)


@pytest.mark.parametrize("agent_id", [DEFAULT_AGENT_ID, next(iter(MAGIC_IDS)), "", "a b", "a/b"])
def test_an_agent_needs_a_free_id(mock: MockMillis, agent_id: str) -> None:
    """Neither the mock's own agents nor what is no id can be added."""
    with pytest.raises(ConfigurationError, match="agent id"):
        mock.add_agent(agent_id)


@pytest.mark.parametrize("config", [{"voice": "v"}, {"prompt": {1}}, {"vad_threshold": float("nan")}, 7])
def test_an_agent_needs_a_config_that_could_be_answered_with(mock: MockMillis, config: Any) -> None:
    """A config that the contract or JSON does not have is refused where it is given."""
    with pytest.raises(ConfigurationError, match="config"):
        mock.add_agent(config=config)
