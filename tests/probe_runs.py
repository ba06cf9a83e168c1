"""Runs of scripts/probe, and a service for it that departs from the contract where a test says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import pytest
from starlette.requests import Request
from starlette.responses import Response

from millis_wrapper.mock import MockMillis
from scripts.probing import __main__ as probe
from scripts.probing.exchanges import PLAIN

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

KEY = "k3yOfThirtyTwoLettersAndDigits99"
AGENT = "-OabCdEfGhIjKlMnOpQr"

PLAIN_TURN = "What answers a plain turn?"
WRONG = "What answers a wrong key?"
MISSING = "What answers a request without a key?"
BEARER = "Does `Bearer` before the key work too?"
NO_AGENT = "What answers a turn with an unknown agent?"
UNKNOWN = "What answers an unknown config key?"
BELOW = "What answers an unknown key below the top level of a config?"
FLOAT = "What answers a delay that is no whole number?"
SYSTEM = "What answers a message of the role `system`?"
END = "Does a stream close with an end mark?"
CHUNKS = "What do chunks carry?"
LINES = "Which lines does a stream have beside comments?"
LAST = "What does `end_of_session` change?"
REQUEST_ID = "Which header carries a request id?"
LIMITS = "Which headers tell of limits?"
NO_ORIGINAL = "What answers a duplicate of an unknown agent?"
DUPLICATE = "What answers a duplicate?"
CREATED = "What does `created_at` count?"
NAME = "How is a copy named?"
UNSET = "Are config keys that are not set absent, or null?"
ABOUT_THE_COPY = {NO_ORIGINAL, DUPLICATE, CREATED, NAME, UNSET}


@attrs.frozen
class Asked:
    """One request as it came to the departing service."""

    path: str
    key: str | None
    body: Any

    @property
    def is_copy(self) -> bool:
        return self.path == f"/agents/{AGENT}/duplicate"

    @property
    def is_plain(self) -> bool:
        return self.body == PLAIN.body(AGENT) and self.key == KEY

    @property
    def config(self) -> Any:
        return self.body["agent"].get("agent_config") if self.body else None

    @property
    def roles(self) -> list[str]:
        return [message["role"] for message in self.body["messages"]] if self.body else []


Departure: TypeAlias = Callable[[Asked], Response | None]


class Service:
    """The mock, but for the requests that `depart` answers; `asked` counts all."""

    def __init__(self, mock: MockMillis) -> None:
        self.mock = mock
        self.asked: list[Asked] = []
        self.depart: Departure = lambda asked: None
        self._app: ASGIApp = mock.app
        mock.app = self

    def reset(self) -> None:
        """Be as new, and know the agent."""
        self.mock.reset()
        self.mock.add_agent(AGENT, name="Front desk", config={"prompt": "Be brief."})
        self.asked.clear()
        self.depart = lambda asked: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        content = await request.body()
        asked = Asked(
            request.url.path, request.headers.get("authorization"), json.loads(content) if content else None
        )
        self.asked.append(asked)
        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": content, "more_body": False}

        await (self.depart(asked) or self._app)(scope, again, send)


@attrs.frozen
class Ran:
    """What a run of the probe left behind."""

    code: int
    out: str
    err: str
    report: str

    @property
    def table(self) -> dict[str, tuple[str, str, str]]:
        """By question: contract says, service says, verdict."""
        rows = [line[2:-2].split(" | ") for line in self.report.splitlines() if line.startswith("| ")]
        return {row[0]: (row[1], row[2], row[3]) for row in rows if row[0].endswith("?")}

    @property
    def verdicts(self) -> dict[str, str]:
        return {question: verdict for question, (_, _, verdict) in self.table.items()}

    @property
    def edits(self) -> dict[str, str]:
        lines = [line[2:] for line in self.report.splitlines() if line.startswith("- ") and "? " in line]
        return {f"{question}?": edit for question, edit in (line.split("? ", 1) for line in lines)}

    @property
    def differing(self) -> set[str]:
        return {question for question, verdict in self.verdicts.items() if verdict == "not the same"}


@attrs.frozen
class Probe:
    """The probe in this process, in an empty folder, asking `service` with `--yes` unless told otherwise."""

    service: Service
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    folder: Path

    def __attrs_post_init__(self) -> None:
        self.service.reset()
        self.monkeypatch.chdir(self.folder)
        self.monkeypatch.setenv("MILLIS_API_KEY", KEY)
        self.monkeypatch.setenv("MILLIS_AGENT_ID", AGENT)
        self.monkeypatch.setenv("MILLIS_BASE_URL", self.service.mock.url)
        self.monkeypatch.setenv("COLUMNS", "2000")  # so that no secret hides behind a line break

    def about(self, agent_id: str) -> Probe:
        """Have it ask about another agent."""
        self.monkeypatch.setenv("MILLIS_AGENT_ID", agent_id)
        return self

    def __call__(self, *arguments: str, yes: bool = True) -> Ran:
        code = probe.main([*(["--yes"] if yes else []), *arguments])
        written, report = self.capsys.readouterr(), self.folder / "probe-report.md"
        return Ran(code, written.out, written.err, report.read_text("utf-8") if report.exists() else "")
