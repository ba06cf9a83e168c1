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
    """The attributes of a vcrpy cassette that the tests use, because vcrpy lacks type hints."""

    all_played: bool
    play_count: int

    def __len__(self) -> int: ...


CASSETTES = paths.TESTS / "cassettes"
KEY = "any key"

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
    # By default, vcrpy does not compare bodies, so that any chat would match any other.
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
def test_the_sync_client_plays_every_cassette(scenario: Scenario, vcr: Cassette) -> None:
    """The sync client sends every recorded request once, byte for byte, and returns the recorded result."""
    with Millis(KEY, max_retries=NO_WAITING) as millis:
        _check(scenario, play(scenario, millis), vcr)


@pytest.mark.anyio
@pytest.mark.vcr
@pytest.mark.block_network
@played_back
async def test_the_async_client_plays_every_cassette(scenario: Scenario, vcr: Cassette) -> None:
    """The async client sends the same requests and returns the same result."""
    async with AsyncMillis(KEY, max_retries=NO_WAITING) as millis:
        _check(scenario, await aplay(scenario, millis), vcr)


def _check(scenario: Scenario, result: Result, cassette: Cassette) -> None:
    assert cassette.all_played
    assert cassette.play_count == len(cassette) == scenario.requests
    status, body = _last_response(scenario)
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


def _last_response(scenario: Scenario) -> tuple[int, str]:
    response = _load(CASSETTES / f"{scenario.name}.yaml")["interactions"][-1]["response"]
    return response["status"]["code"], response["body"]["string"]


def _text_by_hand(body: str) -> str:
    events = [event.removeprefix("data: ") for event in body.strip().split("\n\n")]
    assert events.pop() == "[DONE]"
    deltas = (json.loads(event)["choices"][0]["delta"] for event in events)
    return "".join(delta.get("content") or "" for delta in deltas)


def _load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_every_scenario_has_a_cassette() -> None:
    """A cassette without a scenario is also an error."""
    assert {path.stem for path in CASSETTES.glob("*.yaml")} == {scenario.name for scenario in SCENARIOS}


@pytest.mark.parametrize("path", sorted(CASSETTES.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_cassette_contains_a_secret(path: Path) -> None:
    """Cassettes are public, so they contain no key, phone number or local address."""
    text = path.read_text()
    assert not re.search(r"authorization|bearer|cookie|api.?key", text, re.IGNORECASE)
    assert not re.search(r"(?<![\w-])[A-Za-z0-9]{28,}(?![\w-])", text)
    assert not re.search(r"\+\d{7,}", text.replace("+15550100", ""))
    assert not re.search(r"127\.0\.0\.1|localhost", text)


@pytest.mark.parametrize("path", sorted(CASSETTES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_cassette_names_its_source(path: Path) -> None:
    """The first line names the mock server or the live service; the URLs have the service's real host."""
    first = path.read_text().splitlines()[0]
    assert re.fullmatch(r"# Recorded from the (mock|live service) by scripts/record.*", first)
    for interaction in _load(path)["interactions"]:
        assert interaction["request"]["uri"].startswith("https://api-west.millis.ai/")
