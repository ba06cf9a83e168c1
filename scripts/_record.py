"""Record the cassettes of tests/scenarios.py (`scripts/record`).

A cassette contains no secret, no personal text, and only the headers that the client uses.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import attrs
from scenarios import FULL_AGENT, NO_WAITING, SCENARIOS, SPARSE_AGENT, Duplicate, Scenario, play

from millis_wrapper import Millis, __version__
from millis_wrapper._json import is_array, is_object
from millis_wrapper.mock import MockMillis

ROOT = Path(__file__).parent.parent
CASSETTES = ROOT / "tests" / "cassettes"
FULL_EXAMPLE = ROOT / "tests" / "corpus" / "examples" / "agent-full.json"

# Fixed values of the mock server, so that every recording is identical.
MOMENT = 1_763_640_000.0
COPY = "-the-new-copy-of-it-"
REPLIES = ("Good evening! How can I help?", "Tomorrow at eight, then.", "Good bye!")

REAL_HOST = "https://api-west.millis.ai"

_KEPT_RESPONSE_HEADERS = {"content-type", "retry-after"}
_KEPT_REQUEST_HEADERS = {"accept", "accept-encoding", "content-type", "user-agent"}
# Keys whose values describe the service and not its user; these values are not masked.
_KEPT_KEYS = {
    *("object", "role", "type", "finish_reason", "msg", "detail"),
    *("provider", "model", "action", "response_mode", "language", "method"),
}


class Request(Protocol):
    """The attributes of a vcrpy request that this script uses. vcrpy does not publish type hints."""

    uri: str
    headers: dict[str, str]
    body: bytes | None


def request_filter(recorded_url: str, *, live: bool) -> Callable[[Request], Request]:
    """Return a filter that removes the key and the host from a request, and masks live replies."""

    def clean(request: Request) -> Request:
        request.uri = request.uri.replace(recorded_url, REAL_HOST)
        for name in list(request.headers):
            if name.lower() not in _KEPT_REQUEST_HEADERS:
                del request.headers[name]
        if live and request.body:
            request.body = _with_masked_history(request.body)
        return request

    return clean


def response_filter(*, live: bool) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a filter that removes headers from a response, and masks all texts of a live one."""

    def clean(response: dict[str, Any]) -> dict[str, Any]:
        headers: dict[str, Any] = response["headers"]
        response["headers"] = {
            name: value for name, value in headers.items() if name.lower() in _KEPT_RESPONSE_HEADERS
        }
        # The reason phrase depends on the Python version of the server.
        response["status"]["message"] = ""
        if live:
            body: bytes = response["body"]["string"]
            response["body"]["string"] = masked_body(body.decode("utf-8", "replace")).encode()
        return response

    return clean


def _with_masked_history(body: bytes) -> bytes:
    # The history of a later request contains the reply, which has to equal the masked reply of the response.
    value: dict[str, Any] = json.loads(body)
    for message in value.get("messages", ()):
        if message.get("role") == "assistant":
            message["content"] = _letters(message["content"])
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def masked_body(body: str) -> str:
    """Return a JSON body, or a stream of JSON events, with the same structure and masked texts."""
    if "data:" not in body:
        return _masked_json(body)
    return "".join(map(_masked_line, re.split(r"(?<=\n)", body)))


def _masked_line(line: str) -> str:
    match = re.fullmatch(r"(data: ?)(.*?)(\s*)", line, re.DOTALL)
    if match is None:
        return line if not line.strip() or line.startswith((":", "event:")) else _letters(line)
    field, payload, end = match.groups()
    return field + (payload if payload == "[DONE]" else _masked_json(payload)) + end


def _masked_json(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return _letters(text)
    return json.dumps(_masked(value, ""), ensure_ascii=False)


def _masked(value: Any, key: str) -> Any:
    if is_object(value):
        # The user chose these keys: names of metadata, headers and keywords.
        own = key in {"header", "headers", "credentials", "keywords", "settings", "metadata"}
        return {_letters(name) if own else name: _masked(child, name) for name, child in value.items()}
    if is_array(value):
        return [_masked(child, key) for child in value]
    if isinstance(value, str) and key not in _KEPT_KEYS:
        return _letters(value)
    return value


def _letters(text: str) -> str:
    return re.sub(r"\d", "0", re.sub(r"[^\W\d_]", "x", text))


def main() -> int:
    """Record the given scenarios and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/record", description="Record the cassettes of tests/scenarios.py."
    )
    parser.add_argument("names", nargs="*", metavar="SCENARIO", help="cassettes to record (default: all)")
    parser.add_argument(
        "--live",
        action="store_true",
        help="record from the live service; needs MILLIS_API_KEY and MILLIS_AGENT_ID",
    )
    parser.add_argument(
        "--into", type=Path, default=CASSETTES, metavar="FOLDER", help="folder for the cassettes"
    )
    parser.add_argument("--make-a-copy", action="store_true", help="with --live, also duplicate the agent")
    arguments = parser.parse_args()
    names: list[str] = arguments.names or [scenario.name for scenario in SCENARIOS]
    if unknown := set(names) - {scenario.name for scenario in SCENARIOS}:
        known = ", ".join(scenario.name for scenario in SCENARIOS)
        parser.error(f"unknown scenario {', '.join(sorted(unknown))}; the known scenarios are {known}")
    scenarios = [scenario for scenario in SCENARIOS if scenario.name in names]
    if arguments.live:
        return _record_live(scenarios, arguments.into, make_a_copy=arguments.make_a_copy)
    _record_mock(scenarios, arguments.into)
    return 0


def _record_mock(scenarios: list[Scenario], folder: Path) -> None:
    full: dict[str, Any] = json.loads(FULL_EXAMPLE.read_text())["config"]
    for scenario in scenarios:
        # One mock server per scenario, because `reset()` keeps copies, and every copy here has the same id.
        with MockMillis(retry_after=0, clock=lambda: MOMENT, new_id=lambda: COPY) as mock:
            mock.add_agent(FULL_AGENT, name="Full", config=full)
            mock.add_agent(SPARSE_AGENT, name="Sparse", config={})
            mock.reply_with(*REPLIES)
            with Millis("recording", base_url=mock.url, max_retries=NO_WAITING) as millis:
                _record(scenario, millis, mock.url, folder)


def _record_live(scenarios: list[Scenario], folder: Path, *, make_a_copy: bool) -> int:
    agent_id = os.environ.get("MILLIS_AGENT_ID", "").strip()
    if not agent_id:
        why = "--live needs MILLIS_AGENT_ID; set it to the id of one of your agents"
        print(f"scripts/record: {why}", file=sys.stderr)
        return 2
    # MILLIS_BASE_URL can select another host, but the cassettes always contain the real one.
    host = os.environ.get("MILLIS_BASE_URL", REAL_HOST)
    with Millis(base_url=host, max_retries=NO_WAITING) as millis:
        for scenario in scenarios:
            if not scenario.live:
                print(f"{scenario.name}: not recorded (only the mock server can produce it)")
            elif isinstance(scenario.call, Duplicate) and not make_a_copy:
                print(f"{scenario.name}: not recorded (it makes a copy; pass --make-a-copy)")
            else:
                _record(scenario, millis, host, folder, live_id=agent_id)
    print("Review the diff before you commit it: the filters may miss a secret.")
    return 0


def _record(
    scenario: Scenario, millis: Millis, url: str, folder: Path, *, live_id: str | None = None
) -> None:
    live = live_id is not None
    path = folder / f"{scenario.name}.yaml"
    path.unlink(missing_ok=True)
    vcr: Any = import_module("vcr")
    recorder = vcr.VCR(
        before_record_request=request_filter(url, live=live),
        before_record_response=response_filter(live=live),
    )
    with recorder.use_cassette(str(path)):
        result = play(attrs.evolve(scenario, agent_id=live_id or scenario.agent_id), millis)
    source = f"live service by scripts/record --live, {date.today()}" if live else "mock by scripts/record"
    text = path.read_text()
    if live_id is not None:
        text = text.replace(live_id, scenario.agent_id)
    path.write_text(f"# Recorded from the {source} (millis-wrapper {__version__}).\n{text}")
    print(f"{scenario.name}: {type(result).__name__}")


if __name__ == "__main__":
    sys.exit(main())
