from __future__ import annotations

import copy
import functools
import inspect
import json
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from millis_api.models import (
    AgentConfig,
    AgentConfigOverride,
    AssistantMessage,
    Tool,
    ToolMessage,
    UserMessage,
    Voice,
)
from millis_api.types import UNSET
from paths import EXAMPLES

from millis_wrapper import AsyncMillis, Millis
from millis_wrapper._json import is_array, is_object
from millis_wrapper.chat import ChatReply
from millis_wrapper.errors import ConfigurationError, UnknownFieldWarning
from millis_wrapper.request import PreparedRequest, agent_arguments, chat_call, duplicate_call, message_dicts

REQUESTS: list[dict[str, Any]] = [
    json.loads((EXAMPLES / f"chat-request-{name}.json").read_text())
    for name in ("full", "minimal", "other-forms")
]
HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]


def agent(
    *,
    agent_id: Any = None,
    agent_config: Any = None,
    metadata: Any = None,
    include_metadata_in_prompt: Any = None,
    strict: bool = False,
) -> dict[str, Any]:
    return agent_arguments(
        agent_id=agent_id,
        agent_config=agent_config,
        metadata=metadata,
        include_metadata_in_prompt=include_metadata_in_prompt,
        strict=strict,
    )


def call(messages: Any = "Hello", *, end_of_session: Any = False, **arguments: Any) -> PreparedRequest:
    return chat_call(agent(**arguments), message_dicts(messages), end_of_session=end_of_session)


def sent(messages: Any = "Hello", **arguments: Any) -> Any:
    content = call(messages, **arguments).content
    assert content is not None
    return json.loads(content)


def refusal(what: Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        what()
    assert len(str(caught.value)) < 300
    return str(caught.value)


# What is sent.


def test_the_least_is_sent_to_the_byte() -> None:
    """What was not said is not in the body: no defaults, no nulls, no empty objects."""
    assert call(agent_id="-OabC") == PreparedRequest(
        "chat",
        "POST",
        "/chat/completions",
        b'{"agent":{"agent_id":"-OabC"},"messages":[{"role":"user","content":"Hello"}]}',
    )


def test_each_argument_is_sent_in_its_place() -> None:
    """What was said is in the body, and nothing else."""
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


def test_empty_is_not_unsaid() -> None:
    """An empty object or text is sent: only None means that nothing was said."""
    assert sent("", agent_config={}, metadata={}) == {
        "agent": {"agent_config": {}, "metadata": {}},
        "messages": [{"role": "user", "content": ""}],
    }


def test_letters_are_sent_as_they_are() -> None:
    """UTF-8, not escapes."""
    content = call("Grüße \N{GRINNING FACE}", agent_id="x").content
    assert content is not None
    assert "Grüße \N{GRINNING FACE}".encode() in content


@pytest.mark.parametrize("request_", REQUESTS, ids=["full", "minimal", "other forms"])
def test_the_examples_are_sent_as_they_are(request_: dict[str, Any]) -> None:
    """What the contract's examples say goes out unchanged, whatever way it takes through the models."""
    given = copy.deepcopy(request_)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnknownFieldWarning)
        body = sent(given["messages"], end_of_session=given.get("end_of_session", False), **given["agent"])
    if not request_.get("end_of_session"):
        request_ = {key: value for key, value in request_.items() if key != "end_of_session"}
    assert body == {**request_, "agent": {k: v for k, v in request_["agent"].items() if v is not None}}


def one_at_a_time(value: Any) -> Iterator[tuple[str, Any]]:
    """For each place of `value`, what says that place alone."""
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
def test_an_override_of_one_field_sends_that_field(override: dict[str, Any]) -> None:
    """Not its neighbours, not its default; and null is sent where the caller wrote None."""
    assert sent(agent_id="x", agent_config=override)["agent"]["agent_config"] == override


def test_the_overrides_are_many() -> None:
    """The test above walks the whole of the config."""
    assert len(OVERRIDES) > 200


def test_models_are_sent_as_dicts_are() -> None:
    """A generated model says what was set on it, and no more; a model inside a dict too."""
    assert sent(agent_config=AgentConfigOverride(prompt="p", language=None)) == sent(
        agent_config={"prompt": "p", "language": None}
    )
    voice = Voice(provider="openai", voice_id="v")
    assert sent(agent_config={"voice": voice, "prompt": UNSET}) == sent(
        agent_config={"voice": {"provider": "openai", "voice_id": "v"}}
    )
    assert sent([UserMessage("Hi"), AssistantMessage("Yes?"), ToolMessage("{}", "call_1")], agent_id="x")[
        "messages"
    ] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "tool", "content": "{}", "tool_call_id": "call_1"},
    ]


def test_a_saved_config_can_be_sent_as_it_came() -> None:
    """The config of a duplicated agent is a config for a chat, nulls and new keys included."""
    config = json.loads((EXAMPLES / "agent-nulls.json").read_text())["config"]
    assert sent(agent_config=AgentConfig.from_dict(config))["agent"]["agent_config"] == config


def test_a_reply_is_sent_back_as_it_came() -> None:
    """`reply.message` is a message of the next turn, tool calls included."""
    calls = [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
    message = ChatReply(text="", tool_calls=calls).message
    assert sent([*HELLO, message], agent_id="x")["messages"][1] == {
        "role": "assistant",
        "content": "",
        "tool_calls": calls,
    }


def test_unknown_keys_of_messages_are_sent() -> None:
    """A new key of the service works on the day it comes."""
    message = {"role": "user", "content": "Hi", "name": "Ada", "new": [{"x": None}]}
    assert sent([message], agent_id="x")["messages"] == [message]


@pytest.mark.parametrize("messages", [tuple(HELLO), iter(HELLO), (message for message in HELLO)])
def test_messages_may_be_any_iterable(messages: Any) -> None:
    """A list, a tuple, or what makes them one by one."""
    assert sent(messages, agent_id="x")["messages"] == HELLO


def test_what_the_caller_handed_in_is_not_changed() -> None:
    """Arguments are read, not kept."""
    config: dict[str, Any] = {"prompt": "p", "voice": {"provider": "openai", "voice_id": "v"}, "tools": [{}]}
    messages = [{"role": "user", "content": "Hi"}]
    metadata = {"a": {"b": 1}}
    before = copy.deepcopy((config, messages, metadata))
    call(messages, agent_config=config, metadata=metadata)
    assert (config, messages, metadata) == before
    message_dicts(messages)[0]["content"] = "changed"
    agent(agent_config=config)["agent_config"]["prompt"] = "changed"
    assert (config, messages, metadata) == before


def test_the_content_is_not_shown() -> None:
    """A call can be printed: prompts and what people say are in no log."""
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
def test_duplicate_names_the_agent_in_the_path(agent_id: str, path: str) -> None:
    """Whatever is in an id stays one step of the path; there is no body."""
    assert duplicate_call(agent_id) == PreparedRequest("duplicate", "POST", path, None)


# Local checks.


def test_an_agent_has_to_be_named() -> None:
    """Neither an id nor a config: the message says to pass one."""
    assert refusal(agent) == (
        "agent_id or agent_config: pass at least one, so that there is an agent to talk to"
    )


@pytest.mark.parametrize(
    "agent_id", ["", " ", ".", "..", "a b", "-OabC\n", "a\x00", "a\x1b[2J", "\ud800", "a" * 201]
)
def test_what_is_no_agents_id_is_refused(agent_id: str) -> None:
    """Empty, with white space or controls, unending, or a step of a path: the same for chat and duplicate."""
    words = "is no agent's id: pass that of a saved agent (20 letters, digits, - and _)"
    for what in (lambda: agent(agent_id=agent_id), lambda: duplicate_call(agent_id)):
        assert refusal(what).startswith("agent_id: '")
        assert refusal(what).endswith(words)
        assert refusal(what).isprintable()


@pytest.mark.parametrize("agent_id", [7, b"-OabC", True, ["-OabC"]])
def test_an_agents_id_is_text(agent_id: Any) -> None:
    """The message names the type."""
    words = f"agent_id: must be a str, not {type(agent_id).__name__}"
    assert refusal(lambda: agent(agent_id=agent_id)) == words
    assert refusal(lambda: duplicate_call(agent_id)) == words


def test_duplicate_needs_an_id() -> None:
    """None is no id."""
    missing: Any = None
    assert refusal(lambda: duplicate_call(missing)) == "agent_id: must be a str, not NoneType"


class NoModel:
    """Something else that has the method of a model."""

    def to_dict(self) -> list[str]:
        return ["prompt"]


@pytest.mark.parametrize(
    "config", ["prompt", 7, [], [("prompt", "p")], AgentConfigOverride, object(), NoModel()]
)
def test_a_config_is_a_dict_or_a_model(config: Any) -> None:
    """The message names the argument and the type."""
    assert refusal(lambda: agent(agent_config=config)) == (
        f"agent_config: must be a dict or a generated model, not {type(config).__name__}"
    )


@pytest.mark.parametrize("metadata", ["x", 7, [("a", 1)]])
def test_metadata_is_a_dict(metadata: Any) -> None:
    """The message names the argument and the type."""
    words = f"metadata: must be a dict, not {type(metadata).__name__}"
    assert refusal(lambda: agent(agent_id="x", metadata=metadata)) == words


@pytest.mark.parametrize("value", ["yes", 1, 0])
def test_switches_are_true_or_false(value: Any) -> None:
    """A word or a number is refused: `"no"` would count as yes."""
    assert refusal(lambda: agent(agent_id="x", include_metadata_in_prompt=value)) == (
        f"include_metadata_in_prompt: must be True, False or None, not {value!r}"
    )
    assert refusal(lambda: call(agent_id="x", end_of_session=value)) == (
        f"end_of_session: must be True or False, not {value!r}"
    )


@pytest.mark.parametrize("messages", [[], (), iter(())])
def test_there_have_to_be_messages(messages: Any) -> None:
    """The message says what to pass."""
    assert refusal(lambda: message_dicts(messages)) == (
        "messages: there are none; pass at least the user's message"
    )


@pytest.mark.parametrize("messages", [None, 7, {"role": "user", "content": "Hi"}, UserMessage("Hi"), b"Hi"])
def test_messages_are_text_or_a_list(messages: Any) -> None:
    """A message alone is not taken for a list of them."""
    assert refusal(lambda: message_dicts(messages)) == (
        f"messages: must be a str or a list of messages, not {type(messages).__name__}"
    )


def test_there_is_no_system_role() -> None:
    """The message says where that text belongs."""
    assert refusal(lambda: message_dicts([*HELLO, {"role": "system", "content": "Be kind"}])) == (
        'messages[1].role: the service has no "system" role; put the text into agent_config["prompt"]'
    )


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ({"role": "developer", "content": ""}, "'developer'"),
        ({"role": "User", "content": ""}, "'User'"),
        ({"role": None, "content": ""}, "None"),
        ({"content": ""}, "None"),
        ({"role": ["user"], "content": ""}, "['user']"),
        ({"role": "x" * 9000, "content": ""}, f"'{'x' * 38}…"),
    ],
)
def test_a_role_that_the_contract_does_not_have_is_refused(message: dict[str, Any], shown: str) -> None:
    """The message names the place and lists the roles."""
    assert refusal(lambda: message_dicts([message])) == (
        f"messages[0].role: must be one of user, assistant, tool, not {shown}"
    )


@pytest.mark.parametrize(
    ("message", "given"),
    [
        ({"role": "user", "content": None}, "NoneType"),
        ({"role": "user", "content": [{"type": "text", "text": "x" * 9000}]}, "list"),
        ({"role": "user", "content": 7}, "int"),
        ({"role": "assistant", "content": b"x"}, "bytes"),
    ],
)
def test_content_that_is_no_text_is_refused(message: dict[str, Any], given: str) -> None:
    """The message names the place and what was there, not megabytes of it."""
    assert refusal(lambda: message_dicts([message])) == (
        f"messages[0].content: must be a str (empty where there is nothing to say), not {given}"
    )


def test_content_that_is_missing_is_refused() -> None:
    """Also for an assistant's message with tool calls alone: the contract wants an empty text."""
    assert refusal(lambda: message_dicts([*HELLO, {"role": "assistant", "tool_calls": []}])) == (
        "messages[1].content: is missing; it must be a str (empty where there is nothing to say)"
    )


@pytest.mark.parametrize("message", ["Hi", None, 7, ["user", "Hi"], UserMessage, ("role", "user")])
def test_a_message_is_a_dict_or_a_model(message: Any) -> None:
    """The message names the place and the type."""
    assert refusal(lambda: message_dicts([message])) == (
        f"messages[0]: must be a dict or a generated message, not {type(message).__name__}"
    )


def test_a_reply_is_no_message_but_has_one() -> None:
    """The slip that everybody makes once gets the answer."""
    reply: Any = ChatReply(text="Hi")
    assert refusal(lambda: message_dicts([reply])) == (
        "messages[0]: must be a dict or a generated message, not ChatReply; pass its .message"
    )


# What JSON cannot say.

CIRCLE: dict[str, Any] = {}
CIRCLE["self"] = [CIRCLE]
DEEP = functools.reduce(lambda inner, _: [inner], range(100_000), list[Any]())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"metadata": {"when": {"at": [1, object()]}}},
            "agent.metadata.when.at[1]: a value of type object cannot be sent as JSON",
        ),
        ({"metadata": {"x": float("nan")}}, "agent.metadata.x: nan cannot be sent as JSON"),
        ({"metadata": {"x": float("inf")}}, "agent.metadata.x: inf cannot be sent as JSON"),
        ({"metadata": {"x": b"1"}}, "agent.metadata.x: a value of type bytes cannot be sent as JSON"),
        ({"metadata": {"x": {1, 2}}}, "agent.metadata.x: a value of type set cannot be sent as JSON"),
        ({"metadata": {("a", "b"): 1}}, "agent.metadata: has a key that is no text: ('a', 'b')"),
        (
            {"metadata": {"we ird\x1b": b""}},
            'agent.metadata["we ird\\u001b"]: a value of type bytes cannot be sent as JSON',
        ),
        (
            {"metadata": {"x": "half \ud83d"}},
            "agent.metadata.x: holds half a surrogate pair, which is no text",
        ),
        ({"metadata": {"\ud83d": 1}}, "agent.metadata: has a key that is no text: '\\ud83d'"),
        (
            {"agent_config": {"prompt": "\udc00"}},
            "agent.agent_config.prompt: holds half a surrogate pair, which is no text",
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_json_cannot_say_is_refused_by_place(arguments: dict[str, Any], message: str) -> None:
    """The message leads to the innermost place that is wrong."""
    assert refusal(lambda: call(**{"agent_id": "x", **arguments})) == message


@pytest.mark.parametrize(
    "arguments",
    [{"metadata": CIRCLE}, {"agent_config": {"voice": {"settings": CIRCLE}}}, {"metadata": {"x": DEEP}}],
    ids=["circle", "circle in a config", "deep"],
)
def test_what_has_no_end_is_refused_by_place(arguments: dict[str, Any]) -> None:
    """The way goes into it far enough to recognize it by."""
    message = refusal(lambda: call(**{"agent_id": "x", **arguments}))
    assert re.match(
        r"agent\.(metadata\.(self\[0\]|x\[0\]\[0\])|agent_config\.voice\.settings\.self)", message
    )
    assert message.endswith(": is nested too deeply, or holds itself")


def test_half_a_character_in_a_message_is_refused_by_place() -> None:
    """Text that no encoding can carry does not come as a UnicodeError."""
    assert refusal(lambda: call([*HELLO, {"role": "user", "content": "a\udfffb"}], agent_id="x")) == (
        "messages[1].content: holds half a surrogate pair, which is no text"
    )


# Unknown config keys.

UNKNOWN: list[tuple[dict[str, Any], str]] = [
    (
        {"flow": {"interruption": {"first_message": True}}},
        "agent_config: the contract knows no flow.interruption.first_message;"
        " did you mean first_messsage, spelt so by the service?",
    ),
    (
        {"promt": "p"},
        "agent_config: the contract knows no promt; did you mean prompt, spelt so by the service?",
    ),
    (
        {"tools": [{"name": "t"}, {"params": [{"zzzzzz": 1}]}]},
        "agent_config: the contract knows no tools[1].params[0].zzzzzz",
    ),
]


@pytest.mark.parametrize(("config", "message"), UNKNOWN, ids=[message for _, message in UNKNOWN])
def test_an_unknown_key_is_warned_of_and_sent(config: dict[str, Any], message: str) -> None:
    """The warning gives the path and the nearest known key; a new key of the service works all the same."""
    with pytest.warns(UnknownFieldWarning) as warned:
        body = sent(agent_id="x", agent_config=copy.deepcopy(config))
    assert [str(warning.message) for warning in warned] == [message]
    assert body["agent"]["agent_config"] == config


@pytest.mark.parametrize(("config", "message"), UNKNOWN, ids=[message for _, message in UNKNOWN])
def test_strict_makes_an_error_of_it(config: dict[str, Any], message: str) -> None:
    """With `strict`, what would be a warning is raised, in the same words, and nothing is warned of."""
    assert refusal(lambda: agent(agent_id="x", agent_config=config, strict=True)) == message


def test_each_unknown_key_is_warned_of() -> None:
    """One warning a key, in a dict or a model alike."""
    for config in ({"aaa": 1, "bbb": 2}, AgentConfigOverride.from_dict({"aaa": 1, "bbb": 2})):
        with pytest.warns(UnknownFieldWarning) as warned:
            agent(agent_config=config)
        assert len(warned) == 2


def test_models_in_a_dict_are_looked_into() -> None:
    """A config may be a dict that holds models, and an unknown key in one of those is warned of as well."""
    tool = Tool.from_dict({"name": "a", "description": "b", "headers": {}})
    with pytest.warns(UnknownFieldWarning, match=r"tools\[0\].headers; did you mean header"):
        agent(agent_config={"tools": [tool]})


@pytest.mark.parametrize("key", ["tools", "prompt", "flow"])
def test_a_config_that_holds_itself_is_named(key: str) -> None:
    """What cannot be sent is our error, however deep it is."""
    endless: list[Any] = []
    endless.append(endless)
    assert "nested too deeply, or holds itself" in refusal(lambda: sent(agent_config={key: endless}))


def test_free_objects_have_no_unknown_keys() -> None:
    """Metadata, headers, credentials and voice settings are the caller's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agent(
            agent_config={"voice": {"settings": {"mine": 1}}, "tools": [{"header": {"x-mine": "1"}}]},
            metadata={"mine": {"deep": 1}},
        )


def test_the_warning_points_at_the_callers_line() -> None:
    """However many of our own calls are between, and for each way to say a config."""
    sync, async_ = Millis("key"), AsyncMillis("key")
    config: Any = {"promt": "p"}
    ways: list[Callable[[], object]] = [
        lambda: sync.chat.stream("Hi", agent_config=config),
        lambda: sync.chat.conversation(agent_config=config),
        lambda: async_.chat.stream("Hi", agent_config=config),
        lambda: async_.chat.conversation(agent_config=config),
    ]
    for way in ways:
        with pytest.warns(UnknownFieldWarning) as warned:
            way()
        assert (warned[0].filename, warned[0].lineno) == (__file__, inspect.getsourcelines(way)[1])
    sync.close()
