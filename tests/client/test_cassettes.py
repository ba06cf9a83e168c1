from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Protocol

import paths
import pytest
import yaml
from scenarios import NO_WAITING, SCENARIOS, Duplicate, Result, Scenario, aplay, play

from millis_wrapper import (
    APIStatusError,
    AsyncMillis,
    AuthenticationError,
    ChatReply,
    DuplicatedAgent,
    InternalServerError,
    Millis,
    NotFoundError,
    UnprocessableEntityError,
)


class Cassette(Protocol):
    """What is looked at of a vcrpy cassette; vcrpy has no types."""

    all_played: bool
    play_count: int

    def __len__(self) -> int: ...


CASSETTES = paths.TESTS / "cassettes"
KEY = "the key of whoever plays it back"

ERRORS: dict[str, type[APIStatusError]] = {
    "401": AuthenticationError,
    "404": NotFoundError,
    "422": UnprocessableEntityError,
    "500": InternalServerError,
}


@pytest.fixture
def vcr_cassette_dir() -> str:
    return str(CASSETTES)


@pytest.fixture
def vcr_config() -> dict[str, Any]:
    # By default vcrpy does not look at the body, and then any chat would do for any other.
    return {
        "record_mode": "none",
        "match_on": ("method", "scheme", "host", "port", "path", "query", "body"),
        "allow_playback_repeats": False,
    }


played_back = pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(scenario, id=scenario.name, marks=pytest.mark.default_cassette(f"{scenario.name}.yaml"))
        for scenario in SCENARIOS
    ],
)


@pytest.mark.vcr
@pytest.mark.block_network
@played_back
def test_played_back_sync(scenario: Scenario, vcr: Cassette) -> None:
    """The sync client sends the recorded requests to the letter, each once, and makes of the answers what
    is in them.
    """
    with Millis(KEY, max_retries=NO_WAITING) as millis:
        _check(scenario, play(scenario, millis), vcr)


@pytest.mark.anyio
@pytest.mark.vcr
@pytest.mark.block_network
@played_back
async def test_played_back_async(scenario: Scenario, vcr: Cassette) -> None:
    """The async client does the same with the same cassette."""
    async with AsyncMillis(KEY, max_retries=NO_WAITING) as millis:
        _check(scenario, await aplay(scenario, millis), vcr)


def _check(scenario: Scenario, result: Result, cassette: Cassette) -> None:
    assert cassette.all_played
    assert cassette.play_count == len(cassette) == scenario.requests
    status, body = _last_answer(scenario)
    if status == 200 and isinstance(scenario.call, Duplicate):
        assert isinstance(result, DuplicatedAgent)
        assert result.raw == json.loads(body)
        assert result.id == result.raw["id"]
        assert result.config is not None
        assert result.config.to_dict() == result.raw["config"]
    elif status == 200:
        assert isinstance(result, ChatReply)
        assert result.text == _text_by_hand(body) != ""
        assert result.ended == "done"
    else:
        assert isinstance(result, ERRORS[str(status)])
        assert result.status_code == status == int(scenario.name.rpartition("-")[2])


def _last_answer(scenario: Scenario) -> tuple[int, str]:
    answer = _load(CASSETTES / f"{scenario.name}.yaml")["interactions"][-1]["response"]
    return answer["status"]["code"], answer["body"]["string"]


def _text_by_hand(body: str) -> str:
    events = [event.removeprefix("data: ") for event in body.strip().split("\n\n")]
    assert events.pop() == "[DONE]"
    deltas = (json.loads(event)["choices"][0]["delta"] for event in events)
    return "".join(delta.get("content") or "" for delta in deltas)


def _load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_there_is_a_cassette_for_each_scenario_and_no_other() -> None:
    """No cassette lies about unplayed."""
    assert {path.stem for path in CASSETTES.glob("*.yaml")} == {scenario.name for scenario in SCENARIOS}


@pytest.mark.parametrize("path", sorted(CASSETTES.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_cassette_holds_anything_like_a_key(path: Path) -> None:
    """Cassettes are public: no key, no authorization, no telephone number, no address of a machine."""
    text = path.read_text()
    assert not re.search(r"authorization|bearer|cookie|api.?key", text, re.IGNORECASE)
    assert not re.search(r"(?<![\w-])[A-Za-z0-9]{28,}(?![\w-])", text)
    assert not re.search(r"\+\d{7,}", text.replace("+15550100", ""))
    assert not re.search(r"127\.0\.0\.1|localhost", text)


@pytest.mark.parametrize("path", sorted(CASSETTES.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_cassette_says_where_it_comes_from(path: Path) -> None:
    """A reader can tell a recording of the mock from one of the live service, and all are stored under the
    real host.
    """
    first = path.read_text().splitlines()[0]
    assert re.fullmatch(r"# Recorded from the (mock|live service) by scripts/record.*", first)
    for interaction in _load(path)["interactions"]:
        assert interaction["request"]["uri"].startswith("https://api-west.millis.ai/")
