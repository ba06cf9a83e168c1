"""Duplicate an agent once for each customer: a few at a time, resumable, and never twice for a customer.

    MILLIS_API_KEY=... python thirty_copies.py AGENT_ID customers.csv copies.jsonl

The first line of `customers.csv` names the columns. The column `customer` identifies a customer. The others
are the customer's metadata, which fills the {placeholders} of the agent's prompt in a chat:

    for line in open("copies.jsonl"):
        if (entry := json.loads(line))["state"] == "made":
            millis.chat.send("Hello", agent_id=entry["id"], metadata=entry["metadata"])

The script adds a line to `copies.jsonl` before and after each request. Run it again after a failure or a
kill: it makes only the missing copies. It does not retry a customer whose request was sent but whose outcome
is unknown. Check whether that copy exists, and add a line with "made" or "not made" in the same form.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import sys
from pathlib import Path
from typing import Any

from millis_wrapper import AsyncMillis, MillisError

AT_ONCE = 4


def read_customers(path: Path) -> dict[str, dict[str, str]]:
    """Return the metadata of each customer, or raise ValueError if a line is not usable."""
    customers: dict[str, dict[str, str]] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:  # Excel writes a byte order mark
        rows = csv.DictReader(file, strict=True)
        if "customer" not in (rows.fieldnames or ()):
            raise ValueError(f"{path}: the first line must name a column customer, got {rows.fieldnames}")
        for row in rows:
            customer = (row.pop("customer") or "").strip()
            where = f"{path}, line {rows.line_num}"
            if None in row or None in row.values():
                raise ValueError(
                    f"{where}: must have {len(rows.fieldnames or ())} fields, as the first line has"
                )
            if not customer or customer in customers:
                raise ValueError(f"{where}: the customer must be new and not empty, got {customer!r}")
            customers[customer] = row
    return customers


class Journal:
    """The state of each customer: "sent", "made" or "not made". The last line about a customer counts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        *lines, rest = path.read_bytes().split(b"\n") if path.exists() else [b""]
        if rest:
            # A killed run left this line incomplete: its request was not sent, or its outcome is unknown.
            os.truncate(path, path.stat().st_size - len(rest))
        entries: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self.states = {entry["customer"]: entry["state"] for entry in entries}

    def write(self, customer: str, state: str, **more: Any) -> None:
        """Add a line, and wait until it is on the disk."""
        line = json.dumps({"customer": customer, "state": state, **more}) + "\n"
        with self._path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        self.states[customer] = state


async def copy_for(
    millis: AsyncMillis, agent_id: str, customer: str, metadata: dict[str, str], journal: Journal
) -> str:
    """Make one copy, write the outcome to the journal, and return it as a line to print."""
    journal.write(customer, "sent")
    try:
        copy = await millis.agents.duplicate(agent_id)
    except MillisError as error:
        if error.maybe_processed:
            return f"a copy may exist: {error}"
        journal.write(customer, "not made", why=str(error))
        return f"no copy: {error}"
    journal.write(customer, "made", id=copy.id, metadata=metadata)
    return copy.id


async def main(agent_id: str, customers: dict[str, dict[str, str]], journal: Journal) -> list[str]:
    """Make the missing copies; return the customers without a confirmed copy."""
    limit = asyncio.Semaphore(AT_ONCE)
    missing = [customer for customer in customers if journal.states.get(customer) in (None, "not made")]
    finished = 0

    async def one(customer: str) -> None:
        nonlocal finished
        async with limit:
            outcome = await copy_for(millis, agent_id, customer, customers[customer], journal)
        finished += 1
        print(f"[{finished}/{len(missing)}] {customer}: {outcome}", file=sys.stderr, flush=True)

    async with AsyncMillis() as millis, asyncio.TaskGroup() as tasks:
        for customer in missing:
            tasks.create_task(one(customer))
    return [customer for customer in customers if journal.states.get(customer) != "made"]


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    agent, table, journal_path = sys.argv[1:]
    try:
        wanted = read_customers(Path(table))
    except (ValueError, csv.Error) as error:
        sys.exit(str(error))
    left = asyncio.run(main(agent, wanted, Journal(Path(journal_path))))
    print(f"{len(wanted) - len(left)} of {len(wanted)} customers have a copy.")
    sys.exit(f"Check these in {journal_path}: {', '.join(left)}" if left else 0)
