"""scripts/probe: what it finds in a service that departs from the contract, and what edits it suggests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from probe_departures import DEPARTURES, refused
from probe_runs import (
    BEARER,
    BELOW,
    CHUNKS,
    CREATED,
    DUPLICATE,
    END,
    KEY,
    LAST,
    LIMITS,
    LINES,
    MISSING,
    NAME,
    NO_AGENT,
    PLAIN_TURN,
    REQUEST_ID,
    UNSET,
    WRONG,
    Probe,
    Service,
)

from millis_wrapper import contract
from millis_wrapper.mock import MockMillis
from scripts.probing import promises
from scripts.probing.exchanges import NO_SUCH_KEY


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    service = Service(MockMillis(api_key=KEY))
    with service.mock:
        yield service


@pytest.fixture
def run(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Probe:
    return Probe(service, monkeypatch, capsys, tmp_path)


# By fault of the mock: the verdicts that it changes, and parts of the edits.
FAULTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "comments": ({}, {}),
    "crlf": ({}, {}),
    "no-done": (
        {END: "not the same"},
        {END: "`components.schemas.ChatStreamEnd`, and the example: the mark is not sent"},
    ),
    "half-event": ({END: "not the same"}, {END: "say that it ends in the middle of an event"}),
    "role-only": ({}, {CHUNKS: "`choices[].delta.role` can have the `x-origin` observed"}),
    "unknown-fields": (
        {CHUNKS: "not the same", LINES: "not the same", DUPLICATE: "not the same"},
        {
            CHUNKS: "at `choices[].delta`: add `mock_tone`, `type: string`",
            LINES: "say that `event`, `id` lines come",
            DUPLICATE: "at `config.voice`: add `mock_pitch`, `type: object`",
        },
    ),
    "nulls": (
        {NAME: "not the same", CREATED: "not the same", UNSET: "not the same", DUPLICATE: "not the same"},
        {UNSET: "and the example: unset keys are null", DUPLICATE: "at `name`: allow `type: null`"},
    ),
    "seconds": ({CREATED: "not the same"}, {CREATED: "`x-unit: seconds`"}),
    "iso-date": ({CREATED: "not the same", DUPLICATE: "not the same"}, {CREATED: "`type: string`"}),
    "200-html": (
        {PLAIN_TURN: "not the same", CHUNKS: "not asked", LAST: "not asked", CREATED: "not asked"},
        {PLAIN_TURN: "add text/html to `content`"},
    ),
    "error-event": ({CHUNKS: "failed", END: "failed", LAST: "failed"}, {}),
    "error-object": ({CHUNKS: "failed", END: "failed", LAST: "failed"}, {}),
    "cut": ({PLAIN_TURN: "failed", DUPLICATE: "failed"}, {}),
    "429": ({PLAIN_TURN: "failed", BELOW: "failed", LIMITS: "not the same"}, {LIMITS: "add `retry-after`"}),
    "500": (
        {PLAIN_TURN: "not the same", BEARER: "not asked", DUPLICATE: "not asked"},
        {PLAIN_TURN: "none, before"},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_mock_shows(run: Probe, fault: str) -> None:
    """The ways in which the mock can depart are found under the questions that they are about."""
    verdicts, edits = FAULTS[fault]
    ran = run.about(f"-mock-{fault}".ljust(20, "-"))("--make-a-copy")
    assert ran.verdicts | verdicts == ran.verdicts
    assert ran.verdicts[WRONG] == ran.verdicts[MISSING] == "same"
    assert all(edit in ran.edits[question] for question, edit in edits.items())
    assert ran.code == int(bool(verdicts))


@pytest.mark.parametrize("departure", DEPARTURES)
def test_a_departure_is_found_and_an_edit_suggested(run: Probe, departure: str) -> None:
    """What the service does otherwise is told under its question, with how the contract should change."""
    run.service.depart, questions, says, edit = DEPARTURES[departure]
    ran = run("--make-a-copy")
    assert ran.code == 1
    assert ran.differing == questions
    assert any(says in ran.table[question][1] for question in questions)
    assert any(edit in ran.edits[question] for question in questions)
    assert all(ran.edits[question] in ran.out for question in questions)


def test_what_the_contract_leaves_open_comes_with_an_edit_too(run: Probe) -> None:
    """An answer that fits and tells more than the contract does is the same, and the edit puts it down."""
    ran = run("--make-a-copy")
    assert ran.edits == {
        WRONG: "`paths./chat/completions.post.responses`: list `'401'`",
        MISSING: "`paths./chat/completions.post.responses`: list `'401'`",
        BEARER: "`paths./chat/completions.post.responses`: list `'401'`",
        NO_AGENT: "`paths./chat/completions.post.responses`: list `'404'`",
        CREATED: "`components.schemas.DuplicateAgentResponse` at `created_at`:"
        " can have `x-unit: milliseconds`",
    }


def test_what_the_contract_says_is_read_from_it(run: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an edited contract, the probe holds the service against the edited one."""
    edited: Any = json.loads(json.dumps(contract.load()))
    chat = edited["paths"]["/chat/completions"]["post"]["responses"]
    chat["401"] = {**edited["components"]["responses"]["Failure"], "headers": {"X-Request-Id": {}}}
    chat["200"]["content"]["text/event-stream"]["x-event-stream"]["end-required"] = True
    copies = edited["paths"]["/agents/{agent_id}/duplicate"]["post"]["responses"]
    copies["200"]["content"]["application/json"]["examples"]["copy"]["value"]["name"] = "Copy of Front desk"
    monkeypatch.setattr(promises, "load", lambda: edited)
    run.service.depart = lambda asked: (
        refused(403, {"detail": "No"}, **{"x-request-id": "1"}) if asked.key == NO_SUCH_KEY else None
    )
    ran = run("--make-a-copy")
    assert ran.table[WRONG][0] == "401 with ErrorResponse"
    assert ran.table[REQUEST_ID] == ("`x-request-id`", "`x-request-id`", "same")
    assert ran.table[END][0] == "it must close with `[DONE]`; its example does"
    assert ran.table[NAME][0] == 'in its example it begins with "copy of"'
    assert ran.differing == {WRONG, NAME}
