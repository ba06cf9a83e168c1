"""Every agent that fails on purpose does so on the wire, byte for byte, and the page lists them all."""

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
async def test_a_stream_goes_wrong_as_the_page_says(name: str) -> None:
    """The bytes are wrong in this one way, and the answer ends properly all the same."""
    answer = await chat(name)
    assert re.fullmatch(STREAMS[name], answer.body, re.DOTALL)
    assert answer.complete
    kind = "text/html" if name == "200-html" else "text/event-stream"
    assert answer.headers["content-type"] == f"{kind}; charset=utf-8"


@pytest.mark.anyio
async def test_the_same_stream_comes_with_other_line_ends_and_in_other_pieces() -> None:
    """CR LF, cut in between, and single bytes carry what the plain stream carries."""
    plain = (await post(MockMillis().app, CHAT, chat_body(TEXT, DEFAULT_AGENT_ID))).body
    crlf = await chat("crlf")
    assert crlf.body == plain.replace(b"\n", b"\r\n")
    assert sum(piece.endswith(b"\r") for piece in crlf.pieces) == plain.count(b"\n")
    one_byte = await chat("one-byte")
    assert one_byte.body == plain
    assert {len(piece) for piece in one_byte.pieces} == {1}


@pytest.mark.anyio
async def test_a_cut_leaves_half_an_answer_without_an_end() -> None:
    """Of a stream two words come, of a copy half its JSON, and then the connection closes."""
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
async def test_a_refusal_is_as_the_page_says(name: str) -> None:
    """Both calls get the status, the Retry-After and the body."""
    for answer in (await chat(name), await duplicate(name)):
        body = answer.json if answer.body else answer.body
        assert (answer.status, answer.headers.get("retry-after"), body) == REFUSALS[name]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "times"), [("429-1-then-ok", 1), ("429-2-then-ok", 2), ("429-3-then-ok", 3)]
)
async def test_refusals_are_counted_over_both_calls(name: str, times: int) -> None:
    """After that many the agent is fine, for good."""
    app, agent_id = MockMillis().app, scenario_named(name).agent_id
    statuses = [(await post(app, duplicate_path(agent_id))).status for _ in range(times - 1)]
    statuses += [(await post(app, CHAT, chat_body(TEXT, agent_id))).status for _ in range(3)]
    assert statuses == [429] * times + [200, 200]


@pytest.mark.anyio
async def test_a_copy_with_nulls_has_null_for_every_key_that_is_not_set() -> None:
    """Nothing that can be null is absent, down to the parts of the objects that are there."""
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
async def test_a_copy_goes_wrong_whatever_config_it_has(name: str) -> None:
    """A scenario works on any agent, also one whose config is sparse or full of other forms."""
    mock = MockMillis()
    other_forms = {"memory": None, "flow": {"response_delay": 300}, "session_data_webhook": "https://x"}
    agent_id = mock.add_agent(config=other_forms)
    mock.fail_next(name)
    answer = await post(mock.app, duplicate_path(agent_id))
    assert answer.status == 200
    assert answer.json["id"]


@pytest.mark.anyio
async def test_a_copy_of_an_agent_that_fails_is_an_ordinary_agent() -> None:
    """The scenario is the id's, and neither the agent's nor its config's."""
    mock = MockMillis()
    copy = (await post(mock.app, duplicate_path(scenario_named("unknown-fields").agent_id))).json
    assert "mock_mood" in copy["config"]
    assert (await post(mock.app, CHAT, chat_body(TEXT, copy["id"]))).body.endswith(b"data: [DONE]\n\n")
    ordinary = (await post(mock.app, duplicate_path())).json
    assert (await post(mock.app, duplicate_path(copy["id"]))).json["config"] == ordinary["config"]


def test_magic_ids_are_of_the_service_s_form_and_unlike() -> None:
    """They are ids that the service itself could have given."""
    assert all(re.fullmatch(r"-[A-Za-z0-9_-]{19}", agent_id) for agent_id in MAGIC_IDS)
    assert len(MAGIC_IDS) == len({scenario.name for scenario in SCENARIOS.values()})


def calls(scenario: Scenario) -> str:
    """Return the calls in which a scenario shows."""
    everywhere = scenario.refusal is not None or scenario.slow
    chat = everywhere or scenario.chat is not AS_DOCUMENTED.chat
    duplicate = everywhere or scenario.duplicate is not AS_DOCUMENTED.duplicate
    return ", ".join(["chat"] * chat + ["duplicate"] * duplicate)


def test_the_page_lists_exactly_the_magic_ids_of_the_code() -> None:
    """No id is missing from the page, none is there that does nothing, and the words are the code's."""
    page = (files("millis_wrapper.mock") / "README.md").read_text("utf-8")
    listed = [line for line in page.splitlines() if line.startswith("| `-mock-")]
    assert listed == [
        f"| `{scenario.agent_id}` | {scenario.does} | {calls(scenario)} |" for scenario in SCENARIOS.values()
    ]
    assert f"`{DEFAULT_AGENT_ID}`" in page
