"""Schemathesis generates requests from the contract and finds no errors in the mock server."""

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
import pytest
from schemas import objects
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from millis_wrapper import contract
from millis_wrapper.mock import MockMillis

pytestmark = pytest.mark.untraced

EXAMPLES = 10  # generated per operation, in addition to one request per boundary of the schema
PATIENCE = 100.0  # seconds before a hanging run fails


def contract_for_schemathesis() -> dict[str, Any]:
    """Return the contract in a form that Schemathesis understands.

    OpenAPI 3.1 does not have a keyword for the schema of the events in a stream, so the schema of the
    extension `x-event-stream` replaces the schema of the response. The formats int32 and int64 are only
    hints for typed languages. The service accepts larger integers, so they are removed.
    """
    document: dict[str, Any] = deepcopy({**contract.load()})
    media = document["paths"]["/chat/completions"]["post"]["responses"]["200"]["content"]["text/event-stream"]
    stream = media["x-event-stream"]
    for one in objects(document):
        if one.get("format") in ("int32", "int64"):
            del one["format"]
        # Schemathesis generates fewer values for a schema with examples or extensions.
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


def test_schemathesis_finds_no_errors(tmp_path: Path) -> None:
    """All checks pass for valid and invalid requests, with and without the right key."""
    responses = Counter[tuple[str, int]]()
    mock = MockMillis(api_key="right")
    mock.add_agent("-known-to-the-mock--")  # the id that tests/schemathesis_hooks.py uses
    mock.app = counting(mock.app, responses)
    with mock:
        found = run_schemathesis(mock.url, tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "No issues found" in found.stdout
    # Schemathesis reached success responses and every kind of refusal; otherwise its result means nothing.
    assert responses["completions", 200] > 100
    assert responses["duplicate", 200] > 5
    for operation in ("completions", "duplicate"):
        assert {401, 404} <= {status for path, status in responses if path == operation}
    assert responses["completions", 422] > 100
    assert not [status for _, status in responses if status >= 500]


def run_schemathesis(url: str, directory: Path) -> subprocess.CompletedProcess[str]:
    file = directory / "contract.json"
    file.write_text(json.dumps(contract_for_schemathesis()))
    (directory / "schemathesis.toml").write_text(
        ""
    )  # keeps Schemathesis from reading settings of a parent directory
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(file), "--url", url]
    command += ["--checks", "all", "--max-examples", str(EXAMPLES), "--continue-on-failure"]
    command += ["--header", "authorization: right", "--generation-deterministic", "--no-color"]
    hooks = {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(paths.TESTS)}
    return subprocess.run(
        command, cwd=directory, env={**os.environ, **hooks}, capture_output=True, text=True, timeout=PATIENCE
    )


def counting(app: ASGIApp, responses: Counter[tuple[str, int]]) -> ASGIApp:
    """Return `app` wrapped so that it counts responses by last path segment and status code."""

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                responses[scope["path"].rsplit("/", 1)[-1], message["status"]] += 1
            await send(message)

        await app(scope, receive, count)

    return counted
