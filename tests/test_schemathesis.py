"""Schemathesis, which makes up requests from the contract, finds nothing wrong with the mock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import paths
from schemas import objects
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from millis_wrapper import contract
from millis_wrapper.mock import MockMillis

EXAMPLES = 10  # made up for each call, beside those that go through the schema's borders one by one
PATIENCE = 100.0  # seconds until a run that hangs has failed


def contract_for_schemathesis() -> dict[str, Any]:
    """Return the contract with one of its extensions put in Schemathesis' way.

    OpenAPI 3.1 has no keyword for the schema of each event of a stream. The size of an integer tells
    languages with fixed sizes which one to take; the service refuses none for it.
    """
    document: dict[str, Any] = deepcopy({**contract.load()})
    media = document["paths"]["/chat/completions"]["post"]["responses"]["200"]["content"]["text/event-stream"]
    stream = media["x-event-stream"]
    for one in objects(document):
        if one.get("format") in ("int32", "int64"):
            del one["format"]
        # With an example or an extension beside a schema it tries fewer values of the type.
        for key in [key for key in one if key == "examples" or key.startswith("x-")]:
            del one[key]
    json_data = {"anyOf": [stream["chunk"], stream["error"]]}
    media["schema"] = {
        "type": "object",
        "required": ["data"],
        "properties": {
            "data": {
                "anyOf": [
                    stream["end"],
                    {"contentMediaType": "application/json", "contentSchema": json_data},
                ]
            }
        },
    }
    return document


def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    """All of its checks hold, for requests in order and not in order, with the right key and without."""
    answers = Counter[tuple[str, int]]()
    mock = MockMillis(api_key="right")
    mock.add_agent("-known-to-the-mock--")  # tests/schemathesis_hooks.py names it
    mock.app = counting(mock.app, answers)
    with mock:
        found = run_schemathesis(mock.url, tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "No issues found" in found.stdout
    # It got past the refusals, and into each of them: otherwise it would have found nothing for nothing.
    assert answers["completions", 200] > 100
    assert answers["duplicate", 200] > 5
    for operation in ("completions", "duplicate"):
        assert {401, 404} <= {status for path, status in answers if path == operation}
    assert answers["completions", 422] > 100
    assert not [status for _, status in answers if status >= 500]


def run_schemathesis(url: str, directory: Path) -> subprocess.CompletedProcess[str]:
    file = directory / "contract.json"
    file.write_text(json.dumps(contract_for_schemathesis()))
    (directory / "schemathesis.toml").write_text("")  # so that no settings are looked for further up
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(file), "--url", url]
    command += ["--checks", "all", "--max-examples", str(EXAMPLES), "--continue-on-failure"]
    command += ["--header", "authorization: right", "--generation-deterministic", "--no-color"]
    hooks = {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(paths.TESTS)}
    return subprocess.run(
        command, cwd=directory, env={**os.environ, **hooks}, capture_output=True, text=True, timeout=PATIENCE
    )


def counting(app: ASGIApp, answers: Counter[tuple[str, int]]) -> ASGIApp:
    """Return `app` with its answers counted by the last part of the path and the status."""

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                answers[scope["path"].rsplit("/", 1)[-1], message["status"]] += 1
            await send(message)

        await app(scope, receive, count)

    return counted
