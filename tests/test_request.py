"""A request contains exactly the arguments of the caller, unchanged."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from millis_api.api.agents import duplicate_agent
from millis_api.api.chat import create_chat_completion
from millis_api.models import (
    ChatCompletionRequest,
)
from paths import EXAMPLES
from request_helpers import HELLO, agent, call, sent

from millis_wrapper import ToolCallDict
from millis_wrapper._json import is_array, is_object
from millis_wrapper.errors import UnknownFieldWarning
from millis_wrapper.request import PreparedRequest, prepare_duplicate
from millis_wrapper.results import ChatReply

REQUESTS: list[dict[str, Any]] = [
    json.loads((EXAMPLES / f"chat-request-{name}.json").read_text())
    for name in ("full", "minimal", "other-forms")
]


def test_a_minimal_request_has_only_its_arguments() -> None:
    """The body does not contain defaults, nulls or empty objects for arguments that were not passed."""
    assert call(agent_id="-OabC") == PreparedRequest(
        "chat",
        "POST",
        "/chat/completions",
        b'{"agent":{"agent_id":"-OabC"},"messages":[{"role":"user","content":"Hello"}]}',
    )


def test_every_argument_is_sent_in_its_field() -> None:
    """The body contains exactly the passed arguments."""
    assert sent(
        [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": ""}],
        agent_id="-OabC",
        agent_config={"prompt": "p"},
        metadata={"name": "Ada", "none": None},
        include_metadata_in_prompt=False,
        end_of_session=True,
    ) == {
        "agent": {
            "agent_id": "-OabC",
            "agent_config": {"prompt": "p"},
            "metadata": {"name": "Ada", "none": None},
            "include_metadata_in_prompt": False,
        },
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": ""}],
        "end_of_session": True,
    }


def test_empty_values_are_sent() -> None:
    """An argument counts as not passed if it is None."""
    assert sent("", agent_config={}, metadata={}) == {
        "agent": {"agent_config": {}, "metadata": {}},
        "messages": [{"role": "user", "content": ""}],
    }


def test_text_is_sent_as_utf8() -> None:
    """The body contains characters instead of escapes."""
    content = call("Grüße \N{GRINNING FACE}", agent_id="x").content
    assert content is not None
    assert "Grüße \N{GRINNING FACE}".encode() in content


@pytest.mark.parametrize("request_", REQUESTS, ids=["full", "minimal", "other forms"])
def test_the_examples_of_the_contract_are_sent_unchanged(request_: dict[str, Any]) -> None:
    """The models do not lose or add a value."""
    given = copy.deepcopy(request_)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnknownFieldWarning)
        body = sent(given["messages"], end_of_session=given.get("end_of_session", False), **given["agent"])
    if not request_.get("end_of_session"):
        request_ = {key: value for key, value in request_.items() if key != "end_of_session"}
    assert body == {**request_, "agent": {k: v for k, v in request_["agent"].items() if v is not None}}


def one_at_a_time(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield, for each place in `value`, an object that contains only that place."""
    if is_object(value):
        children = [(f".{key}", child, _keyed(key)) for key, child in value.items()]
    else:
        children = [("[]", child, _listed) for child in value] if is_array(value) else []
    for step, child, wrap in children:
        yield step, wrap(child)
        yield f"{step}=null", wrap(None)
        for path, alone in one_at_a_time(child):
            yield step + path, wrap(alone)


def _listed(value: Any) -> Any:
    return [value]


def _keyed(key: str) -> Callable[[Any], Any]:
    return lambda value: {key: value}


OVERRIDES = dict(one_at_a_time(REQUESTS[0]["agent"]["agent_config"]))


@pytest.mark.parametrize("override", OVERRIDES.values(), ids=OVERRIDES)
def test_an_override_of_one_field_sends_only_that_field(override: dict[str, Any]) -> None:
    """Neighboring fields and defaults are not sent. Null is sent if the caller passed None."""
    assert sent(agent_id="x", agent_config=override)["agent"]["agent_config"] == override


def test_the_overrides_cover_the_entire_config() -> None:
    """The test above covers more than 200 places."""
    assert len(OVERRIDES) > 200


def test_a_reply_can_be_sent_as_a_message() -> None:
    """`reply.message` is a message for the next turn, including tool calls."""
    calls: list[ToolCallDict] = [
        {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    ]
    message = ChatReply(text="", tool_calls=calls).message
    assert sent([*HELLO, message], agent_id="x")["messages"][1] == {
        "role": "assistant",
        "content": "",
        "tool_calls": calls,
    }


def test_unknown_keys_of_messages_are_sent() -> None:
    """New keys of the service can be used at once."""
    message = {"role": "user", "content": "Hi", "name": "Ada", "new": [{"x": None}]}
    assert sent([message], agent_id="x")["messages"] == [message]


@pytest.mark.parametrize("messages", [tuple(HELLO), iter(HELLO), (message for message in HELLO)])
def test_messages_may_be_any_iterable(messages: Any) -> None:
    """A list, a tuple, an iterator and a generator are accepted."""
    assert sent(messages, agent_id="x")["messages"] == HELLO


def test_the_callers_arguments_are_not_changed() -> None:
    """The request is built from copies."""
    config: dict[str, Any] = {"prompt": "p", "voice": {"provider": "openai", "voice_id": "v"}, "tools": [{}]}
    messages = [{"role": "user", "content": "Hi"}]
    metadata = {"a": {"b": 1}}
    before = copy.deepcopy((config, messages, metadata))
    call(messages, agent_config=config, metadata=metadata)
    assert (config, messages, metadata) == before
    agent(agent_config=config)["agent_config"]["prompt"] = "changed"
    assert (config, messages, metadata) == before


def test_the_repr_of_a_request_does_not_show_its_content() -> None:
    """Prompts and messages do not appear in logs."""
    assert "Hello" not in repr(call(agent_id="x"))


# duplicate.


@pytest.mark.parametrize(
    ("agent_id", "path"),
    [
        ("-OabC_12", "/agents/-OabC_12/duplicate"),
        ("a/b", "/agents/a%2Fb/duplicate"),
        ("../x", "/agents/..%2Fx/duplicate"),
        ("a?b#c%2e", "/agents/a%3Fb%23c%252e/duplicate"),
        ("ä", "/agents/%C3%A4/duplicate"),
        ("a" * 200, f"/agents/{'a' * 200}/duplicate"),
    ],
)
def test_duplicate_has_the_agent_id_in_its_path(agent_id: str, path: str) -> None:
    """Any id stays a single segment of the path, and the body is None."""
    assert prepare_duplicate(agent_id) == PreparedRequest("duplicate", "POST", path, None)


def test_method_and_path_are_those_of_the_contract() -> None:
    """The values in the code equal those that the generator produces from the contract."""
    chat, duplicate = call(agent_id="x"), prepare_duplicate("a/b%c")
    generated = create_chat_completion._get_kwargs(body=ChatCompletionRequest.from_dict({}))  # pyright: ignore[reportPrivateUsage]
    assert (chat.method, chat.path) == (generated["method"].upper(), generated["url"])
    generated = duplicate_agent._get_kwargs("a/b%c")  # pyright: ignore[reportPrivateUsage]
    assert (duplicate.method, duplicate.path) == (generated["method"].upper(), generated["url"])
    assert set(generated) == {"method", "url"}, "the request has a body"
