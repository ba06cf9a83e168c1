"""The tools over stdio, called by the SDK's client. test_mcp_free_tools.py tests the free ones."""

from __future__ import annotations

from typing import Any, TextIO

import anyio
import pytest
from cli_runs import KEY
from loopback import PATIENCE, STREAM, Loopback, text_event, until_disconnect
from marks import NEEDS_DOCSTRINGS
from mcp.types import Tool
from mcp_runs import AGENT, Host, over_stdio

from millis_wrapper import ChatReply, ToolCallDict, __version__
from millis_wrapper.mock import MockMillis

pytestmark = pytest.mark.anyio

CALL: ToolCallDict = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "find_table", "arguments": '{"people": 2}'},
}


async def tools(host: Host) -> dict[str, Tool]:
    return {tool.name: tool for tool in (await host.client.list_tools()).tools}


async def test_the_server_names_itself_and_its_version(host: Host) -> None:
    """The server sends its name and the version of the package."""
    info = host.client.server_info
    assert info is not None
    assert (info.name, info.version) == ("millis", __version__)


async def test_every_tool_has_all_four_hints(host: Host) -> None:
    """Clients may repeat only the two tools that are free and read-only."""
    hints = {
        name: tool.annotations.model_dump(exclude_none=True)
        for name, tool in (await tools(host)).items()
        if tool.annotations is not None
    }
    acts = {"read_only_hint": False, "destructive_hint": False, "idempotent_hint": False}
    reads = {"read_only_hint": True, "destructive_hint": False, "idempotent_hint": True}
    assert hints == {
        "chat": {**acts, "open_world_hint": True},
        "duplicate_agent": {**acts, "open_world_hint": True},
        "check_config": {**reads, "open_world_hint": False},
        "describe_field": {**reads, "open_world_hint": False},
    }


@NEEDS_DOCSTRINGS
async def test_descriptions_state_the_cost_of_a_tool(host: Host) -> None:
    """A model reads when to use a tool and whether it costs money."""
    descriptions = {name: tool.description or "" for name, tool in (await tools(host)).items()}
    assert "paid" in descriptions["chat"]
    assert "Every call creates another agent" in descriptions["duplicate_agent"]
    assert all("free" in descriptions[name] for name in ("check_config", "describe_field"))
    assert all("Use it" in description for description in descriptions.values())


async def test_input_schemas_are_closed_objects_without_unions_at_the_root(host: Host) -> None:
    """Some clients drop one or all tools because of other schemas."""
    for tool in (await tools(host)).values():
        schema = tool.input_schema
        assert (schema["type"], schema["additionalProperties"]) == ("object", False)
        assert not {"anyOf", "oneOf", "allOf"} & schema.keys()
        assert all(argument["description"] for argument in schema["properties"].values())


async def test_chat_returns_the_complete_reply(host: Host, mock: MockMillis) -> None:
    """The result has the text, the tool calls, the time to first text, `ended` and the conversation id."""
    mock.reply_with(ChatReply(text="One moment.", tool_calls=[CALL], finish_reason="tool_calls"))
    result = await host.result("chat", message="A table for two?", agent_id=AGENT, metadata={"name": "Ada"})
    assert result.pop("conversation_id")
    assert result.pop("time_to_first_text") > 0
    assert result == {"text": "One moment.", "tool_calls": [CALL], "ended": "done"}
    agent = mock.requests[0].body["agent"]
    assert agent == {"agent_id": AGENT, "metadata": {"name": "Ada"}}


async def test_the_second_turn_sends_all_previous_messages(host: Host, mock: MockMillis) -> None:
    """The second turn also repeats the agent and the metadata."""
    first = await host.result("chat", message="Hello", agent_id=AGENT, metadata={"name": "Ada"})
    second = await host.result("chat", message="And now?", conversation_id=first["conversation_id"])
    assert second["conversation_id"] == first["conversation_id"]
    one, two = (request.body for request in mock.requests)
    assert two["agent"] == one["agent"]
    assert [(message["role"], message["content"]) for message in two["messages"]] == [
        ("user", "Hello"),
        ("assistant", "Hello"),
        ("user", "And now?"),
    ]


async def test_the_same_agent_may_be_repeated_but_not_changed(host: Host, mock: MockMillis) -> None:
    """A different agent or config in a later turn raises before a request is sent."""
    first = await host.result("chat", message="Hello", agent_id=AGENT)
    talk: dict[str, Any] = {"message": "again", "conversation_id": first["conversation_id"]}
    await host.result("chat", **talk, agent_id=AGENT)
    assert (await host.error("chat", **talk, agent_config={"prompt": "p"})).startswith("agent_config: ")
    assert "conversation_id" in await host.error("chat", message="Hello", conversation_id="no-such-id")
    assert len(mock.requests) == 2


@pytest.mark.parametrize(
    "config", [{"prompt": "Be brief."}, '{"prompt": "Be brief."}'], ids=["object", "text"]
)
async def test_a_config_works_without_an_agent_id(host: Host, mock: MockMillis, config: object) -> None:
    """Clients may send the config as an object or as its JSON text."""
    await host.result("chat", message="Hello", agent_config=config)
    assert mock.requests[0].body["agent"] == {"agent_config": {"prompt": "Be brief."}}


@pytest.mark.parametrize("message", ['["a", "b"]', '{"role": "user"}', "12", "true", "null", '"x"'])
async def test_a_message_that_looks_like_json_stays_text(host: Host, mock: MockMillis, message: str) -> None:
    """The agent receives the message unchanged."""
    assert (await host.result("chat", message=message, agent_id=AGENT))["text"] == message
    assert mock.requests[0].body["messages"][0]["content"] == message


async def test_progress_holds_the_text_as_it_arrives(host: Host, mock: MockMillis) -> None:
    """Each progress notification carries the new text and the length of the reply."""
    mock.reply_with(["Good ", "evening", ", Ada."])
    grown: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        grown.append((progress, message))

    await host.call("chat", note, message="Hello", agent_id=AGENT)
    assert grown == [(5, "Good "), (12, "evening"), (18, ", Ada.")]


async def test_the_error_of_a_reply_that_was_cut_off_has_its_text(host: Host, mock: MockMillis) -> None:
    """The turn of an incomplete reply is not part of the conversation."""
    first = await host.result("chat", message="Hello", agent_id=AGENT)
    mock.fail_next("cut")
    talk = first["conversation_id"]
    text = await host.error("chat", message="one two three four", conversation_id=talk)
    assert text.endswith("\nIncomplete reply: one two")
    assert "ask the user" in text
    assert ".reply" not in text
    await host.result("chat", message="again", conversation_id=talk)
    said_before = [message["content"] for message in mock.requests[-1].body["messages"]]
    assert said_before == ["Hello", "Hello", "again"]


async def test_the_error_of_a_refused_key_names_the_variable(host: Host) -> None:
    """The error of a 401 explains where to set the key."""
    text = await host.error("chat", message="Hello", agent_id="-mock-401-----------")
    assert "401" in text
    assert "MILLIS_API_KEY" in text
    assert "api_key=" not in text
    assert "`env`" in text
    assert "repeat" not in text


@pytest.mark.parametrize("tool", ["chat", "duplicate_agent", "check_config", "describe_field"])
async def test_an_unknown_argument_is_an_error_before_the_call(
    host: Host, mock: MockMillis, tool: str
) -> None:
    """Otherwise a misspelled `agent_config` would run the saved agent without it."""
    required: dict[str, Any] = {"message": "Hello", "agent_id": AGENT, "config": {}, "path": "prompt"}
    schema = (await tools(host))[tool].input_schema
    right = {name: value for name, value in required.items() if name in schema["properties"]}
    text = await host.error(tool, **right, confg={"prompt": "p"})
    assert text.startswith("confg: unknown argument")
    assert all(name in text for name in schema["properties"])
    assert mock.requests == []


@pytest.mark.parametrize(
    ("tool", "arguments", "name"),
    [
        ("chat", {}, "message"),
        ("chat", {"message": ["Hello"]}, "message"),
        ("chat", {"message": "Hello", "agent_config": "Be brief."}, "agent_config"),
        ("chat", {"message": "Hello"}, "agent_id"),
        ("chat", {"message": "Hello", "agent_id": ""}, "agent_id"),
        ("duplicate_agent", {"agent_id": ""}, "agent_id"),
        ("check_config", {"config": {}, "kind": "other"}, "kind"),
        ("describe_field", {"path": 1}, "path"),
    ],
)
async def test_the_error_names_the_wrong_argument(
    host: Host, mock: MockMillis, tool: str, arguments: dict[str, Any], name: str
) -> None:
    """The error is one line that starts with the argument, and the service receives no request."""
    text = await host.error(tool, **arguments)
    assert text.startswith(name)
    assert "\n" not in text
    assert mock.requests == []


async def test_a_misspelled_config_key_is_an_error_before_the_call(host: Host, mock: MockMillis) -> None:
    """The service would ignore the key, and a model does not see warnings."""
    text = await host.error("chat", message="Hi", agent_id=AGENT, agent_config={"flow": {"respons_delay": 1}})
    assert "flow.respons_delay" in text
    assert mock.requests == []


async def test_duplicate_agent_returns_the_copy_with_masked_secrets(host: Host, mock: MockMillis) -> None:
    """The result has the copy's id, name and config, without the secrets of the config."""
    tool: dict[str, Any] = {
        "name": "book",
        "description": "d",
        "params": [],
        "webhook": "https://user:pa55word@example.com/hook",
        "header": {"X-Token": "s3cret-token"},
    }
    agent_id = mock.add_agent(name="Ada's agent", config={"prompt": "Be brief.", "tools": [tool]})
    called = await host.call("duplicate_agent", agent_id=agent_id)
    assert called.data is not None
    assert called.data["id"] not in ("", agent_id)
    assert "Ada's agent" in called.data["name"]
    assert called.data["config"]["prompt"] == "Be brief."
    assert called.data["config"]["tools"][0]["header"] == {"X-Token": "****"}
    assert not any(secret in called.text for secret in ("s3cret", "pa55word", KEY))


async def test_a_duplicate_is_not_retried_after_a_500(host: Host, mock: MockMillis) -> None:
    """The error warns that a copy may exist, and advises the model to ask the user."""
    text = await host.error("duplicate_agent", agent_id="-mock-500-----------")
    assert "a copy may exist" in text
    assert "ask the user" in text
    assert len(mock.requests) == 1


async def test_the_key_is_not_written_to_stderr(host: Host, errors: TextIO) -> None:
    """Clients store stderr in log files."""
    await host.error("chat", message="Hello", agent_id="-mock-500-----------")
    errors.seek(0)
    assert KEY not in errors.read()


async def test_a_canceled_call_closes_the_connection_to_the_service(errors: TextIO) -> None:
    """The server stays usable, and the service receives one request."""
    with Loopback([STREAM + text_event("Good "), until_disconnect]) as service:
        async with over_stdio(service.url, errors) as host:
            async with anyio.create_task_group() as group:
                started = anyio.Event()

                async def note(progress: float, total: float | None, message: str | None) -> None:
                    started.set()

                group.start_soon(lambda: host.call("chat", note, message="Hello", agent_id=AGENT))
                await started.wait()
                group.cancel_scope.cancel()
            assert await anyio.to_thread.run_sync(service.disconnected.wait, PATIENCE)
            assert (await host.result("check_config", config={}))["findings"] == []
        assert len(service.requests) == 1
