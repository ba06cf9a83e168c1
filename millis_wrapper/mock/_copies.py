"""Ways to answer `duplicate`: as documented, and wrong on purpose."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import anyio

from millis_wrapper import contract
from millis_wrapper._json import is_object

from ._streams import HTML, CutError

Answer: TypeAlias = dict[str, Any]
CopyWriter: TypeAlias = Callable[[Answer], AsyncGenerator[bytes]]


async def as_documented(answer: Answer) -> AsyncGenerator[bytes]:
    """Write the answer as JSON."""
    yield _json(answer)


async def unknown_fields(answer: Answer) -> AsyncGenerator[bytes]:
    config = answer["config"]
    config["mock_mood"] = "calm"
    config["voice"] = {**(config["voice"] or {}), "mock_pitch": {"base": 1.5}}
    config["tools"] = [{"name": "mock_tool", "description": "Does nothing.", "mock_cost": 0}]
    yield _json({**answer, "mock_owner": {"id": 7}})


async def nulls(answer: Answer) -> AsyncGenerator[bytes]:
    for field in contract.fields("AgentConfig"):
        *parents, key = field.path.split(".")
        place: Any = answer["config"]
        for parent in parents:
            place = place.get(parent) if is_object(place) else None
        if field.nullable and is_object(place):
            place.setdefault(key, None)
    yield _json({**answer, "name": None, "created_at": None})


async def new_values(answer: Answer) -> AsyncGenerator[bytes]:
    config = answer["config"]
    config["voice"] = {**(config["voice"] or {}), "provider": "mock-new-provider"}
    config["llm"] = {"model": "mock-new-model"}
    config["language"] = "xx-NEW"
    config["speech_to_text"] = {"provider": "mock-new-ears", "model": "mock-new-model"}
    config["flow"] = {"voicemail": {"action": "mock_new_action"}}
    config["tools"] = [
        {
            "name": "mock_tool",
            "description": "Does nothing.",
            "method": "PATCH",
            "response_mode": "mock_new_mode",
        }
    ]
    yield _json(answer)


async def in_seconds(answer: Answer) -> AsyncGenerator[bytes]:
    yield _json({**answer, "created_at": answer["created_at"] // 1000})


async def as_iso_date(answer: Answer) -> AsyncGenerator[bytes]:
    moment = datetime.fromtimestamp(answer["created_at"] / 1000, UTC)
    yield _json({**answer, "created_at": moment.isoformat()})


async def cut(answer: Answer) -> AsyncGenerator[bytes]:
    yield _half(answer)
    raise CutError


async def stall(answer: Answer) -> AsyncGenerator[bytes]:
    yield _half(answer)
    await anyio.sleep_forever()


async def html(answer: Answer) -> AsyncGenerator[bytes]:
    yield HTML


def _json(answer: Answer) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode()


def _half(answer: Answer) -> bytes:
    whole = _json(answer)
    return whole[: len(whole) // 2]
