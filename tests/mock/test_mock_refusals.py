"""The mock server refuses the same requests as the service, in the same form."""

from __future__ import annotations

from typing import Any

import pytest
from asgi import CHAT, chat_body, duplicate_path, post

from millis_wrapper.contract._validation import violations
from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis


def message(**changes: Any) -> dict[str, Any]:
    changed = {"role": "user", "content": "Hello", **changes}
    return {key: value for key, value in changed.items() if value is not ...}


def with_message(**changes: Any) -> dict[str, Any]:
    return {**chat_body(), "messages": [message(**changes)]}


def with_config(**config: Any) -> dict[str, Any]:
    return {**chat_body(), "agent": {"agent_config": config}}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "loc", "msg", "kind"),
    [
        ({}, ["body", "agent"], "Field required", "missing"),
        ([], ["body"], "Input should be a valid dictionary", "dict_type"),
        (with_message(content=...), ["body", "messages", 0, "content"], "Field required", "missing"),
        (with_message(role=...), ["body", "messages", 0, "role"], "Field required", "missing"),
        (with_message(content=None), ["body", "messages", 0, "content"], "valid string", "string_type"),
        (
            with_message(role="system"),
            ["body", "messages", 0, "role"],
            "Input should be 'user', 'assistant' or 'tool'",
            "literal_error",
        ),
        (with_message(role="tool"), ["body", "messages", 0, "tool_call_id"], "Field required", "missing"),
        (
            with_message(role="assistant", tool_calls=[{"id": "1", "type": "function"}]),
            ["body", "messages", 0, "tool_calls", 0, "function"],
            "Field required",
            "missing",
        ),
        ({**chat_body(), "messages": ["Hello"]}, ["body", "messages", 0], "dictionary", "dict_type"),
        ({**chat_body(), "messages": {}}, ["body", "messages"], "Input should be a valid list", "list_type"),
        ({**chat_body(), "end_of_session": 1}, ["body", "end_of_session"], "valid boolean", "bool_type"),
        (
            with_config(first_messsage="Hi"),
            ["body", "agent", "agent_config", "first_messsage"],
            "Extra inputs are not permitted",
            "extra_forbidden",
        ),
        (
            with_config(flow={"response_delay": 1.5}),
            ["body", "agent", "agent_config", "flow", "response_delay"],
            "Input should be a valid integer, got a number with a fractional part",
            "int_from_float",
        ),
        (
            with_config(tools=[{"name": "t", "description": "d", "timeout": "9"}]),
            ["body", "agent", "agent_config", "tools", 0, "timeout"],
            "Input should be a valid integer",
            "int_type",
        ),
        (
            with_config(vad_threshold="high"),
            ["body", "agent", "agent_config", "vad_threshold"],
            "Input should be a valid number",
            "float_type",
        ),
        (
            with_config(llm="gpt-4o"),
            ["body", "agent", "agent_config", "llm"],
            "valid dictionary",
            "dict_type",
        ),
        (
            with_config(session_data_webhook={"headers": {}}),
            ["body", "agent", "agent_config", "session_data_webhook", "url"],
            "Field required",
            "missing",
        ),
    ],
)
async def test_the_422_for_an_invalid_request_names_the_place(
    mock: MockMillis, body: Any, loc: list[str | int], msg: str, kind: str
) -> None:
    """The detail has the form and the messages of the service."""
    response = await post(mock.app, CHAT, body)
    assert response.status == 422
    assert list(violations(response.json, "HTTPValidationError")) == []
    first, *_ = response.json["detail"]
    assert (first["loc"], first["type"]) == (loc, kind)
    assert msg in first["msg"]


@pytest.mark.anyio
async def test_the_422_lists_every_violation_once_and_at_most_fifty(mock: MockMillis) -> None:
    """A violation in one kind of message is not repeated for the others, and a long list is cut."""
    two = {**chat_body(), "messages": [message(content=...), message(role="tool", content=1)]}
    places = [tuple(item["loc"][1:]) for item in (await post(mock.app, CHAT, two)).json["detail"]]
    assert sorted(places) == [
        ("messages", 0, "content"),
        ("messages", 1, "content"),
        ("messages", 1, "tool_call_id"),
    ]
    many = {**chat_body(), "messages": list(range(1000))}
    assert len((await post(mock.app, CHAT, many)).json["detail"]) == 50


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "missing"),
        (b"{", "json_invalid"),
        (b"\xff\xfe\xff", "json_invalid"),
        (b"[" * 100_000, "json_invalid"),
        (b"NaN", "json_invalid"),
        (b"[-Infinity]", "json_invalid"),
        (b"[" + b"9" * 5000 + b"]", "json_invalid"),
    ],
)
async def test_a_body_that_is_not_json_is_refused(mock: MockMillis, content: bytes, kind: str) -> None:
    """An empty body, incomplete JSON and numbers that JSON does not allow return 422."""
    response = await post(mock.app, CHAT, content)
    assert response.status == 422
    assert list(violations(response.json, "HTTPValidationError")) == []
    assert response.json["detail"][0]["type"] == kind
    assert response.json["detail"][0]["loc"] == ["body"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("label", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON", 200),
        ("application/vnd.api+json", 200),
        ("text/plain", 422),
        ("text/json", 422),
        ("application/x-www-form-urlencoded", 422),
        ("application/jsonp", 422),
        ("", 422),
    ],
)
async def test_a_body_needs_a_json_content_type(mock: MockMillis, label: str, status: int) -> None:
    """A body with another Content-Type is refused, like in FastAPI. `duplicate` does not need one."""
    response = await post(mock.app, CHAT, chat_body(), headers={"content-type": label})
    assert response.status == status
    if status == 422:
        assert list(violations(response.json, "HTTPValidationError")) == []
        (detail,) = response.json["detail"]
        assert (detail["loc"], detail["type"]) == (["body"], "model_attributes_type")
        assert "Content-Type" in detail["msg"]
        assert (label or "none") in detail["msg"]
    assert (await post(mock.app, duplicate_path(), headers={"content-type": label})).status == 200


@pytest.mark.anyio
@pytest.mark.parametrize("path", [CHAT, duplicate_path()])
async def test_a_body_that_is_too_large_is_refused(mock: MockMillis, path: str) -> None:
    """The mock server, which may be reachable from other machines, reads at most 16 MiB of a request."""
    assert (await post(mock.app, path, b" " * (16 * 1024 * 1024 + 1))).status == 413


@pytest.mark.anyio
@pytest.mark.parametrize("path", [CHAT, duplicate_path()])
async def test_a_request_without_a_usable_key_is_refused(mock: MockMillis, path: str) -> None:
    """Any key without `Bearer` is accepted; a missing key is refused."""
    for key, key_word in ((" ", "missing"), ("", "missing"), ("Bearer abc", "without Bearer")):
        response = await post(mock.app, path, chat_body(), headers={"authorization": key})
        assert response.status == 401
        assert key_word in response.json["detail"]
    for key in ("x", "bearerXYZ"):
        assert (await post(mock.app, path, chat_body(), headers={"authorization": key})).status == 200


@pytest.mark.anyio
async def test_a_mock_server_with_a_key_refuses_other_keys() -> None:
    """`api_key` lets tests check the error for a wrong key."""
    mock = MockMillis(api_key="right")
    assert (await post(mock.app, CHAT, chat_body(), headers={"authorization": "wrong"})).status == 401
    assert (await post(mock.app, CHAT, chat_body(), headers={"authorization": "right"})).status == 200


@pytest.mark.anyio
async def test_the_body_is_checked_before_the_key(mock: MockMillis) -> None:
    """The service declares the key as optional, so an invalid body without a key returns 422, not 401."""
    assert (await post(mock.app, CHAT, {}, headers={"authorization": ""})).status == 422


@pytest.mark.anyio
async def test_an_unknown_agent_is_not_found(mock: MockMillis) -> None:
    """The detail lists the existing agents, because an unknown id is usually a mistake in a test."""
    mock.add_agent("-mine")
    await post(mock.app, duplicate_path())
    for path, body in ((CHAT, chat_body(agent_id="-nobody")), (duplicate_path("-nobody"), None)):
        response = await post(mock.app, path, body)
        assert response.status == 404
        assert f" {DEFAULT_AGENT_ID}, -mine;" in response.json["detail"]
        assert 'add_agent("-nobody")' in response.json["detail"]
    nobody: dict[str, Any] = {**chat_body(), "agent": {"agent_id": None, "agent_config": None}}
    response = await post(mock.app, CHAT, nobody)
    assert response.status == 404
    assert "agent_id or agent_config" in response.json["detail"]


@pytest.mark.anyio
async def test_other_paths_and_methods_are_refused_with_json(mock: MockMillis) -> None:
    """An unknown path returns 404 and another method 405, both with a JSON body."""
    response = await post(mock.app, "/chat")
    assert (response.status, response.json) == (404, {"detail": "Not Found"})
    response = await post(mock.app, "/openapi.json")
    assert (response.status, response.json) == (405, {"detail": "Method Not Allowed"})
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD"}
