"""The table, for a terminal and as a file that can be attached to an issue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from millis_wrapper._version import __version__

from . import fit, promises
from .judging import Finding, Missing, Outcomes
from .shapes import named

_COLUMNS = ("question", "contract says", "service says", "verdict")
_STYLES = {"same": "green", "not the same": "bold red", "failed": "bold red", "not asked": "dim"}


def show(findings: Sequence[Finding], console: Console) -> None:
    """Print the table and the suggested edits."""
    table = Table(*_COLUMNS, show_lines=True)
    for finding in findings:
        # Text, since rich takes brackets in a str for markup.
        *cells, verdict = map(Text, finding[:4])
        verdict.stylize(_STYLES[finding.verdict])
        table.add_row(*cells, verdict)
    console.print(table)
    for heading, edits in _edits(findings):
        console.print(Text(f"{heading}:"))
        for edit in edits:
            console.print(Text(f"- {edit}"))


def markdown(findings: Sequence[Finding], outcomes: Outcomes, *, host: str, when: datetime) -> str:
    """Return the report: the table, the suggested edits, and what else was seen of each answer."""
    return "\n".join(_lines(findings, outcomes, host, when)) + "\n"


def _lines(findings: Sequence[Finding], outcomes: Outcomes, host: str, when: datetime) -> Iterable[str]:
    yield "# The contract, held against the live service"
    yield ""
    yield (
        f"Asked: {host}, on {when:%Y-%m-%d}, with millis-wrapper {__version__} and the contract"
        f" {promises.version()}. Of the answers this report holds statuses, names and types; it holds no"
        " private key, no agent's id and none of an agent's text."
    )
    yield ""
    yield from _table(_COLUMNS, [finding[:4] for finding in findings])
    for heading, edits in _edits(findings):
        yield from ("", f"## {heading}", "", *(f"- {edit}" for edit in edits))
    yield from ("", "## What was sent", "")
    yield from _table(("request", "answer", "keys", "headers"), list(_exchanges(outcomes)))
    yield from ("", "## What `info.x-not-known` lists, and what of it can now go", "")
    yield from (f"- {point}" for point in promises.not_known())


def _edits(findings: Sequence[Finding]) -> Iterable[tuple[str, list[str]]]:
    """Return the suggested edits of the contract under their headings."""
    wrong = [f"{f.question} {f.edit}" for f in findings if f.edit and f.verdict == "not the same"]
    open_so_far = [f"{f.question} {f.edit}" for f in findings if f.edit and f.verdict == "same"]
    if wrong:
        yield "Edits of openapi/millis.yaml where it is not the same", wrong
    if open_so_far:
        yield "Edits that would put down what was open so far", open_so_far


def _exchanges(outcomes: Outcomes) -> Iterable[tuple[str, str, str, str]]:
    for exchange, outcome in outcomes.items():
        if isinstance(outcome, Missing):
            yield exchange.name, f"{outcome.verdict}: {outcome.reason}", "", ""
        else:
            keys = fit.shape_words(fit.body_shape(exchange, outcome))
            yield exchange.name, str(outcome.status), keys, ", ".join(map(named, outcome.header_names))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    for row in (heads, ["---"] * len(heads), *rows):
        yield f"| {' | '.join(row)} |"
