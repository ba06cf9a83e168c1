"""One copy of an agent for each customer: a few at a time, resumable, and never two copies for one customer.

    MILLIS_API_KEY=... python thirty_copies.py AGENT_ID customers.txt copies.jsonl

`customers.txt` has one name a line. `copies.jsonl` gets a line before each request and one after it, so
that a run that was killed goes on where it stopped. A customer whose request was sent, and whose outcome
nobody knows, is not tried again: look whether the copy exists, and write its line by hand.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from millis_wrapper import AsyncMillis, MillisError

AT_ONCE = 4


class Journal:
    """What is known of each customer: "sent", "made" or "not made"; the last line counts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        *lines, rest = path.read_bytes().split(b"\n") if path.exists() else [b""]
        if (
            rest
        ):  # a run was killed while it wrote this line: its request was not sent, or its outcome is open
            os.truncate(path, path.stat().st_size - len(rest))
        entries: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self.states = {entry["customer"]: entry["state"] for entry in entries}

    def write(self, customer: str, state: str, **more: str) -> None:
        """Add a line, and wait until it is on the disk."""
        line = json.dumps({"customer": customer, "state": state, **more}) + "\n"
        with self._path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        self.states[customer] = state


async def copy_for(millis: AsyncMillis, agent_id: str, customer: str, journal: Journal) -> None:
    """Make one copy, and write down what became of it."""
    journal.write(customer, "sent")
    try:
        copy = await millis.agents.duplicate(agent_id)
    except MillisError as error:
        if not error.maybe_processed:
            journal.write(customer, "not made", why=str(error))
        return
    journal.write(customer, "made", id=copy.id)


async def main(agent_id: str, customers: list[str], journal: Journal) -> list[str]:
    """Make the copies that are missing; return the customers who have none for sure."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(customer: str) -> None:
        async with limit:
            await copy_for(millis, agent_id, customer, journal)

    async with AsyncMillis() as millis, asyncio.TaskGroup() as tasks:
        for customer in dict.fromkeys(customers):
            if journal.states.get(customer) in (None, "not made"):
                tasks.create_task(one(customer))
    return [customer for customer in customers if journal.states.get(customer) != "made"]


if __name__ == "__main__":
    agent, names, journal_path = sys.argv[1:]
    wanted = [line.strip() for line in Path(names).read_text("utf-8").splitlines() if line.strip()]
    missing = asyncio.run(main(agent, wanted, Journal(Path(journal_path))))
    print(f"{len(wanted) - len(missing)} of {len(wanted)} customers have a copy.")
    sys.exit(f"Look at these in {journal_path}: {', '.join(missing)}" if missing else 0)
