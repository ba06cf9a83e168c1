from __future__ import annotations

import copy
import json
import math
import pickle
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
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
from millis_wrapper.response import BODY_START, read_duplicated_agent, read_moment
from millis_wrapper.results import DuplicatedAgent

CORPUS = paths.CORPUS / "duplicate"
ANSWERS: list[dict[str, Any]] = json.loads((CORPUS / "answers.json").read_text())
WITHOUT_ID: list[dict[str, Any]] = json.loads((CORPUS / "no_id.json").read_text())
FULL: dict[str, Any] = json.loads((EXAMPLES / "agent-full.json").read_text())

MISSING = object()
ODD_VALUES: list[Any] = [None, "text", 7, 1.5, True, [], {}, MISSING]
# The key's holder, and the key: ("config", "flow", "interruption") and "allowed".
Place = tuple[tuple[str | int, ...], str | int]


def name_of(case: dict[str, Any]) -> str:
    return str(case["name"])


def read(answer: Any) -> DuplicatedAgent:
    return read_duplicated_agent(json.dumps(answer).encode())


def places(value: Any, above: tuple[str | int, ...] = ()) -> Iterator[Place]:
    """Every place of a JSON value that holds a value."""
    children = value.items() if is_object(value) else enumerate(value) if is_array(value) else ()
    for key, child in children:
        yield above, key
        yield from places(child, (*above, key))


def at(value: Any, way: tuple[str | int, ...]) -> Any:
    for key in way:
        value = value[key]
    return value


def with_odd_value(place: Place, odd: Any) -> dict[str, Any]:
    answer = copy.deepcopy(FULL)
    holder = at(answer, place[0])
    if odd is MISSING:
        del holder[place[1]]
    else:
        holder[place[1]] = odd
    return answer


def assert_faithful(agent: DuplicatedAgent, answer: dict[str, Any]) -> None:
    """What came can be had back exactly, types and order of keys included."""
    assert json.dumps(agent.raw) == json.dumps(answer)
    config = answer.get("config")
    if isinstance(config, dict):
        assert agent.config is not None
        assert json.dumps(agent.config.to_dict(), sort_keys=True) == json.dumps(config, sort_keys=True)
    else:
        assert agent.config is None


def test_the_full_example_is_read() -> None:
    """The answer of the vendor's page gives an agent with a whole config."""
    agent = read(FULL)
    assert (agent.id, agent.name) == (FULL["id"], FULL["name"])
    assert agent.created_at == datetime.fromtimestamp(FULL["created_at"], UTC)
    assert isinstance(agent.config, AgentConfig)
    assert_faithful(agent, FULL)


@pytest.mark.parametrize("example", ["agent-minimal.json", "agent-nulls.json"])
def test_the_lean_examples_are_read(example: str) -> None:
    """Keys that are absent or null are no reason to fail, and come back as they came."""
    answer = json.loads((EXAMPLES / example).read_text())
    agent = read(answer)
    assert agent.id == answer["id"]
    assert_faithful(agent, answer)


@pytest.mark.parametrize(
    "place", list(places(FULL)), ids=lambda place: ".".join(map(str, (*place[0], place[1])))
)
def test_any_field_may_be_odd(place: Place) -> None:
    """Whatever one field of the answer holds, the id and all that came are handed over (promise 1)."""
    for odd in ODD_VALUES:
        if place == ((), "id") and odd not in ("text", 7):
            continue  # without an id there is nothing to hand over: the tests below
        answer = with_odd_value(place, odd)
        agent = read(answer)
        assert agent.id == str(answer["id"])
        assert_faithful(agent, answer)


def test_the_example_has_enough_places() -> None:
    """The test above walks the whole of the config, lists included."""
    assert len(list(places(FULL))) > 120


@pytest.mark.parametrize("case", ANSWERS, ids=name_of)
def test_what_can_be_read_is_read(case: dict[str, Any]) -> None:
    """An odd part is None, and takes nothing else with it."""
    agent = read(case["answer"])
    assert agent.id == case["id"]
    assert agent.name == case.get("agent_name")
    assert (agent.created_at and agent.created_at.isoformat(timespec="milliseconds")) == case.get(
        "created_at"
    )
    assert_faithful(agent, case["answer"])


@pytest.mark.parametrize("case", WITHOUT_ID, ids=name_of)
def test_without_an_id_the_error_shows_what_came(case: dict[str, Any]) -> None:
    """The copy may exist although nobody knows its id: the message says so, and `body` holds the answer."""
    with pytest.raises(UnexpectedResponseError) as caught:
        read_duplicated_agent(case["body"].encode())
    assert str(caught.value) == case["message"]
    assert caught.value.body == case["body"]


def test_a_long_answer_without_an_id_is_cut() -> None:
    """The error holds the start of the answer, not megabytes of it."""
    with pytest.raises(UnexpectedResponseError) as caught:
        read_duplicated_agent(b"<html>" + b"x" * 1_000_000)
    assert len(caught.value.body) == BODY_START
    assert len(str(caught.value)) < 400


def test_a_letter_that_is_no_utf8_does_not_cost_the_id() -> None:
    """One broken byte in a prompt is read as U+FFFD."""
    agent = read_duplicated_agent(b'{"id":"x","config":{"prompt":"caf\xe9"}}')
    assert (agent.id, agent.raw["config"]["prompt"]) == ("x", "caf\ufffd")


def test_a_number_beyond_all_bounds_does_not_cost_the_id() -> None:
    """A number that the interpreter refuses to read as an int gives no moment, and harms nothing else."""
    agent = read_duplicated_agent(b'{"id":"x","created_at":' + b"9" * 5000 + b"}")
    assert (agent.id, agent.created_at, agent.raw["created_at"]) == ("x", None, math.inf)


@pytest.mark.parametrize("depth", [50, 400, 5000])
@pytest.mark.parametrize("body", ['{{"id":"x","config":{}}}', '{{"config":{},"id":"x"}}'])
def test_deep_nesting_does_not_cost_the_id(body: str, depth: int) -> None:
    """Values below 100 levels are text, so that the agent can be copied, written and pickled."""
    deep = '{"voice":{"settings":' + '{"a":' * depth + "1" + "}" * depth + "}}"
    agent = read_duplicated_agent(body.format(deep).encode())
    assert agent.id == "x"
    assert agent.config is not None
    assert agent.config.to_dict() == agent.raw["config"]
    assert json.loads(json.dumps(agent.to_dict())) == agent.to_dict()
    assert copy.deepcopy(agent) == pickle.loads(pickle.dumps(agent)) == agent
    assert depth > 50 or agent.raw["config"] == json.loads(deep)


def test_a_cut_off_deep_response_is_an_error_with_its_start() -> None:
    """A response that is not complete JSON may lack its id, so it is an error that holds the body."""
    with pytest.raises(UnexpectedResponseError) as caught:
        read_duplicated_agent(b'{"id":"-OabC","config":' + b"[" * 100_000)
    assert '"id":"-OabC"' in caught.value.body


def test_changing_the_config_leaves_raw_as_it_came() -> None:
    """`raw` is the witness: no change of the config reaches it."""
    agent = read(FULL)
    assert agent.config is not None
    config = agent.config.to_dict()
    config["tools"].clear()
    config["voice"]["settings"]["speed"] = 2
    agent.config.prompt = "another"
    assert agent.raw == FULL


def test_the_agent_cannot_be_changed() -> None:
    """What came is what came."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        read(FULL).id = "y"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    "body", ["<{key}>", "no JSON: {key}", '{{"detail":"bad key {key}"}}', '["{key}"]', '{{"id":"{key}']
)
def test_an_error_holds_no_key(body: str) -> None:
    """A service that echoes the key puts it into no message, body or cause."""
    key = "k3Y" * 10
    with pytest.raises(UnexpectedResponseError) as caught:
        read_duplicated_agent(body.format(key=key).encode(), redact=Secret(key).redact)
    assert not leaks.places(caught.value, key)


def test_the_key_may_be_part_of_a_config() -> None:
    """Only errors are redacted: a config that holds the key, as a tool's header may, comes as it is."""
    key = "k3Y" * 10
    answer = {"id": "x", "config": {"tools": [{"header": {"authorization": key}}]}}
    agent = read_duplicated_agent(json.dumps(answer).encode(), redact=Secret(key).redact)
    assert_faithful(agent, answer)


NEW_YEAR = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (1735689600, NEW_YEAR),
        (1735689600.5, NEW_YEAR + timedelta(seconds=0.5)),
        (1735689600000, NEW_YEAR),
        (1735689600500, NEW_YEAR + timedelta(seconds=0.5)),
        (1735689600000.0, NEW_YEAR),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-86400, datetime(1969, 12, 31, tzinfo=UTC)),
        (-1735689600000, datetime(1970, 1, 1, tzinfo=UTC) - (NEW_YEAR - datetime(1970, 1, 1, tzinfo=UTC))),
        (10**11, datetime(5138, 11, 16, 9, 46, 40, tzinfo=UTC)),
        (10**11 + 1, datetime(1973, 3, 3, 9, 46, 40, 1000, tzinfo=UTC)),
        ("2025-01-01T00:00:00Z", NEW_YEAR),
        ("2025-01-01T00:00:00+00:00", NEW_YEAR),
        ("2025-01-01T01:30:00+01:30", NEW_YEAR),
        ("2024-12-31T16:00:00-0800", NEW_YEAR),
        ("2025-01-01T00:00:00", NEW_YEAR),
        ("2025-01-01 00:00:00", NEW_YEAR),
        ("2025-01-01T00:00:00.250Z", NEW_YEAR + timedelta(seconds=0.25)),
        ("2025-01-01", NEW_YEAR),
        ("20250101T000000Z", NEW_YEAR),
        ("20250101", NEW_YEAR),
        ("1735689600", NEW_YEAR),
        ("1735689600000", NEW_YEAR),
        ("1712121210012", datetime(2024, 4, 3, 5, 13, 30, 12000, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read(value: Any, moment: datetime) -> None:
    """A count is of seconds or milliseconds, by its size; text is ISO 8601, in UTC where it names no zone."""
    found = read_moment(value)
    assert found == moment
    assert found is not None
    assert found.tzinfo is UTC


@pytest.fixture
def _far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "XYZ-7:30")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_far_from_utc")
def test_a_moment_does_not_depend_on_where_the_program_runs() -> None:
    """Text without a zone is in UTC, not in the machine's."""
    assert datetime.fromtimestamp(0).hour == 7
    for value in ("2025-01-01T00:00:00", "2025-01-01", 1735689600):
        assert read_moment(value) == NEW_YEAR


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, [], {}, [1735689600], {"seconds": 1735689600}),
        *(
            "",
            " ",
            "text",
            "yesterday",
            "12:00",
            "2025-13-01",
            "2025-01-01T25:00",
            "9" * 50,
            "9" * 5000,
            "²" * 10,
        ),
        *(
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "\x00",
            "\ud800",
            "2025-01-01T00:00:00+99:99",
        ),
        *(math.nan, math.inf, -math.inf, 1e300, 10**400, -(10**400), 10**17, -(10**17)),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_an_unreadable_moment_is_none(value: Any) -> None:
    """Nothing that stands for a moment can raise, and nothing is guessed."""
    assert read_moment(value) is None
