"""Compare the live service with the contract by sending a dozen fixed requests (`scripts/probe`).

The script lists the requests and asks before it sends them. It sends each one once, one after another. The
report contains statuses, media types, names of headers and keys, and types of values. It does not contain the
key, the agent's id, or any text of the agent.
"""

from __future__ import annotations

import argparse
import json
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
from millis_wrapper.errors import plain_message
from millis_wrapper.options import HOSTS, Options, read_options
from millis_wrapper.sse import EventTooLargeError, SSEDecoder

LIMIT_SECONDS = 60.0  # per request, including its response
LIMIT_BYTES = 1024 * 1024  # per response

# Valid values, so that the service refuses them as unknown and not as malformed.
NO_SUCH_AGENT = "-probe-no-such-agent"
NO_SUCH_KEY = "0" * 32

PATHS = {"chat": "/chat/completions", "duplicate": "/agents/{agent_id}/duplicate"}
TURN = {"role": "user", "content": "Say OK."}
SYSTEM = {"role": "system", "content": "Be brief."}


@attrs.frozen
class Request:
    """One request. `config` is sent as agent_config, and `more` beside the messages."""

    name: str
    operation: Literal["chat", "duplicate"] = "chat"
    key: Literal["yours", "yours after Bearer", "made up", "none"] = "yours"
    is_known_agent: bool = True
    messages: Sequence[Mapping[str, str]] = (TURN,)
    config: Mapping[str, Any] | None = None
    more: Mapping[str, Any] = attrs.field(factory=dict[str, Any])


REQUESTS = (
    Request("a plain turn (the agent replies)"),
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


class Summary(NamedTuple):
    """The parts of a response that the report needs, without any text of the agent."""

    status_code: int
    media_type: str
    headers: tuple[str, ...]
    findings: tuple[str, ...]
    copy_id: str = ""


def send(request: Request, options: Options, agent_id: str) -> Summary | str:
    """Send `request` once.

    Returns:
        The response, or the name of the exception, which contains no secret.
    """
    agent: dict[str, Any] = {"agent_id": agent_id if request.is_known_agent else NO_SUCH_AGENT}
    if request.config is not None:
        agent["agent_config"] = request.config
    body = {"agent": agent, "messages": list(request.messages), **request.more}
    deadline = time.monotonic() + LIMIT_SECONDS
    try:
        with (
            new_client(options, None) as http,
            http.stream(
                "POST",
                options.base_url + PATHS[request.operation].format(**agent),
                json=body if request.operation == "chat" else None,
                auth=_auth(request, options.key),
                timeout=LIMIT_SECONDS,
            ) as response,
        ):
            data = b""
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > LIMIT_BYTES or time.monotonic() > deadline:
                    break
    except (httpx.HTTPError, httpx.StreamError, OSError) as error:
        return type(error).__name__  # its message may quote the request
    headers = tuple(sorted({escape_control_characters(name) for name in response.headers}))
    media_type = escape_control_characters(response.headers.get("content-type", "")).partition(";")[0]
    value = read_json(data)
    copied = request.operation == "duplicate" and response.is_success and is_object(value)
    return Summary(
        response.status_code,
        media_type.strip(),
        headers,
        tuple(dict.fromkeys(findings(request, response.status_code, media_type.strip(), data))),
        shorten(str(value.get("id") or ""), 60) if copied else "",
    )


def findings(request: Request, status_code: int, media_type: str, data: bytes) -> Iterator[str]:
    """Yield the differences between a response and the contract."""
    responses = the_contract.load()["paths"][PATHS[request.operation]]["post"]["responses"]
    if str(status_code) not in responses:
        yield f"status {status_code} is not in the contract"
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
        yield "the stream does not contain [DONE]"
    for event in events:
        if event.event != "message":
            yield f"event type {shorten(event.event, 40)}"
    for payload in payloads:
        value = read_json(payload)
        if is_object(value):
            yield from _differences(value, "ChatStreamError" if "error" in value else "ChatCompletionChunk")
        elif payload != "[DONE]":
            yield "event data that is not a JSON object"


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


def report(rows: Iterable[tuple[Request, Summary | str]]) -> Iterator[str]:
    """Yield the lines of the report, a Markdown table."""
    yield "| request | status | media type | header names | differences from the contract |"
    yield "| --- | --- | --- | --- | --- |"
    for request, summary in rows:
        if isinstance(summary, str):
            cells = [request.name, summary, "", "", ""]
        else:
            headers, differences = ", ".join(summary.headers), "; ".join(summary.findings) or "none"
            cells = [request.name, str(summary.status_code), summary.media_type, headers, differences]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the probe and return the exit status, which --help explains."""
    parser = argparse.ArgumentParser(
        prog="scripts/probe",
        description="Send fixed requests to the live service and compare the responses with the contract.",
        epilog="Set MILLIS_API_KEY to your private key and MILLIS_AGENT_ID to the id of one of your agents;"
        " MILLIS_BASE_URL selects another host. Exit status: 0 no differences; 1 differences, or a request"
        " without a response; 2 no request was sent; 130 interrupted.",
    )
    parser.add_argument("--yes", action="store_true", help="send without asking")
    parser.add_argument(
        "--make-a-copy", action="store_true", help="also test duplicate, which makes a copy of the agent"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="also write the report to FILE")
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
    except ConfigurationError as error:
        print(f"scripts/probe: {plain_message(error)}", file=sys.stderr)
        return 2
    agent_id = os.environ.get("MILLIS_AGENT_ID", "").strip()
    if not re.fullmatch(r"[\w-]+", agent_id, re.ASCII):
        why = "must be the id of one of your agents (letters, digits, - and _)"
        print(f"scripts/probe: MILLIS_AGENT_ID: {why}, got {json.dumps(agent_id)}", file=sys.stderr)
        return 2
    requests = (*REQUESTS, *COPIES) if given.make_a_copy else REQUESTS
    print(
        f"Requests to {options.base_url} with your key and agent. Each is sent once, with a timeout of"
        f" {LIMIT_SECONDS:g} s:",
        file=sys.stderr,
    )
    for number, request in enumerate(requests, 1):
        print(f"  {number}. {request.operation}: {request.name}", file=sys.stderr)
    if not given.yes:
        print("The requests may cost money. Send them? [y/N] ", end="", file=sys.stderr, flush=True)
        if not sys.stdin.isatty() or sys.stdin.readline().strip().lower() not in ("y", "yes"):
            print("\nThe requests were not sent; pass --yes to send them without asking.", file=sys.stderr)
            return 2
    rows: list[tuple[Request, Summary | str]] = []
    interrupted = False
    try:
        for request in requests:
            print(f"{request.name} ...", file=sys.stderr, flush=True)
            summary = send(request, options, agent_id)
            rows.append((request, summary))
            if isinstance(summary, Summary) and summary.copy_id:
                print(f"The service made a copy of your agent; delete it: {summary.copy_id}", file=sys.stderr)
            elif isinstance(summary, str) and request == COPIES[1]:
                print("The service did not respond. A copy may exist; check your agents.", file=sys.stderr)
    except KeyboardInterrupt:
        interrupted = True
        print("Interrupted. The service may have processed the last request.", file=sys.stderr)
    text = options.key.redact_text("\n".join(report(rows))).replace(agent_id, "****") + "\n"
    print(text, end="")
    if given.report is not None:
        given.report.write_text(text, "utf-8")
    if interrupted:
        return 130
    return int(any(isinstance(summary, str) or summary.findings for _, summary in rows))


if __name__ == "__main__":
    sys.exit(main())
