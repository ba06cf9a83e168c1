"""What `scripts/probe` does: a dozen fixed requests to the live service, held against the contract.

Nothing is sent before you have seen the list and said yes. Each request is sent once, one after the other.
The report holds statuses, media types, names of headers and keys, and types of values: no key, no agent's
id, and nothing that an agent said.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import attrs
import httpx

from millis_wrapper import ConfigurationError
from millis_wrapper import contract as the_contract
from millis_wrapper._http import KeyAuth
from millis_wrapper._http_clients import ensure_valid_host
from millis_wrapper._json import NOT_JSON, is_object, read_json
from millis_wrapper._key import Secret, read_key, wrap_key
from millis_wrapper._paths import format_path
from millis_wrapper._sync.io import new_client
from millis_wrapper._text import escape_control_characters, shorten
from millis_wrapper.contract._validation import violations
from millis_wrapper.options import HOSTS, Options, read_options
from millis_wrapper.request import validate_agent_id
from millis_wrapper.sse import EventTooLargeError, SSEDecoder

LIMIT_SECONDS = 60.0  # for one request with its answer
LIMIT_BYTES = 1024 * 1024  # of one answer

# Of the form of real ones, so that it is the agent or the key that is unknown.
NO_SUCH_AGENT = "-probe-no-such-agent"
NO_SUCH_KEY = "0" * 32

TURN = {"role": "user", "content": "Say OK."}
SYSTEM = {"role": "system", "content": "Be brief."}


@attrs.frozen
class Request:
    """One request; `config` is sent as agent_config, `more` beside the messages."""

    name: str
    operation: Literal["chat", "duplicate"] = "chat"
    key: Literal["yours", "yours after Bearer", "made up", "none"] = "yours"
    is_known_agent: bool = True
    messages: Sequence[Mapping[str, str]] = (TURN,)
    config: Mapping[str, Any] | None = None
    more: Mapping[str, Any] = attrs.field(factory=dict[str, Any])


REQUESTS = (
    Request("a plain turn (the agent answers)"),
    Request(
        "the last turn of a session (its session_data_webhook may be called)", more={"end_of_session": True}
    ),
    Request("a made-up key", key="made up"),
    Request("no key", key="none"),
    Request("Bearer before the key", key="yours after Bearer"),
    Request("an agent that does not exist", is_known_agent=False),
    Request("an unknown config key", config={"probe_unknown_key": True}),
    Request("an unknown key in flow", config={"flow": {"probe_unknown_key": True}}),
    Request("a delay of 500.5 ms", config={"flow": {"response_delay": 500.5}}),
    Request("a message of the role system", messages=(SYSTEM, TURN)),
)
COPIES = (
    Request("duplicate of an agent that does not exist", "duplicate", is_known_agent=False),
    Request("duplicate of your agent (makes a copy, for you to delete)", "duplicate"),
)


class Answer(NamedTuple):
    """What came back: as much as the report needs, and nothing of what was said."""

    status_code: int
    media_type: str
    headers: tuple[str, ...]
    findings: tuple[str, ...]
    copy_id: str = ""


def send(request: Request, options: Options, agent_id: str) -> Answer | str:
    """Send `request` once.

    Returns:
        The answer, or why there is none, in words that hold no secret.
    """
    agent: dict[str, Any] = {"agent_id": agent_id if request.is_known_agent else NO_SUCH_AGENT}
    if request.config is not None:
        agent["agent_config"] = request.config
    path = "/chat/completions" if request.operation == "chat" else f"/agents/{agent['agent_id']}/duplicate"
    body = {"agent": agent, "messages": list(request.messages), **request.more}
    deadline = time.monotonic() + LIMIT_SECONDS
    try:
        with (
            new_client(options, None) as http,
            http.stream(
                "POST",
                options.base_url + path,
                json=body if request.operation == "chat" else None,
                auth=_auth(request, options.key),
                timeout=LIMIT_SECONDS,
            ) as response,
        ):
            data = b""
            for piece in response.iter_bytes():
                data += piece
                if len(data) > LIMIT_BYTES or time.monotonic() > deadline:
                    break
    except (httpx.HTTPError, httpx.StreamError, OSError) as error:
        return type(error).__name__  # its words may quote what was sent
    headers = tuple(sorted({escape_control_characters(name) for name in response.headers}))
    media_type = escape_control_characters(response.headers.get("content-type", "")).partition(";")[0]
    whole = read_json(data)
    copied = request.operation == "duplicate" and response.is_success and is_object(whole)
    return Answer(
        response.status_code,
        media_type.strip(),
        headers,
        tuple(dict.fromkeys(findings(request, response.status_code, media_type.strip(), data))),
        shorten(str(whole.get("id") or ""), 60) if copied else "",
    )


def findings(request: Request, status_code: int, media_type: str, data: bytes) -> Iterator[str]:
    """Yield where an answer differs from the contract."""
    responses = the_contract.load()["paths"][
        "/chat/completions" if request.operation == "chat" else "/agents/{agent_id}/duplicate"
    ]["post"]["responses"]
    if str(status_code) not in responses:
        yield (
            f"the contract does not list {status_code}"
            if status_code < 400
            else f"{status_code} is not listed"
        )
    if status_code == 200 and request.operation == "chat":
        yield from _findings_of_stream(data)
        return
    component = {200: "DuplicateAgentResponse", 422: "HTTPValidationError"}.get(status_code, "ErrorResponse")
    value = read_json(data)
    if value is not NOT_JSON:
        yield from _differences(value, component)
    elif status_code in (200, 422):
        yield "the body is not JSON"


def _findings_of_stream(data: bytes) -> Iterator[str]:
    decoder = SSEDecoder()
    try:
        events = decoder.feed(data)
    except EventTooLargeError:
        yield "an event is too large"
        return
    payloads = [event.data.strip() for event in events]
    if "[DONE]" not in payloads:
        yield "no [DONE]"
    for event in events:
        if event.event != "message":
            yield f"an event named {shorten(event.event, 40)}"
    for payload in payloads:
        value = read_json(payload)
        if is_object(value):
            yield from _differences(value, "ChatStreamError" if "error" in value else "ChatCompletionChunk")
        elif payload != "[DONE]":
            yield "a payload that is not a JSON object"


def _differences(value: Any, component: str) -> Iterator[str]:
    for violation in violations(value, component):
        wanted = " or ".join(map(str, violation.wanted))
        yield f"{format_path(violation.path) or component}: {violation.kind}" + (
            f", not {wanted}" if wanted else ""
        )
    for unknown in the_contract.unknown_keys(value, component):
        yield f"unknown key {shorten(unknown.path, 80)}"


def _auth(request: Request, key: Secret) -> httpx.Auth | None:
    if request.key == "none":
        return None
    given = {"yours": key.reveal(), "yours after Bearer": f"Bearer {key.reveal()}", "made up": NO_SUCH_KEY}
    return KeyAuth(Secret(given[request.key]))


def report(rows: Iterable[tuple[Request, Answer | str]]) -> Iterator[str]:
    """Yield the lines of the report, a Markdown table."""
    yield "| request | status | media type | header names | differences from the contract |"
    yield "| --- | --- | --- | --- | --- |"
    for request, answer in rows:
        if isinstance(answer, str):
            cells = [request.name, answer, "", "", ""]
        else:
            headers, differences = ", ".join(answer.headers), "; ".join(answer.findings) or "none"
            cells = [request.name, str(answer.status_code), answer.media_type, headers, differences]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the probe; return 0 when nothing differs, 1 when something does, 2 when nothing was sent."""
    parser = argparse.ArgumentParser(
        prog="scripts/probe",
        description="Sends fixed requests to the live service, and holds the answers against the contract.",
        epilog="Set MILLIS_API_KEY to your private key and MILLIS_AGENT_ID to an agent of yours;"
        " MILLIS_BASE_URL names another host. Exit status: 0 nothing differs from the contract; 1 something"
        " does, or was not answered; 2 nothing was sent; 130 interrupted.",
    )
    parser.add_argument("--yes", action="store_true", help="send without asking")
    parser.add_argument(
        "--make-a-copy", action="store_true", help="try duplicate too: leaves a copy of the agent"
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write the table here as well; it holds no secrets"
    )
    parser.add_argument("--region", choices=sorted(HOSTS), help="the service's host (default: us)")
    given = parser.parse_args(arguments)
    try:
        options = read_options(
            read_key(wrap_key(None)),
            region=given.region,
            base_url=None,
            allow_http=False,
            headers=None,
            strict=False,
        )
        ensure_valid_host(options.base_url)
        agent_id = os.environ.get("MILLIS_AGENT_ID", "").strip()
        if not re.fullmatch(r"[\w-]+", validate_agent_id(agent_id), re.ASCII):
            raise ConfigurationError("MILLIS_AGENT_ID: an agent id has letters, digits, - and _")
    except ConfigurationError as error:
        print(f"scripts/probe: {error}", file=sys.stderr)
        return 2
    requests = (*REQUESTS, *COPIES) if given.make_a_copy else REQUESTS
    print(
        f"To {options.base_url}, with your key and agent, each once, at most {LIMIT_SECONDS:g} s:",
        file=sys.stderr,
    )
    for number, request in enumerate(requests, 1):
        print(f"  {number}. {request.operation}: {request.name}", file=sys.stderr)
    if not given.yes:
        print("It may cost you. Send them? [y/N] ", end="", file=sys.stderr, flush=True)
        if not sys.stdin.isatty() or sys.stdin.readline().strip().lower() not in ("y", "yes"):
            print("\nNothing was sent; --yes sends without asking.", file=sys.stderr)
            return 2
    rows: list[tuple[Request, Answer | str]] = []
    interrupted = False
    try:
        for request in requests:
            print(f"{request.name} ...", file=sys.stderr, flush=True)
            answer = send(request, options, agent_id)
            rows.append((request, answer))
            if isinstance(answer, Answer) and answer.copy_id:
                print(f"A copy was made, for you to delete: {answer.copy_id}", file=sys.stderr)
            elif isinstance(answer, str) and request == COPIES[1]:
                print("No answer: a copy may exist; look for it.", file=sys.stderr)
    except KeyboardInterrupt:
        interrupted = True
        print("Interrupted; the request under way may have been processed.", file=sys.stderr)
    text = options.key.redact_text("\n".join(report(rows))).replace(agent_id, "****") + "\n"
    print(text, end="")
    if given.report is not None:
        given.report.write_text(text, "utf-8")
    if interrupted:
        return 130
    return int(any(isinstance(answer, str) or answer.findings for _, answer in rows))


if __name__ == "__main__":
    sys.exit(main())
