"""Replies, chunks and copies as data: for a log, a database or a web page."""

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
ANSWERS: list[dict[str, Any]] = json.loads((CORPUS / "duplicate" / "answers.json").read_text("utf-8"))


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
def test_a_reply_as_data(reply: ChatReply, data: dict[str, Any]) -> None:
    """Every field is in it, under its own name, and makes the same reply again."""
    assert reply.to_dict() == data
    assert ChatReply(**through_json(reply.to_dict())) == reply


def test_a_chunk_as_data() -> None:
    """The payload is in it as it came, an object or text."""
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


def test_what_a_stream_gives_is_data() -> None:
    """Chunks and reply of a real stream can be written as JSON, also those of one that broke."""
    for name in ("stream.txt", "stream-error.txt"):
        outcome = play([(EXAMPLES / name).read_bytes()])
        error = outcome.error
        reply = error.reply if isinstance(error, StreamError) else outcome.reply
        assert reply is not None
        assert ChatReply(**through_json(reply.to_dict())) == reply
        for chunk in outcome.chunks:
            assert ChatChunk(**through_json(chunk.to_dict())) == chunk


def test_half_a_surrogate_pair_in_a_payload_is_data() -> None:
    """A payload is kept as it came; JSON can write what UTF-8 cannot."""
    (chunk,) = play([event(delta("\ud83d")), b"data: [DONE]\n\n"]).chunks
    assert through_json(chunk.to_dict()) == chunk.to_dict()


@pytest.mark.parametrize("example", ["agent-full.json", "agent-minimal.json", "agent-nulls.json"])
def test_a_copy_as_data(example: str) -> None:
    """Id, name, time as ISO 8601 text, and the config exactly as it came."""
    body = (EXAMPLES / example).read_bytes()
    answer = json.loads(body)
    agent = read_duplicated_agent(body)
    data = agent.to_dict()
    assert through_json(data) == data
    assert (data["id"], data["name"]) == (answer["id"], answer.get("name"))
    assert data["config"] == answer.get("config")
    assert data["created_at"] == (agent.created_at.isoformat() if agent.created_at else None)


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: str(case["name"]))
def test_an_odd_copy_as_data(case: dict[str, Any]) -> None:
    """Whatever else was odd about the answer, the data has its id, what came beside, and can be written."""
    agent = read_duplicated_agent(json.dumps(case["answer"]).encode())
    data = through_json(agent.to_dict())
    assert set(data) == {"id", "name", "created_at", "config"} | set(case["answer"])
    assert all(data[key] == case["answer"][key] for key in set(data) - {"id", "name", "created_at", "config"})
    assert data["id"] == case["id"]
    assert data["created_at"] is None or data["created_at"].endswith("+00:00")


def test_data_can_be_changed_without_changing_the_copy() -> None:
    """What is done to the dict leaves the agent's config as it came."""
    agent = read_duplicated_agent(b'{"id":"x","config":{"prompt":"p","voice":{"provider":"o"}}}')
    data = agent.to_dict()
    data["config"]["prompt"] = "another"
    assert agent.to_dict()["config"]["prompt"] == "p"
