"""scripts/probe: what it shows and writes down has no key, no id and none of an agent's text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from probe_departures import copy
from probe_runs import AGENT, CHUNKS, DUPLICATE, KEY, Asked, Probe, Service
from starlette.responses import JSONResponse, Response

from millis_wrapper.mock import MockMillis


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


WORDS = ["Adalbert", "Lovelace", "Rosebud", "Passwort", "Mulberry", "secret-tone", "Quince"]


def telltale(asked: Asked) -> Response | None:
    """Answer with the key, the agent's id and the agent's words wherever an answer has room for them."""
    ada, lovelace, rosebud, password, mulberry, tone, quince = WORDS
    headers = {KEY: AGENT, f"x-request-id-{KEY}": KEY, f"x-ratelimit{AGENT}": ada, "x-trace": f"{KEY} {ada}"}
    if asked.body is None:
        config = {
            "prompt": f"You are {ada}. {KEY} {AGENT}",
            "voice": {"provider": lovelace, "voice_id": rosebud, "settings": {tone: quince, KEY: 1}},
            "custom_vocabulary": {"keywords": {ada: 3, lovelace: "three", f"{password} {KEY}": None}},
            "tools": [{"name": mulberry, "header": {"authorization": password, quince: 5}}],
            "flow": {AGENT: quince, f"says {ada}": 1},
            KEY: {rosebud: rosebud},
        }
        return JSONResponse(
            {"id": "-OtheCopysOwnId12345", "name": f"{ada} {KEY} Copy", "config": config, "created_at": ada},
            headers={**headers, "x-trace-OtheCopysOwnId12345": ""},
        )
    if asked.is_plain or "end_of_session" in asked.body:
        chunk = {"choices": [{"delta": {"content": f"{ada} {KEY}", KEY: 1, f"{ada}!": lovelace}}], AGENT: KEY}
        text = f"id: {AGENT}\nevent: {ada}\n{KEY}: {rosebud}\ndata: {json.dumps(chunk)}\n\ndata: {quince}\n\n"
        return Response(text, 200, headers, "text/event-stream")
    details = [{"loc": [ada, KEY], "msg": AGENT, "type": 5, "input": {lovelace: KEY}, KEY: password}]
    return JSONResponse({"detail": details, "error": ada, AGENT: KEY}, 422, headers, f"{ada.lower()}/{KEY}")


def test_no_secret_and_no_text_of_the_agent_is_shown_or_written_down(run: Probe) -> None:
    """A service that says the key, the ids and the agent's words everywhere finds none of them repeated."""
    run.service.depart = telltale
    ran = run("--make-a-copy")
    assert ran.verdicts[CHUNKS] == ran.verdicts[DUPLICATE] == "not the same"
    assert "****" in ran.report
    for text in (ran.out, ran.report):
        assert not [word for word in (KEY, AGENT, "CopysOwn", *WORDS) if word.lower() in text.lower()]
    assert KEY not in ran.err
    assert "-OtheCopysOwnId12345" in ran.err  # the only place that knows it, and somebody has to delete it


def test_a_host_of_ones_own_is_not_named(run: Probe) -> None:
    """Only the vendor's hosts are named in the report and in the table."""
    ran = run()
    assert "127.0.0.1" not in ran.out + ran.report
    assert "the host in MILLIS_BASE_URL" in ran.report


def test_what_the_service_sends_cannot_act_on_the_terminal(run: Probe) -> None:
    """Escape sequences in keys and ids come to nothing."""
    run.service.depart = lambda asked: (
        copy(**{"\x1b[2J": 1, "id": "\x1b[2J-Ocopy"}) if asked.is_copy else None
    )
    ran = run("--make-a-copy")
    assert ran.verdicts[DUPLICATE] == "not the same"
    assert "\x1b" not in ran.out + ran.err + ran.report
