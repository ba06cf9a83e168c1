"""`to_dict()` of replies, chunks and copies returns data for a log, a database or a web page."""

from __future__ import annotations

import json
from typing import Any

import pytest
from chat_streams import delta, event, play
from paths import CORPUS, EXAMPLES

from millis_wrapper import ToolCallDict
from millis_wrapper.errors import StreamError
from millis_wrapper.response import read_duplicated_agent
from millis_wrapper.results import ChatChunk, ChatReply

CALLS: list[ToolCallDict] = [
    {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
]
RESPONSES: list[dict[str, Any]] = json.loads((CORPUS / "duplicate" / "responses.json").read_text("utf-8"))


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


@pytest.mark.parametrize(
    ("reply", "data"),
    [
        (
            ChatReply(),
            {
                "text": "",
                "finish_reason": None,
                "ended": None,
                "usage": None,
                "tool_calls": [],
                "time_to_first_text": None,
                "duration": None,
            },
        ),
        (
            ChatReply("Grüße", "stop", "done", {"total_tokens": 3}, CALLS, 0.25, 1.5),
            {
                "text": "Grüße",
                "finish_reason": "stop",
                "ended": "done",
                "usage": {"total_tokens": 3},
                "tool_calls": CALLS,
                "time_to_first_text": 0.25,
                "duration": 1.5,
            },
        ),
    ],
)
def test_a_reply_as_a_dict_has_every_field(reply: ChatReply, data: dict[str, Any]) -> None:
    """The dict uses the names of the fields, and a reply created from it is equal."""
    assert reply.to_dict() == data
    assert ChatReply(**through_json(reply.to_dict())) == reply


def test_a_chunk_as_a_dict_keeps_its_payload() -> None:
    """The payload, an object or a string, is unchanged."""
    chunks = [
        ChatChunk("Hi", {"choices": [{"delta": {"content": "Hi"}}], "new": None}, "message", "stop"),
        ChatChunk("", "a keep-alive", "ping"),
    ]
    assert [chunk.to_dict() for chunk in chunks] == [
        {
            "text": "Hi",
            "data": {"choices": [{"delta": {"content": "Hi"}}], "new": None},
            "event": "message",
            "finish_reason": "stop",
        },
        {"text": "", "data": "a keep-alive", "event": "ping", "finish_reason": None},
    ]
    assert [ChatChunk(**through_json(chunk.to_dict())) for chunk in chunks] == chunks


def test_the_results_of_a_stream_can_be_written_as_json() -> None:
    """The chunks and the reply of a complete and of a failed stream survive JSON."""
    for name in ("stream.txt", "stream-error.txt"):
        outcome = play([(EXAMPLES / name).read_bytes()])
        error = outcome.error
        reply = error.reply if isinstance(error, StreamError) else outcome.reply
        assert reply is not None
        assert ChatReply(**through_json(reply.to_dict())) == reply
        for chunk in outcome.chunks:
            assert ChatChunk(**through_json(chunk.to_dict())) == chunk


def test_a_payload_with_a_lone_surrogate_can_be_written_as_json() -> None:
    """The payload is unchanged: JSON can encode a lone surrogate, although UTF-8 cannot."""
    chunk, *_ = play([event(delta("\ud83d")), b"data: [DONE]\n\n"]).chunks
    assert chunk.data["choices"][0]["delta"]["content"] == "\ud83d"
    assert through_json(chunk.to_dict()) == chunk.to_dict()


@pytest.mark.parametrize("example", ["agent-full.json", "agent-minimal.json", "agent-nulls.json"])
def test_a_copy_as_a_dict_has_its_id_name_time_and_config(example: str) -> None:
    """The time is ISO 8601 text, and the config is unchanged."""
    body = (EXAMPLES / example).read_bytes()
    response = json.loads(body)
    agent = read_duplicated_agent(body)
    data = agent.to_dict()
    assert through_json(data) == data
    assert (data["id"], data["name"]) == (response["id"], response.get("name"))
    assert data["config"] == response.get("config")
    assert data["created_at"] == (agent.created_at.isoformat() if agent.created_at else None)


@pytest.mark.parametrize("case", RESPONSES, ids=lambda case: str(case["name"]))
def test_an_unusual_copy_as_a_dict_keeps_unknown_keys(case: dict[str, Any]) -> None:
    """The dict has the id and all unknown keys, and is valid JSON, even if other values are invalid."""
    agent = read_duplicated_agent(json.dumps(case["response"]).encode())
    data = through_json(agent.to_dict())
    assert set(data) == {"id", "name", "created_at", "config"} | set(case["response"])
    assert all(
        data[key] == case["response"][key] for key in set(data) - {"id", "name", "created_at", "config"}
    )
    assert data["id"] == case["id"]
    assert data["created_at"] is None or data["created_at"].endswith("+00:00")


def test_a_change_of_the_dict_does_not_change_the_copy() -> None:
    """`to_dict()` returns an independent copy of the config."""
    agent = read_duplicated_agent(b'{"id":"x","config":{"prompt":"p","voice":{"provider":"o"}}}')
    data = agent.to_dict()
    data["config"]["prompt"] = "another"
    assert agent.to_dict()["config"]["prompt"] == "p"
