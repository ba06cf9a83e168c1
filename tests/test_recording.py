from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from paths import ROOT
from scenarios import SCENARIOS

from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis

CASSETTES = ROOT / "tests" / "cassettes"

KEY = "aVeryPrivateKeyOf32CharactersXyz"
AGENT_ID = "-ThePrivateAgentOf20"
PRIVATE = {
    "prompt": "You speak for Dr. Wetherby of Tunbridge Wells.",
    "voice": {"provider": "elevenlabs", "voice_id": "voice-of-wetherby"},
    "session_data_webhook": {
        "url": "https://wetherby.example/hook",
        "headers": {"x-wetherby-token": "t0psecret"},
    },
    "flow": {"call_transfer": {"phone": "+441892555123"}},
    "app_functions": [{"name": "book_meeting_slot", "credentials": {"wetherby-login": "t0psecret"}}],
}


def _record(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts._record", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": "tests", **env}, capture_output=True, text=True
    )


def test_the_cassettes_are_up_to_date_with_the_mock(tmp_path: Path) -> None:
    """Recording from the mock writes the committed cassettes again, byte for byte."""
    assert _record("--into", str(tmp_path)).returncode == 0
    for scenario in SCENARIOS:
        here = (CASSETTES / f"{scenario.name}.yaml").read_text()
        if here.startswith("# Recorded from the mock"):
            assert (tmp_path / f"{scenario.name}.yaml").read_text() == here


def test_a_live_recording_contains_no_secret_and_no_text_of_the_user(tmp_path: Path) -> None:
    """The key, ids, texts, URLs and phone numbers are masked; the structure of the data is kept."""
    with MockMillis() as mock:
        mock.add_agent(AGENT_ID, name="Wetherby's agent", config=PRIVATE)
        mock.reply_with("Dr. Wetherby is in at 10.")
        done = _record(
            "--live",
            "--make-a-copy",
            "--into",
            str(tmp_path),
            MILLIS_API_KEY=KEY,
            MILLIS_AGENT_ID=AGENT_ID,
            MILLIS_BASE_URL=mock.url,
        )
        asked = len(mock.requests)
    assert done.returncode == 0, done.stderr
    cassettes = {path.stem: path.read_text() for path in tmp_path.glob("*.yaml")}
    assert set(cassettes) == {scenario.name for scenario in SCENARIOS if scenario.live}
    assert asked == sum(scenario.requests for scenario in SCENARIOS if scenario.live)
    for text in cassettes.values():
        for secret in (KEY, AGENT_ID, "etherby", "t0psecret", "1892", "127.0.0.1"):
            assert secret not in text
        assert text.startswith("# Recorded from the live service by scripts/record --live")
    copy = json.loads(
        yaml.safe_load(cassettes["duplicate-full"])["interactions"][0]["response"]["body"]["string"]
    )
    assert copy["config"]["voice"]["provider"] == "elevenlabs"
    assert copy["config"]["flow"] == {"call_transfer": {"phone": "+000000000000"}}


def test_a_live_recording_can_be_played_back(tmp_path: Path) -> None:
    """A reply is masked the same way in its response and in the history of the next request."""
    with MockMillis() as mock:
        mock.reply_with("Dr. Wetherby is in at 10.")
        done = _record(
            "--live",
            "--into",
            str(tmp_path),
            "chat-three-turns",
            MILLIS_API_KEY=KEY,
            MILLIS_AGENT_ID=DEFAULT_AGENT_ID,
            MILLIS_BASE_URL=mock.url,
        )
    assert done.returncode == 0, done.stderr
    interactions = yaml.safe_load((tmp_path / "chat-three-turns.yaml").read_text())["interactions"]
    histories = [json.loads(interaction["request"]["body"])["messages"] for interaction in interactions]
    assert [message["content"] for message in histories[-1]][1:4:2] == ["xx. xxxxxxxx xx xx xx 00."] * 2


def test_a_live_recording_duplicates_only_with_make_a_copy(tmp_path: Path) -> None:
    """Without --make-a-copy, the script sends nothing and mentions the option: a copy is permanent."""
    with MockMillis() as mock:
        done = _record(
            "--live",
            "--into",
            str(tmp_path),
            "duplicate-full",
            MILLIS_API_KEY=KEY,
            MILLIS_AGENT_ID=DEFAULT_AGENT_ID,
            MILLIS_BASE_URL=mock.url,
        )
        assert mock.requests == []
    assert "--make-a-copy" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "key_word"),
    [(("--live",), "MILLIS_AGENT_ID"), (("nonsense",), "unknown scenario nonsense")],
)
def test_the_message_for_a_wrong_call_names_the_mistake(
    arguments: tuple[str, ...], key_word: str, tmp_path: Path
) -> None:
    """The script exits with status 2 and records nothing."""
    done = _record("--into", str(tmp_path), *arguments, MILLIS_AGENT_ID="")
    assert done.returncode == 2
    assert key_word in done.stderr
    assert not list(tmp_path.iterdir())
