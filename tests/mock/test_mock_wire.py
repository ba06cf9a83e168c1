"""Every failure scenario sends the documented bytes, and the README lists all scenarios."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

import pytest
from asgi import CHAT, Exchange, chat_body, duplicate_path, post

from millis_wrapper import contract
from millis_wrapper.mock import DEFAULT_AGENT_ID, MAGIC_IDS, MockMillis
from millis_wrapper.mock._scenarios import AS_DOCUMENTED, SCENARIOS, Scenario, scenario_named

TEXT = "one two three four"

STREAMS = {
    "half-event": rb'(data: [^\n]+\n\n){2}data: {"choices":\[{"delta":{"con',
    "error-event": rb'(data: [^\n]+\n\n){2}event: error\ndata: {"message":"[^"]+"}\n\n',
    "error-object": rb'(data: [^\n]+\n\n){2}data: {"error":{"message":"[^"]+","type":"\w+","code":529}}\n\n',
    "no-done": rb'(data: [^\n]+\n\n){3}data: {"choices":\[{"delta":{"content":" four"}}\]}\n\n',
    "role-only": rb'data: {"choices":\[{"delta":{"role":"assistant"}}\]}\n\n.*\[DONE\]\n\n',
    "null-deltas": rb'.*"content":null.*"delta":{}.*"delta":null.*"choices":\[\].*\[DONE\]\n\n',
    "comments": rb"(: keep-alive\n\ndata: [^\n]+\n\n){5}",
    "unknown-fields": rb'event: mock_event\n.*id: 1\n.*"mock_tone".*"mock_score".*"mock_trace".*\[DONE\]\n\n',
    "nulls": rb'.*"index":null.*"finish_reason":null.*"usage":null,"error":null.*\[DONE\]\n\n',
    "new-values": rb'.*"mock_new_role".*"mock.new_object".*"mock_new_reason".*\[DONE\]\n\n',
    "200-html": rb"<!doctype html>\n.*",
}


async def chat(name: str) -> Exchange:
    return await post(MockMillis().app, CHAT, chat_body(TEXT, scenario_named(name).agent_id))


async def duplicate(name: str) -> Exchange:
    return await post(MockMillis().app, duplicate_path(scenario_named(name).agent_id))


@pytest.mark.anyio
@pytest.mark.parametrize("name", STREAMS)
async def test_a_stream_has_exactly_the_fault_of_its_scenario(name: str) -> None:
    """Everything else is documented behavior, and the response ends normally."""
    response = await chat(name)
    assert re.fullmatch(STREAMS[name], response.body, re.DOTALL)
    assert response.complete
    kind = "text/html" if name == "200-html" else "text/event-stream"
    assert response.headers["content-type"] == f"{kind}; charset=utf-8"


@pytest.mark.anyio
async def test_crlf_and_one_byte_send_the_plain_stream_in_another_form() -> None:
    """CR LF line ends that are split, and single bytes, carry the same events."""
    plain = (await post(MockMillis().app, CHAT, chat_body(TEXT, DEFAULT_AGENT_ID))).body
    crlf = await chat("crlf")
    assert crlf.body == plain.replace(b"\n", b"\r\n")
    assert sum(chunk.endswith(b"\r") for chunk in crlf.chunks) == plain.count(b"\n")
    one_byte = await chat("one-byte")
    assert one_byte.body == plain
    assert {len(chunk) for chunk in one_byte.chunks} == {1}


@pytest.mark.anyio
async def test_cut_closes_the_connection_in_the_middle_of_a_response() -> None:
    """The connection closes after two chunks of a stream, or after half of the JSON of a copy."""
    cut_chat, cut_copy = await chat("cut"), await duplicate("cut")
    assert (cut_chat.cut, cut_copy.cut) == (True, True)
    assert (cut_chat.complete, cut_copy.complete) == (False, False)
    assert cut_chat.body.endswith(b'"content":" two"}}]}\n\n')
    assert cut_copy.body.startswith(b'{"id":"-')
    assert not cut_copy.body.endswith(b"}")


REFUSALS: dict[str, tuple[int, str | None, Any]] = {
    "401": (401, None, {"detail": "Invalid private key"}),
    "404": (404, None, b""),
    "429": (429, "1", {"detail": "Too many requests"}),
    "429-1-then-ok": (429, "1", {"detail": "Too many requests"}),
    "500": (500, None, "Internal Server Error"),
    "503": (503, None, {"detail": "Service unavailable"}),
    "503-then-ok": (503, "1", {"detail": "Service unavailable"}),
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_has_the_documented_status_and_body(name: str) -> None:
    """Both operations return the status, Retry-After and body of the scenario."""
    for response in (await chat(name), await duplicate(name)):
        body = response.json if response.body else response.body
        assert (response.status, response.headers.get("retry-after"), body) == REFUSALS[name]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "times"), [("429-1-then-ok", 1), ("429-2-then-ok", 2), ("429-3-then-ok", 3)]
)
async def test_refusals_are_counted_for_both_operations_together(name: str, times: int) -> None:
    """After the given number of refusals, all further requests succeed."""
    app, agent_id = MockMillis().app, scenario_named(name).agent_id
    statuses = [(await post(app, duplicate_path(agent_id))).status for _ in range(times - 1)]
    statuses += [(await post(app, CHAT, chat_body(TEXT, agent_id))).status for _ in range(3)]
    assert statuses == [429] * times + [200, 200]


@pytest.mark.anyio
async def test_a_copy_with_nulls_has_null_for_every_unset_field() -> None:
    """Every nullable field is present, also in the objects of the config."""
    copy = (await duplicate("nulls")).json
    assert (copy["name"], copy["created_at"]) == (None, None)
    config = copy["config"]
    nullable = {field.path for field in contract.fields("AgentConfig") if field.nullable}
    assert {path for path in nullable if "." not in path and "[" not in path} <= set(config)
    assert config["memory"] is None
    assert config["voice"]["settings"] is None
    assert config["flow"]["voicemail"] is None
    assert config["prompt"]


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["nulls", "new-values", "unknown-fields"])
async def test_a_scenario_works_for_any_config(name: str) -> None:
    """A config may be sparse, or use other forms of a field."""
    mock = MockMillis()
    other_forms = {"memory": None, "flow": {"response_delay": 300}, "session_data_webhook": "https://x"}
    agent_id = mock.add_agent(config=other_forms)
    mock.fail_next(name)
    response = await post(mock.app, duplicate_path(agent_id))
    assert response.status == 200
    assert response.json["id"]


@pytest.mark.anyio
async def test_a_copy_of_a_failure_scenario_is_an_ordinary_agent() -> None:
    """The scenario belongs to the agent id, not to the config."""
    mock = MockMillis()
    copy = (await post(mock.app, duplicate_path(scenario_named("unknown-fields").agent_id))).json
    assert "mock_mood" in copy["config"]
    assert (await post(mock.app, CHAT, chat_body(TEXT, copy["id"]))).body.endswith(b"data: [DONE]\n\n")
    ordinary = (await post(mock.app, duplicate_path())).json
    assert (await post(mock.app, duplicate_path(copy["id"]))).json["config"] == ordinary["config"]


def test_magic_ids_have_the_form_of_the_service_and_are_unique() -> None:
    """The ids have 20 characters and begin with a hyphen, like the ids of the service."""
    assert all(re.fullmatch(r"-[A-Za-z0-9_-]{19}", agent_id) for agent_id in MAGIC_IDS)
    assert len(MAGIC_IDS) == len({scenario.name for scenario in SCENARIOS.values()})


def calls(scenario: Scenario) -> str:
    """Return the operations that a scenario changes, as text."""
    everywhere = scenario.refusal is not None or scenario.slow
    chat = everywhere or scenario.chat is not AS_DOCUMENTED.chat
    duplicate = everywhere or scenario.duplicate is not AS_DOCUMENTED.duplicate
    return ", ".join(["chat"] * chat + ["duplicate"] * duplicate)


def test_the_readme_lists_exactly_the_scenarios_of_the_code() -> None:
    """The README has one row per scenario, with the description from the code."""
    page = (files("millis_wrapper.mock") / "README.md").read_text("utf-8")
    listed = [line for line in page.splitlines() if line.startswith("| `-mock-")]
    assert listed == [
        f"| `{scenario.agent_id}` | {scenario.does} | {calls(scenario)} |" for scenario in SCENARIOS.values()
    ]
    assert f"`{DEFAULT_AGENT_ID}`" in page
