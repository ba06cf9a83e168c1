"""The response to duplicate: the id is always returned, and the rest is unchanged."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import attrs
import leaks
import paths
import pytest
from millis_api.models import AgentConfig
from paths import EXAMPLES

from millis_wrapper._json import is_array, is_object
from millis_wrapper._key import Secret
from millis_wrapper.errors import UnexpectedResponseError
from millis_wrapper.response import BODY_START, prepare_reading, read_duplicated_agent
from millis_wrapper.results import DuplicatedAgent

CORPUS = paths.CORPUS / "duplicate"


RESPONSES: list[dict[str, Any]] = json.loads((CORPUS / "responses.json").read_text())


WITHOUT_ID: list[dict[str, Any]] = json.loads((CORPUS / "no_id.json").read_text())


FULL: dict[str, Any] = json.loads((EXAMPLES / "agent-full.json").read_text())


MISSING = object()


OTHER_VALUES: list[Any] = [None, "text", 7, 1.5, True, [], {}, MISSING]


# The path of an object or list, and the key in it: ("config", "flow", "interruption") and "allowed".
Place = tuple[tuple[str | int, ...], str | int]


def name_of(case: dict[str, Any]) -> str:
    return str(case["name"])


def read(response: Any) -> DuplicatedAgent:
    return read_duplicated_agent(json.dumps(response).encode())


def places(value: Any, above: tuple[str | int, ...] = ()) -> Iterator[Place]:
    """Yield the place of every value inside a JSON value."""
    children = value.items() if is_object(value) else enumerate(value) if is_array(value) else ()
    for key, child in children:
        yield above, key
        yield from places(child, (*above, key))


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def with_value(place: Place, other: Any) -> dict[str, Any]:
    response = copy.deepcopy(FULL)
    holder = at(response, place[0])
    if other is MISSING:
        del holder[place[1]]
    else:
        holder[place[1]] = other
    return response


def assert_faithful(agent: DuplicatedAgent, response: dict[str, Any]) -> None:
    """Assert that the agent has the exact response, including types and the order of keys."""
    assert json.dumps(agent.raw) == json.dumps(response)
    config = response.get("config")
    if isinstance(config, dict):
        assert agent.config is not None
        assert json.dumps(agent.config.to_dict(), sort_keys=True) == json.dumps(config, sort_keys=True)
    else:
        assert agent.config is None


def test_the_full_example_is_read() -> None:
    """The vendor's example gives an agent with a complete config."""
    agent = read(FULL)
    assert (agent.id, agent.name) == (FULL["id"], FULL["name"])
    assert agent.created_at == datetime.fromtimestamp(FULL["created_at"], UTC)
    assert isinstance(agent.config, AgentConfig)
    assert_faithful(agent, FULL)


@pytest.mark.parametrize("example", ["agent-minimal.json", "agent-nulls.json"])
def test_the_sparse_examples_are_read(example: str) -> None:
    """Absent and null keys are accepted and kept."""
    response = json.loads((EXAMPLES / example).read_text())
    agent = read(response)
    assert agent.id == response["id"]
    assert_faithful(agent, response)


@pytest.mark.parametrize(
    "place", list(places(FULL)), ids=lambda place: ".".join(map(str, (*place[0], place[1])))
)
def test_any_field_may_have_any_value(place: Place) -> None:
    """The agent has the id and the exact response for any value of a field (promise 1 of the design)."""
    for other in OTHER_VALUES:
        if place == ((), "id") and other not in ("text", 7):
            continue  # a response without an id is an error, tested below
        response = with_value(place, other)
        agent = read(response)
        assert agent.id == str(response["id"])
        assert_faithful(agent, response)


def test_the_example_has_enough_places() -> None:
    """The test above covers the entire config, including lists."""
    assert len(list(places(FULL))) > 120


@pytest.mark.parametrize("case", RESPONSES, ids=name_of)
def test_an_invalid_field_is_none(case: dict[str, Any]) -> None:
    """The other fields are parsed."""
    agent = read(case["response"])
    assert agent.id == case["id"]
    assert agent.name == case.get("agent_name")
    assert (agent.created_at and agent.created_at.isoformat(timespec="milliseconds")) == case.get(
        "created_at"
    )
    assert_faithful(agent, case["response"])


@pytest.mark.parametrize("case", WITHOUT_ID, ids=name_of)
def test_a_response_without_an_id_is_an_error(case: dict[str, Any]) -> None:
    """The message warns that a copy may exist, and `body` has the response."""
    with pytest.raises(UnexpectedResponseError) as caught:
        read_duplicated_agent(case["body"].encode())
    assert all(key_word in str(caught.value) for key_word in case["key_words"]), str(caught.value)
    assert "a copy may exist" in str(caught.value)
    assert caught.value.body == case["body"]


def test_a_long_response_without_an_id_is_cut() -> None:
    """The error keeps only the start of the response."""
    with pytest.raises(UnexpectedResponseError) as caught:
        read_duplicated_agent(b"<html>" + b"x" * 1_000_000)
    assert len(caught.value.body) == BODY_START
    assert len(str(caught.value)) < 400


def test_an_invalid_byte_does_not_lose_the_id() -> None:
    """A byte that is not UTF-8 becomes U+FFFD."""
    agent = read_duplicated_agent(b'{"id":"x","config":{"prompt":"caf\xe9"}}')
    assert (agent.id, agent.raw["config"]["prompt"]) == ("x", "caf\ufffd")


def test_a_huge_number_does_not_lose_the_id() -> None:
    """A number that Python cannot parse as an int gives no time; other fields are parsed."""
    agent = read_duplicated_agent(b'{"id":"x","created_at":' + b"9" * 5000 + b"}")
    assert (agent.id, agent.created_at, agent.raw["created_at"]) == ("x", None, math.inf)


@pytest.mark.parametrize("depth", [50, 400, 5000])
@pytest.mark.parametrize("body", ['{{"id":"x","config":{}}}', '{{"config":{},"id":"x"}}'])
def test_deep_nesting_does_not_lose_the_id(body: str, depth: int) -> None:
    """Values below 100 levels are text, so that the agent can be copied, written and pickled."""
    deep = '{"voice":{"settings":' + '{"a":' * depth + "1" + "}" * depth + "}}"
    agent = read_duplicated_agent(body.format(deep).encode())
    assert agent.id == "x"
    assert agent.config is not None
    assert agent.config.to_dict() == agent.raw["config"]
    assert json.loads(json.dumps(agent.to_dict())) == agent.to_dict()
    assert copy.deepcopy(agent) == pickle.loads(pickle.dumps(agent)) == agent
    assert depth > 50 or agent.raw["config"] == json.loads(deep)


def frames_left() -> int:
    try:
        return 1 + frames_left()
    except RecursionError:
        return 0


def test_deep_nesting_does_not_lose_the_id_near_the_recursion_limit() -> None:
    """Sending the request needs more than 20 frames, so reading its response works with 20 frames."""
    body = b'{"id":"x","config":{"voice":{"settings":' + b'{"a":' * 99 + b"1" + b"}" * 99 + b"}}}"
    prepare_reading()

    def read_below(frames: int) -> DuplicatedAgent:
        return read_below(frames - 1) if frames else read_duplicated_agent(body)

    agent = read_below(frames_left() - 20)
    assert agent.id == "x"
    assert agent.config is not None
    assert agent.config.to_dict() == agent.raw["config"]


def test_a_cut_off_deep_response_is_an_error_with_its_start() -> None:
    """A response that is not complete JSON may lack its id, so it is an error that holds the body."""
    with pytest.raises(UnexpectedResponseError) as caught:
        read_duplicated_agent(b'{"id":"-OabC","config":' + b"[" * 100_000)
    assert '"id":"-OabC"' in caught.value.body


def test_changing_the_config_does_not_change_raw() -> None:
    """`raw` always contains the received response."""
    agent = read(FULL)
    assert agent.config is not None
    config = agent.config.to_dict()
    config["tools"].clear()
    config["voice"]["settings"]["speed"] = 2
    agent.config.prompt = "another"
    assert agent.raw == FULL


def test_a_copy_is_immutable() -> None:
    """Setting an attribute raises an error."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        read(FULL).id = "y"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    "body", ["<{key}>", "no JSON: {key}", '{{"detail":"bad key {key}"}}', '["{key}"]', '{{"id":"{key}']
)
def test_an_error_does_not_contain_the_key(body: str) -> None:
    """A key that the service echoes is redacted in the message, the body and the causes."""
    key = "k3Y" * 10
    with pytest.raises(UnexpectedResponseError) as caught:
        read_duplicated_agent(body.format(key=key).encode(), redact=Secret(key).redact)
    assert not leaks.places(caught.value, key)


def test_a_config_may_contain_the_key() -> None:
    """Only errors are redacted. A config with the key, for example in a tool's header, is unchanged."""
    key = "k3Y" * 10
    response = {"id": "x", "config": {"tools": [{"header": {"authorization": key}}]}}
    agent = read_duplicated_agent(json.dumps(response).encode(), redact=Secret(key).redact)
    assert_faithful(agent, response)
