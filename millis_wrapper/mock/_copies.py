"""Write the response to `duplicate`: as documented, or with the fault of a failure scenario."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import anyio

from millis_wrapper import contract
from millis_wrapper._json import is_object

from ._streams import HTML, CutError

CopyData: TypeAlias = dict[str, Any]
CopyWriter: TypeAlias = Callable[[CopyData], AsyncGenerator[bytes]]


async def as_documented(copy: CopyData) -> AsyncGenerator[bytes]:
    """Write the copy as JSON."""
    yield _json(copy)


async def unknown_fields(copy: CopyData) -> AsyncGenerator[bytes]:
    config = copy["config"]
    config["mock_mood"] = "calm"
    config["voice"] = {**(config["voice"] or {}), "mock_pitch": {"base": 1.5}}
    config["tools"] = [{"name": "mock_tool", "description": "Does nothing.", "mock_cost": 0}]
    yield _json({**copy, "mock_owner": {"id": 7}})


async def nulls(copy: CopyData) -> AsyncGenerator[bytes]:
    for field in contract.fields("AgentConfig"):
        *parents, key = field.path.split(".")
        place: Any = copy["config"]
        for parent in parents:
            place = place.get(parent) if is_object(place) else None
        if field.nullable and is_object(place):
            place.setdefault(key, None)
    yield _json({**copy, "name": None, "created_at": None})


async def new_values(copy: CopyData) -> AsyncGenerator[bytes]:
    config = copy["config"]
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
    yield _json(copy)


async def in_seconds(copy: CopyData) -> AsyncGenerator[bytes]:
    yield _json({**copy, "created_at": copy["created_at"] // 1000})


async def as_iso_date(copy: CopyData) -> AsyncGenerator[bytes]:
    moment = datetime.fromtimestamp(copy["created_at"] / 1000, UTC)
    yield _json({**copy, "created_at": moment.isoformat()})


async def cut(copy: CopyData) -> AsyncGenerator[bytes]:
    yield _half(copy)
    raise CutError


async def stall(copy: CopyData) -> AsyncGenerator[bytes]:
    yield _half(copy)
    await anyio.sleep_forever()


async def html(copy: CopyData) -> AsyncGenerator[bytes]:
    yield HTML


def _json(copy: CopyData) -> bytes:
    return json.dumps(copy, separators=(",", ":")).encode()


def _half(copy: CopyData) -> bytes:
    body = _json(copy)
    return body[: len(body) // 2]
