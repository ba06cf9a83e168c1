"""The mock server accepts every chat request that the schema published by the service accepts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from asgi import CHAT, post
from schemas import CORPUS, is_object, read_json, validator_of

from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis

PUBLISHED = read_json(CORPUS / "compare" / "published-2025-09.json")
REQUEST = {"$ref": "#/components/schemas/ChatCompletionData"}

CORNERS: dict[str, tuple[Any, ...]] = {
    "null": (None,),
    "boolean": (True, False),
    "integer": (0, -1, 2**31),
    "number": (0, -1, 0.5, 1e300),
    "string": ("", " ", "x", "{name}", "é\u2028\U0001f600"),
    "object": ({}, {"": None, "any key": [1, {"deep": ""}]}),
}


def values(schema: dict[str, Any]) -> Iterator[Any]:
    """Yield values that `schema` accepts: a minimal one first, then the corners of each part in turn."""
    if "$ref" in schema:
        yield from values(PUBLISHED["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    elif "const" in schema:
        yield schema["const"]
    elif "enum" in schema:
        yield from schema["enum"]
    elif forms := schema.get("anyOf", schema.get("allOf")):
        for form in forms:
            yield from values(form)
    elif schema.get("type") == "array":
        items = [*values(schema["items"])]
        yield from ([], items[:2], *([item] for item in items))
    elif is_object(schema.get("additionalProperties")):
        yield from ({}, *({"a key": value} for value in values(schema["additionalProperties"])))
    elif "properties" in schema:
        yield from objects(schema)
    else:
        yield from CORNERS[schema.get("type", "object")]


def objects(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield an object with the required keys only, then with one key added or changed."""
    corners = {key: [*values(part)] for key, part in schema["properties"].items()}
    smallest = {key: corners[key][0] for key in schema.get("required", ())}
    yield smallest
    for key, candidates in corners.items():
        yield from ({**smallest, key: candidate} for candidate in candidates)
    if schema.get("additionalProperties", True):
        yield {**smallest, "of_tomorrow": {"deep": [1, None]}}


@pytest.fixture(scope="module")
def bodies() -> list[Any]:
    """Chat requests that the published schema accepts, all with an agent that the mock server knows."""
    accepts = validator_of(REQUEST, PUBLISHED).is_valid
    found: list[Any] = []
    for body in values(REQUEST):
        if body["agent"].get("agent_id") is not None:
            body = {**body, "agent": {**body["agent"], "agent_id": DEFAULT_AGENT_ID}}
        assert accepts(body), body
        found.append(body)
    return found


def test_the_mock_server_accepts_what_the_published_schema_accepts(bodies: list[Any]) -> None:
    """The mock server does not respond with 422 to corner cases of any field, union or known value."""
    mock = MockMillis()

    async def refused() -> list[Any]:
        return [
            (body, response.json)
            for body in bodies
            if (response := await post(mock.app, CHAT, body)).status == 422
        ]

    assert anyio.run(refused) == []
    assert len(bodies) > 500
