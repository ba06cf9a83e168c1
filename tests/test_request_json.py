"""Values that cannot be encoded as JSON, and unknown config keys."""

from __future__ import annotations

import copy
import functools
import inspect
import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from millis_api.models import AgentConfigOverride, Tool
from request_helpers import HELLO, agent, call, refusal, sent

from millis_wrapper import AsyncMillis, Millis
from millis_wrapper.errors import UnknownFieldWarning

# Values that cannot be encoded as JSON.

CIRCLE: dict[str, Any] = {}
CIRCLE["self"] = [CIRCLE]
DEEP = functools.reduce(lambda inner, _: [inner], range(100_000), list[Any]())


@pytest.mark.parametrize(
    ("arguments", "path", "key_word"),
    [
        (
            {"metadata": {"when": {"at": [1, object()]}}},
            "agent.metadata.when.at[1]",
            "object",
        ),
        ({"metadata": {"x": float("nan")}}, "agent.metadata.x", "nan"),
        ({"metadata": {"x": float("inf")}}, "agent.metadata.x", "inf"),
        ({"metadata": {"x": b"1"}}, "agent.metadata.x", "bytes"),
        ({"metadata": {"x": {1, 2}}}, "agent.metadata.x", "set"),
        (
            {"metadata": {("a", "b"): 1}},
            "agent.metadata",
            "the key ('a', 'b')",
        ),
        (
            {"metadata": {"we ird\x1b": b""}},
            'agent.metadata["we ird\\u001b"]',
            "bytes",
        ),
        (
            {"metadata": {"x": "half \ud83d"}},
            "agent.metadata.x",
            "surrogate",
        ),
        (
            {"metadata": {"\ud83d": 1}},
            "agent.metadata",
            'the key "\\ud83d"',
        ),
        (
            {"agent_config": {"prompt": "\udc00"}},
            "agent.agent_config.prompt",
            "surrogate",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_value_that_json_does_not_support_is_rejected_with_its_path(
    arguments: dict[str, Any], path: str, key_word: str
) -> None:
    """The path is that of the innermost invalid value."""
    message = refusal(lambda: call(**{"agent_id": "x", **arguments}))
    assert message.startswith(f"{path}: ")
    assert key_word in message


@pytest.mark.parametrize(
    "arguments",
    [{"metadata": CIRCLE}, {"agent_config": {"voice": {"settings": CIRCLE}}}, {"metadata": {"x": DEEP}}],
    ids=["circle", "circle in a config", "deep"],
)
def test_a_value_that_contains_itself_is_rejected_with_its_path(arguments: dict[str, Any]) -> None:
    """The path is long enough to find the value."""
    message = refusal(lambda: call(**{"agent_id": "x", **arguments}))
    assert re.match(
        r"agent\.(metadata\.(self\[0\]|x\[0\]\[0\])|agent_config\.voice\.settings\.self)", message
    )
    assert message.endswith("contains itself")


def test_a_lone_surrogate_in_a_message_is_rejected_with_its_path() -> None:
    """The error is a ConfigurationError instead of a UnicodeError."""
    message = refusal(lambda: call([*HELLO, {"role": "user", "content": "a\udfffb"}], agent_id="x"))
    assert message.startswith("messages[1].content: ")
    assert "surrogate" in message


# Unknown config keys.

UNKNOWN: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"flow": {"interruption": {"first_message": True}}},
        ['"flow.interruption.first_message"', '"first_messsage"?'],
    ),
    (
        {"promt": "p"},
        ['"promt"', '"prompt"?'],
    ),
    (
        {"tools": [{"name": "t"}, {"params": [{"zzzzzz": 1}]}]},
        ['"tools[1].params[0].zzzzzz"'],
    ),
]


@pytest.mark.parametrize(("config", "key_words"), UNKNOWN)
def test_an_unknown_key_causes_a_warning_and_is_sent(config: dict[str, Any], key_words: list[str]) -> None:
    """The warning gives the path and the nearest known key; a new key of the service can still be used."""
    with pytest.warns(UnknownFieldWarning) as warned:
        body = sent(agent_id="x", agent_config=copy.deepcopy(config))
    (message,) = [str(warning.message) for warning in warned]
    assert message.startswith("agent_config: unknown key ")
    assert all(key_word in message for key_word in key_words)
    assert body["agent"]["agent_config"] == config


@pytest.mark.parametrize(("config", "key_words"), UNKNOWN)
def test_strict_raises_an_error_for_an_unknown_key(config: dict[str, Any], key_words: list[str]) -> None:
    """With `strict`, the client raises an error with the text of the warning instead of warning."""
    message = refusal(lambda: agent(agent_id="x", agent_config=config, strict=True))
    assert message.startswith("agent_config: unknown key ")
    assert all(key_word in message for key_word in key_words)


def test_each_unknown_key_causes_a_warning() -> None:
    """A dict and a model cause one warning per key."""
    for config in ({"aaa": 1, "bbb": 2}, AgentConfigOverride.from_dict({"aaa": 1, "bbb": 2})):
        with pytest.warns(UnknownFieldWarning) as warned:
            agent(agent_config=config)
        assert len(warned) == 2


def test_models_in_a_dict_are_checked() -> None:
    """An unknown key of a model inside a dict causes a warning."""
    tool = Tool.from_dict({"name": "a", "description": "b", "headers": {}})
    with pytest.warns(UnknownFieldWarning, match=r"tools\[0\].headers"):
        agent(agent_config={"tools": [tool]})


@pytest.mark.parametrize("key", ["tools", "prompt", "flow"])
def test_a_config_that_contains_itself_is_rejected(key: str) -> None:
    """The error is a ConfigurationError instead of a RecursionError."""
    endless: list[Any] = []
    endless.append(endless)
    assert "contains itself" in refusal(lambda: sent(agent_config={key: endless}))


def test_free_objects_have_no_unknown_keys() -> None:
    """The caller chooses the keys of metadata, headers, credentials and voice settings."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agent(
            agent_config={"voice": {"settings": {"mine": 1}}, "tools": [{"header": {"x-mine": "1"}}]},
            metadata={"mine": {"deep": 1}},
        )


def test_the_warning_points_to_the_line_of_the_caller() -> None:
    """This holds for every method that accepts a config."""
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


@pytest.mark.parametrize(
    "metadata", [{"1": "a", 1: "b"}, {None: 1, "null": 2}, {True: 1, "true": 2}, {1.5: 1, "1.5": 2}]
)
def test_two_keys_that_become_the_same_json_key_are_an_error(metadata: Any) -> None:
    """Only one of the two values would be used, so the error names the object and the key."""
    for value in (metadata, {"deep": [metadata]}):
        message = refusal(functools.partial(sent, agent_id="x", metadata=value))
        assert message.startswith("agent.metadata")
        assert "same JSON key" in message


def test_a_key_that_is_a_number_becomes_a_string() -> None:
    """This is how `json.dumps` converts the key, and it does not clash with another key."""
    assert sent(agent_id="x", metadata={1: "a", 2: {None: "b"}})["agent"]["metadata"] == {
        "1": "a",
        "2": {"null": "b"},
    }
