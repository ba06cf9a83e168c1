"""`millis duplicate`: output, and no copy that is lost or created twice."""

from __future__ import annotations

import json
import sys

import pytest
from cli_runs import AGENT, Cli

from millis_wrapper.mock import MockMillis


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], millis_mock: MockMillis) -> Cli:
    """The command in this process, with the mock server as its service."""
    return Cli(monkeypatch, capsys).asking(millis_mock.url)


def test_duplicate_prints_only_the_id_of_the_copy(cli: Cli, millis_mock: MockMillis) -> None:
    """`COPY=$(millis duplicate ID)` sets the id of an agent that accepts chats."""
    ran = cli("duplicate", AGENT)
    assert (ran.code, ran.err) == (0, "")
    assert cli("chat", ran.out.strip(), "-m", "Hello").out == "Hello\n"


def test_duplicate_json_prints_the_full_response(cli: Cli) -> None:
    """Unknown fields are included."""
    ran = cli("duplicate", "-mock-unknown-fields", "--json")
    copy = json.loads(ran.out)
    assert (ran.code, ran.out.count("\n")) == (0, 1)
    assert copy["id"].startswith("-")
    assert copy["mock_owner"] == {"id": 7}


def test_duplicate_is_not_retried_if_a_copy_may_exist(cli: Cli, millis_mock: MockMillis) -> None:
    """Only one request is sent, and the message warns that a copy may exist."""
    ran = cli("duplicate", "-mock-cut-----------")
    assert (ran.code, ran.out) == (1, "")
    assert "a copy may exist" in ran.error
    assert len(millis_mock.requests) == 1


@pytest.mark.parametrize(
    ("arguments", "key_words"),
    [
        (["duplicate", AGENT], ["the copy -", "created", "stdout"]),
        (["duplicate", AGENT, "--json"], ["the copy -", "created", "stdout"]),
        (["chat", AGENT, "-m", "Hi"], ["stdout: ", "No space left"]),
    ],
)
def test_a_full_disk_does_not_lose_the_id_of_a_copy(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, arguments: list[str], key_words: list[str]
) -> None:
    """If the id cannot be written to stdout, the error message contains it."""
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        ran = cli(*arguments)
    assert ran.code == 1
    assert all(key_word in ran.error for key_word in key_words)


def test_a_closed_stdout_does_not_lose_the_id_of_a_copy(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """`millis duplicate ID >&-` prints the id in the error message."""
    monkeypatch.setattr(sys, "stdout", None)
    ran = cli("duplicate", AGENT)
    assert ran.code == 1
    assert ran.error.startswith("millis: the copy -")
    ran = cli("contract", "prompt")
    assert ran.code == 1
    assert "stdout is closed" in ran.error
