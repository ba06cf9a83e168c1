"""Says what it will send, asks whether it may, sends it, and shows what was found; see scripts/probe."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from millis_wrapper import ConfigurationError
from millis_wrapper._http import ensure_valid_host
from millis_wrapper._text import escape_control_characters
from millis_wrapper.options import HOSTS, Region, Settings, read_settings

from . import copy_questions, promises, report, request_questions, stream_questions, wire
from .asking import Asking, note
from .exchanges import WITH_A_COPY, WITHOUT_A_COPY, Exchange, prompt_tokens
from .judging import Finding, findings

LIMIT = 60.0  # seconds for one request with its answer

QUESTIONS = (
    *request_questions.STATUSES,
    *stream_questions.QUESTIONS,
    *request_questions.HEADERS,
    *copy_questions.QUESTIONS,
)
EPILOG = """\
MILLIS_API_KEY is your private key, and MILLIS_AGENT_ID the id of an agent of yours; MILLIS_BASE_URL names
another host. Exit codes: 0 all that was asked is the same; 1 something is not, or was not answered;
2 nothing was asked; 130 interrupted."""


class Options(NamedTuple):
    make_a_copy: bool
    yes: bool
    report: Path
    region: Region | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the probe, and return its exit code."""
    options = _options(arguments)
    try:
        settings, agent_id = _settings(options.region), _agent_id()
        _refuse_impossible_report(options.report)
    except ConfigurationError as error:
        note(f"scripts/probe: {escape_control_characters(str(error))}")
        return 2
    plan = WITH_A_COPY if options.make_a_copy else WITHOUT_A_COPY
    print("\n".join(_announcement(plan, settings)), flush=True)
    try:
        if not options.yes and not _may_ask():
            return 2
        return _probe(plan, settings, agent_id, options.report)
    except KeyboardInterrupt:
        return 130


def _probe(plan: tuple[Exchange, ...], settings: Settings, agent_id: str, path: Path) -> int:
    asking = Asking(plan, lambda exchange: wire.ask(exchange, settings, agent_id, LIMIT))
    interrupted = False
    try:
        asking.run()
    except KeyboardInterrupt:
        interrupted = True
    redact = _hider(settings.key.reveal(), agent_id, *asking.copy_ids)
    found = [_hidden(finding, redact) for finding in findings(QUESTIONS, asking.outcomes)]
    report.show(found, Console(highlight=False))
    text = redact(report.markdown(found, asking.outcomes, host=_host(settings), when=datetime.now(UTC)))
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        note(f"scripts/probe: no report was written to {path}: {error.strerror}")
        return 1
    note(f"The report is in {path}.")
    if interrupted:
        return 130
    return int(any(finding.verdict in ("not the same", "failed") for finding in found))


def _hider(*secrets: str) -> Callable[[str], str]:
    """Return what takes `secrets` out of a text."""
    # Nothing shown should hold them; but the service names keys and headers, and could name them so.
    pattern = re.compile("|".join(re.escape(secret) for secret in secrets if secret), re.IGNORECASE)
    return lambda text: pattern.sub("****", text)


def _hidden(finding: Finding, redact: Callable[[str], str]) -> Finding:
    return finding._replace(
        contract=redact(finding.contract), service=redact(finding.service), edit=redact(finding.edit)
    )


def _announcement(plan: tuple[Exchange, ...], settings: Settings) -> Iterator[str]:
    yield f"This asks {_host(settings)}, with your key, about your agent. It will send {len(plan)} requests:"
    for number, exchange in enumerate(plan, 1):
        contract = promises.words(exchange.operation, promises.expected(exchange))
        does = f"; {exchange.does}" if exchange.does else ""
        yield f"  {number:>2}. {exchange.name}{does} (the contract says: {contract})"
    answered = sum(
        exchange.operation == "chat" and promises.expected(exchange) == ("200",) for exchange in plan
    )
    yield (
        f"One after the other, none of them twice, each for at most {LIMIT:g} s. Together they hold about"
        f" {prompt_tokens(plan)} tokens of prompt; the agent's own prompt, and its reply, come on top where"
        f" it answers: {answered} times by the contract, and once more for each refusal that does not come."
    )
    yield "An agent that answers may call its tools and webhooks, as ever."
    if plan is not WITH_A_COPY:
        yield "No copy is made; with --make-a-copy one is, and duplicate is asked about too."


def _may_ask() -> bool:
    if not sys.stdin.isatty():
        note("Nothing was sent: there is no terminal to ask for leave; pass --yes to send it.")
        return False
    print("Send it? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    note("Nothing was sent.")
    return False


def _settings(region: Region | None) -> Settings:
    if "MILLIS_API_KEY" not in os.environ:
        raise ConfigurationError("no key: set MILLIS_API_KEY to your private key")
    settings = read_settings(None, region=region, base_url=None, allow_http=False, headers=None, strict=False)
    ensure_valid_host(settings.base_url)
    return settings


def _agent_id() -> str:
    agent_id = os.environ.get("MILLIS_AGENT_ID", "").strip()
    if not agent_id:
        raise ConfigurationError("no agent: set MILLIS_AGENT_ID to the id of an agent of yours")
    if not re.fullmatch(r"[\w-]{1,100}", agent_id, re.ASCII):
        raise ConfigurationError("MILLIS_AGENT_ID is no agent's id: letters, digits, - and _ make one")
    return agent_id


def _refuse_impossible_report(path: Path) -> None:
    # Before anything is spent on what could not be written down.
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ConfigurationError(f"--report: {path} cannot be a file: name one in a folder that is there")


def _host(settings: Settings) -> str:
    # A host that is nobody else's business is not named.
    return settings.base_url if settings.base_url in HOSTS.values() else "the host in MILLIS_BASE_URL"


def _options(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(
        prog="scripts/probe",
        description="Asks the live service what nobody could look up, and holds it against the contract.",
        epilog=EPILOG,
    )
    parser.add_argument("--yes", action="store_true", help="send without asking for leave")
    parser.add_argument(
        "--make-a-copy", action="store_true", help="ask about duplicate too, which leaves a copy of the agent"
    )
    parser.add_argument(
        "--report",
        type=Path,
        default=Path("probe-report.md"),
        metavar="FILE",
        help="where the report goes (default: %(default)s); it holds no secrets",
    )
    parser.add_argument("--region", choices=sorted(HOSTS), help="the service's host: us (the default) or eu")
    return Options(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
