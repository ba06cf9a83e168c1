"""scripts/probe: what it asks and when, what it keeps quiet, and what it does when things go wrong."""

from __future__ import annotations

import io
import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import paths
import pytest
from loopback import nowhere
from probe_departures import refused
from probe_runs import (
    ABOUT_THE_COPY,
    AGENT,
    BEARER,
    CHUNKS,
    CREATED,
    DUPLICATE,
    END,
    KEY,
    PLAIN_TURN,
    REQUEST_ID,
    UNKNOWN,
    WRONG,
    Asked,
    Probe,
    Service,
)
from starlette.responses import JSONResponse, Response, StreamingResponse

from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis
from millis_wrapper.options import read_settings
from scripts.probing import __main__ as probe
from scripts.probing import wire
from scripts.probing.exchanges import COPY, NO_SUCH_KEY, PLAIN, WITH_A_COPY, WITHOUT_A_COPY, Exchange
from scripts.probing.wire import Answer, NoAnswerError


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


def test_a_service_that_keeps_the_contract_is_the_same_in_all(run: Probe) -> None:
    """Against the mock, all questions are asked and answered as the contract says."""
    ran = run("--make-a-copy")
    assert set(ran.verdicts.values()) == {"same"}
    assert len(ran.verdicts) == len(probe.QUESTIONS)
    assert ran.verdicts.keys() >= ABOUT_THE_COPY | {PLAIN_TURN, WRONG, BEARER, END, CHUNKS, REQUEST_ID}
    assert ran.code == 0


def test_no_copy_is_made_unless_it_is_asked_for(run: Probe) -> None:
    """Without --make-a-copy nothing is sent to duplicate, and its questions say why they were not asked."""
    ran = run()
    assert not [asked for asked in run.service.asked if "duplicate" in asked.path]
    assert {
        question for question, verdict in ran.verdicts.items() if verdict == "not asked"
    } == ABOUT_THE_COPY
    assert ran.table[CREATED][1] == "it needs --make-a-copy"
    assert ran.code == 0


@pytest.mark.parametrize(("option", "plan"), [((), WITHOUT_A_COPY), (("--make-a-copy",), WITH_A_COPY)])
def test_each_request_is_listed_before_and_sent_once(
    run: Probe, option: tuple[str, ...], plan: tuple[Exchange, ...]
) -> None:
    """What is sent is what was listed: as many requests, each once, one change each."""
    ran = run(*option)
    listed, _, table = ran.out.partition("One after the other")
    assert table
    assert f"{len(plan)} requests" in listed
    assert all(f"{number:>2}. {exchange.name}" in listed for number, exchange in enumerate(plan, 1))
    assert "tokens of prompt" in ran.out
    assert [asked.body for asked in run.service.asked] == [exchange.body(AGENT) for exchange in plan]
    keys = [asked.key for asked in run.service.asked]
    assert keys.count(NO_SUCH_KEY) == keys.count(None) == keys.count(f"Bearer {KEY}") == 1
    assert keys.count(KEY) == len(plan) - 3
    assert sum(asked.is_copy for asked in run.service.asked) == (plan is WITH_A_COPY)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stdin", "sent", "says"),
    [
        (io.StringIO("y\n"), 0, "pass --yes"),
        (Terminal("n\n"), 0, "Nothing was sent"),
        (Terminal("\n"), 0, "Nothing was sent"),
        (Terminal(""), 0, "Nothing was sent"),
        (Terminal("y\n"), len(WITHOUT_A_COPY), "Send it? [y/N]"),
    ],
)
def test_nothing_is_sent_without_leave(
    run: Probe,
    monkeypatch: pytest.MonkeyPatch,
    stdin: io.StringIO,
    sent: int,
    says: str,
) -> None:
    """Without --yes it asks at a terminal, and where there is none it only lists what it would send."""
    monkeypatch.setattr(sys, "stdin", stdin)
    ran = run(yes=False)
    assert "10 requests" in ran.out
    assert says in ran.err
    assert len(run.service.asked) == sent
    assert (ran.code, bool(ran.report)) == ((0, True) if sent else (2, False))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("MILLIS_API_KEY", None, "no key: set MILLIS_API_KEY"),
        ("MILLIS_API_KEY", " ", "MILLIS_API_KEY is empty"),
        ("MILLIS_AGENT_ID", None, "set MILLIS_AGENT_ID"),
        ("MILLIS_AGENT_ID", "  ", "set MILLIS_AGENT_ID"),
        ("MILLIS_AGENT_ID", "../x", "MILLIS_AGENT_ID is not a valid agent id"),
        ("MILLIS_BASE_URL", "http://example.org", "in the clear"),
        ("MILLIS_BASE_URL", "nonsense", "MILLIS_BASE_URL"),
    ],
)
def test_what_is_missing_is_named_in_one_line(
    run: Probe, monkeypatch: pytest.MonkeyPatch, name: str, value: str | None, says: str
) -> None:
    """Without a key, an agent or a host that may be asked, one line says so, and the code is 2."""
    monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name)
    ran = run()
    assert ran.code == 2
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert ran.out == ran.report == ""
    assert not run.service.asked


def test_a_report_that_cannot_be_written_is_found_out_before_anything_is_spent(
    run: Probe, tmp_path: Path
) -> None:
    """A name for the report that cannot be a file is refused at once."""
    for name in ("nowhere/report.md", str(tmp_path)):
        ran = run("--report", name)
        assert ran.code == 2
        assert "--report" in ran.err
    assert not run.service.asked


def test_the_report_goes_where_it_is_told_to(run: Probe, tmp_path: Path) -> None:
    """--report names the file."""
    ran = run("--report", "other.md")
    assert not ran.report
    assert (tmp_path / "other.md").read_text().startswith("# The contract, held against the live service")


def test_a_service_that_is_away_fails_each_question(run: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing answers, each question says so, and the run ends with 1."""
    monkeypatch.setenv("MILLIS_BASE_URL", f"http://{nowhere()}")
    ran = run("--make-a-copy")
    assert set(ran.verdicts.values()) == {"failed"}
    assert ran.table[PLAIN_TURN][1] == "there was no connection to the service"
    assert "copy of your agent may exist" not in ran.err
    assert ran.code == 1


def test_a_request_that_is_refused_as_busy_is_not_sent_again(run: Probe) -> None:
    """A 503 with Retry-After is told as a failure; nothing is ever tried twice."""
    run.service.mock.fail_next(503, retry_after=0)
    ran = run()
    assert len(run.service.asked) == len(WITHOUT_A_COPY)
    assert ran.table[PLAIN_TURN][1:] == ("the service is busy or away (503): ask again later", "failed")
    assert ran.verdicts[UNKNOWN] == "same"
    assert ran.code == 1


def test_what_would_tell_nothing_is_not_sent(run: Probe) -> None:
    """When the plain turn is refused, only the questions that need no right key and agent are asked."""
    run.service.depart = lambda asked: refused(401, {"detail": "No"})
    ran = run("--make-a-copy")
    assert [asked.key for asked in run.service.asked] == [KEY, NO_SUCH_KEY, None]
    assert ran.table[UNKNOWN][1:] == ("a plain turn was refused (401), so it would tell nothing", "not asked")
    assert ran.differing == {PLAIN_TURN}
    assert ran.code == 1


def test_a_copy_whose_answer_is_lost_may_exist(run: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no answer, or an odd one, comes to a duplicate that was sent, the terminal is told what to do."""
    run.service.depart = lambda asked: JSONResponse([]) if asked.is_copy else None
    assert "A copy was made, for you to delete: a copy of your agent may exist" in run("--make-a-copy").err
    monkeypatch.setenv("MILLIS_AGENT_ID", "-mock-cut".ljust(20, "-"))
    assert "No answer: a copy of your agent may exist" in run("--make-a-copy").err


@pytest.mark.parametrize(("at", "asked", "says"), [(COPY, len(WITH_A_COPY), "may exist"), (PLAIN, 1, "")])
def test_an_interruption_keeps_what_was_answered(
    run: Probe, monkeypatch: pytest.MonkeyPatch, at: Exchange, asked: int, says: str
) -> None:
    """Ctrl-C ends the asking; what had come is shown and written down, and the code is 130."""
    sent: list[Exchange] = []
    really_ask = wire.ask

    def ask(exchange: Exchange, *rest: Any) -> Answer:
        sent.append(exchange)
        if exchange is at:
            raise KeyboardInterrupt
        return really_ask(exchange, *rest)

    monkeypatch.setattr(wire, "ask", ask)
    ran = run("--make-a-copy")
    assert len(sent) == asked
    assert ran.code == 130
    assert ran.table[DUPLICATE][1:] == ("the probe was interrupted", "not asked")
    assert ran.verdicts[PLAIN_TURN] == ("not asked" if at is PLAIN else "same")
    assert says in ran.err


def ask(service: Service, agent_id: str, limit: float) -> Answer:
    settings = read_settings(
        KEY, region=None, base_url=service.mock.url, allow_http=False, headers=None, strict=False
    )
    return wire.ask(PLAIN, settings, agent_id, limit)


def test_a_request_has_a_limit_in_time(service: Service) -> None:
    """An answer that stalls is given up."""
    with pytest.raises(NoAnswerError, match=r"^no whole answer came within 0\.2 s$"):
        ask(service, "-mock-stall".ljust(20, "-"), 0.2)


@pytest.mark.parametrize(("piece", "reason"), [(b": and so on\n", "within 0.2 s"), (b"x" * 65536, "bytes")])
def test_an_answer_without_an_end_is_given_up(service: Service, piece: bytes, reason: str) -> None:
    """An answer that goes on for ever ends at the limit in time, or at the one in size."""

    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield piece
            await anyio.sleep(0.0005 if len(piece) < 100 else 0)

    service.depart = lambda asked: StreamingResponse(pieces(), media_type="text/event-stream")
    with pytest.raises(NoAnswerError, match=reason):
        ask(service, DEFAULT_AGENT_ID, 0.2 if len(piece) < 100 else 20)


ODD = [b"\xff\xfe", b"[" * 5000, b"null", b"7", b'"x"', b"[1]", b"{}", b'{"detail":null}', b'{"config":[]}']


@pytest.mark.parametrize(
    ("status", "media_type"),
    [(200, "application/json"), (200, "text/event-stream"), (422, "application/json"), (404, "")],
)
def test_any_answer_can_be_told_of(run: Probe, status: int, media_type: str) -> None:
    """Whatever a service answers with, and with whatever status, the probe goes on to its end."""
    bodies = itertools.cycle(ODD)

    def odd(asked: Asked) -> Response | None:
        if asked.is_plain and status != 200:
            return None
        body = next(bodies)
        events = b"data: " + body + b"\n\n" if "stream" in media_type else body
        return Response(events, status, {}, media_type or None)

    run.service.depart = odd
    for _ in range(2):  # so that each question meets another one
        assert len(run("--make-a-copy").verdicts) == len(probe.QUESTIONS)
    assert len(run.service.asked) == 2 * len(WITH_A_COPY)


def test_the_script_writes_its_report_where_the_caller_stands(run: Probe, tmp_path: Path) -> None:
    """scripts/probe works from any folder, even one that has `scripts` in it, and leaves its report there."""
    home, here = tmp_path / "venv", tmp_path / "here"
    (here / "scripts").mkdir(parents=True)
    (here / "scripts" / "__init__.py").write_text("raise SystemExit('not this one')\n")
    (home / "bin").mkdir(parents=True)
    python = home / "bin" / "python"
    # All is installed here already: what _env asks of pip is none of this test's business.
    python.write_text(f'#!/bin/sh\n[ "$2" = pip ] && exit\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    done = subprocess.run(
        [paths.ROOT / "scripts" / "probe", "--yes"],
        cwd=here,
        env={
            "PATH": os.environ["PATH"],
            "VIRTUAL_ENV": str(home),
            "MILLIS_API_KEY": KEY,
            "MILLIS_AGENT_ID": AGENT,
            "MILLIS_BASE_URL": run.service.mock.url,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "What answers a plain turn?" in (here / "probe-report.md").read_text()
