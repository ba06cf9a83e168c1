"""Ask two agents, or two configs, the same questions, and print their replies side by side.

    MILLIS_API_KEY=... python side_by_side.py questions.txt -OabCdEfGhIjKlMnOpQr new.yaml > table.md

`questions.txt` has one question per line, and each question is a separate chat. Each side is an agent id or
a config file (JSON or YAML; needs the extra `contract`). The output is a Markdown table, with differences in
bold.
"""

from __future__ import annotations

import asyncio
import difflib
import statistics
import sys
from pathlib import Path
from typing import Any

from millis_wrapper import AsyncMillis, ChatReply, MillisError, StreamError
from millis_wrapper.config import load_config

AT_ONCE = 8


def side(argument: str) -> dict[str, Any]:
    """Return the arguments of `chat.send` for an agent id or a config file."""
    if argument.endswith((".json", ".yaml", ".yml")):
        return {"agent_config": load_config(argument)}
    return {"agent_id": argument}


async def ask(
    millis: AsyncMillis, question: str, agent: dict[str, Any], limit: asyncio.Semaphore
) -> ChatReply:
    """Return the reply; mark an incomplete or failed one, so that it does not look like a short reply."""
    async with limit:
        try:
            return await millis.chat.send(question, **agent)
        except StreamError as error:
            return ChatReply(f"{error.reply.text} (incomplete)")
        except MillisError as error:
            return ChatReply(f"(failed: {error})")


def row(question: str, a: ChatReply, b: ChatReply) -> str:
    """Return a row of the table with the differences in bold."""
    old, new = a.text.split(), b.text.split()
    cells: tuple[list[str], list[str]] = ([], [])
    for kind, *ends in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        for cell, words in zip(cells, (old[ends[0] : ends[1]], new[ends[2] : ends[3]]), strict=True):
            text = " ".join(words)
            cell.append(text if kind == "equal" or not text else f"**{text}**")
    columns = [
        text.replace("|", r"\|") for text in (question, *(" ".join(filter(None, cell)) for cell in cells))
    ]
    return f"| {' | '.join(columns)} |"


def seconds(replies: list[ChatReply]) -> str:
    """Return the median time to the first text."""
    times = [reply.time_to_first_text for reply in replies if reply.time_to_first_text is not None]
    return f"{statistics.median(times):.2f} s" if times else "unknown"


async def main(questions: list[str], a: str, b: str) -> None:
    """Ask both sides every question, and print the table."""
    limit = asyncio.Semaphore(AT_ONCE)
    async with AsyncMillis() as millis:
        asked = [
            ask(millis, question, agent, limit) for agent in (side(a), side(b)) for question in questions
        ]
        replies = await asyncio.gather(*asked)
    left, right = replies[: len(questions)], replies[len(questions) :]
    print(f"| question | {a} | {b} |\n| --- | --- | --- |")
    for question, *pair in zip(questions, left, right, strict=True):
        print(row(question, *pair))
    print(f"| *median time to the first text* | {seconds(left)} | {seconds(right)} |")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    file, one, other = sys.argv[1:]
    asyncio.run(
        main([line for line in Path(file).read_text("utf-8").splitlines() if line.strip()], one, other)
    )
