"""`mask_secrets` masks the secrets of a config and keeps everything else."""

from __future__ import annotations

import copy
import sys
from typing import Any

import pytest
from millis_api import models
from schemas import CORPUS, at, document, paths, read_json

from millis_wrapper import contract
from millis_wrapper.contract import Contract, _masking, mask_secrets

AGENT = read_json(CORPUS / "pages" / "duplicate-response.json")
KEYS = {"x-api-key": "S3CR3T"}


@pytest.mark.parametrize(
    "config",
    [
        {"tools": [{"header": KEYS}]},
        {"tools": [{"header": {"retries": 7, "on": True, "nested": [KEYS]}}]},
        {"session_data_webhook": {"url": "", "headers": KEYS}},
        {"extra_prompt_webhook": {"headers": KEYS}},
        {"app_functions": [{"credentials": {"api_key": "S3CR3T", "event_type_id": "S3CR3T"}}]},
    ],
)
def test_the_values_of_secret_fields_are_masked(config: Any) -> None:
    """The values of headers and credentials are masked, and their keys are kept."""
    masked = mask_secrets(config)
    assert "S3CR3T" not in repr(masked)
    assert set(paths(masked)) == set(paths(config))


@pytest.mark.parametrize(
    "config",
    [
        {"tools": [{"header": "S3CR3T"}]},
        {"tools": [{"header": [["x", "S3CR3T"]]}]},
        {"tools": [{"header": 1234567}]},
        {"tools": {"header": KEYS}},
        {"tools": [[{"header": KEYS}]]},
        {"session_data_webhook": [{"headers": KEYS}]},
        {"session_data_webhook": {"header": KEYS}},
        {"app_functions": {"book": {"credentials": KEYS}}},
        {"app_functions": [{"credentials": "S3CR3T"}]},
        {"header": KEYS},
        {"config": {"tools": [{"header": KEYS}]}},
        {"tools": [{"params": [{"headers": KEYS}]}]},
        {"voice": {"settings": {"apiKey": "S3CR3T", "Authorization": "Bearer S3CR3T"}}},
        {"llm": {"client_secret": "S3CR3T"}},
    ],
)
def test_a_secret_in_a_wrong_place_is_masked(config: Any) -> None:
    """A secret with a wrong type, on a wrong level or under a misspelled key is masked, too."""
    masked = mask_secrets(config)
    assert "S3CR3T" not in repr(masked)
    assert "1234567" not in repr(masked)
    assert "****" in repr(masked)


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://user:S3CR3T@example.com/a", "https://user:****@example.com/a"),
        ("https://:S3CR3T@example.com", "https://:****@example.com"),
        ("https://S3CR3T@example.com", "https://****@example.com"),
        ("wss://user:S3@CR3T@example.com", "wss://user:****@example.com"),
        ("https://user:S3/CR3T@example.com", "https://user:****@example.com"),
        ("https://example.com/?token=S3CR3T&page=2#top", "https://example.com/?token=****&page=2#top"),
        ("https://example.com/?a=1&api_key=S3CR3T", "https://example.com/?a=1&api_key=****"),
        ("https://example.com/?KEY=S3CR3T", "https://example.com/?KEY=****"),
        ("call https://a:S3CR3T@b and https://c:S3CR3T@d", "call https://a:****@b and https://c:****@d"),
        ("https://example.com:8080/users/@me", "https://example.com:8080/users/@me"),
        ("https://example.com/users/@me?page=2", "https://example.com/users/@me?page=2"),
        ("https://example.com/?keyboard=qwerty", "https://example.com/?keyboard=qwerty"),
        ("Write to ada:me@example.com", "Write to ada:me@example.com"),
    ],
)
def test_passwords_and_tokens_inside_urls_are_masked_in_every_field(url: str, masked: str) -> None:
    """The rest of the URL is kept, so that the reader can identify it."""
    for config in (
        {"session_data_webhook": url},
        {"session_data_webhook": {"url": url}},
        {"tools": [{"webhook": url}]},
        {"custom_llm_websocket": url},
        {"call_settings": {"background": {"url": url}}},
        {"prompt": url},
        {"x_new": [url]},
    ):
        assert mask_secrets(config) == eval(repr(config).replace(url, masked))  # our own literals


def test_other_values_are_copied_unchanged() -> None:
    """The original is not changed."""
    agent = copy.deepcopy(AGENT)
    agent["config"]["tools"][0]["header"] = {"x-key": "S3CR3T"}
    before = copy.deepcopy(agent)
    masked = mask_secrets(agent, "DuplicateAgentResponse")
    changed = [path for path in paths(agent) if at(agent, path) != at(masked, path)]
    assert max(changed, key=len) == ("config", "tools", 0, "header", "x-key")
    assert {len(path) for path in changed} == {1, 2, 3, 4, 5}
    masked["config"]["flow"]["interruption"]["allowed"] = "changed"
    assert before == agent


def test_keys_of_maps_and_known_keys_are_not_judged_by_their_name() -> None:
    """A keyword may be `password`, and `prompt_tokens` is a number of tokens."""
    config = {"custom_vocabulary": {"keywords": {"password": 3}}, "memory": {"user_identifier_key": "id"}}
    assert mask_secrets(config) == config
    assert mask_secrets({"usage": {"prompt_tokens": 3}}, "ChatCompletionChunk") == {
        "usage": {"prompt_tokens": 3}
    }


@pytest.mark.parametrize("value", [None, "", {"a": None, "b": ""}])
def test_null_and_empty_strings_are_not_masked(value: Any) -> None:
    """The reader can see that a header is not set."""
    assert mask_secrets({"tools": [{"header": value}]}) == {"tools": [{"header": value}]}


def test_models_are_masked_like_their_data() -> None:
    """A generated model, alone or inside a dict, gives the masked data."""
    config = models.AgentConfig.from_dict(AGENT["config"])
    assert mask_secrets(config) == mask_secrets(AGENT["config"])
    assert mask_secrets({"config": config}, "DuplicateAgentResponse") == {
        "config": mask_secrets(AGENT["config"])
    }
    tool = models.Tool.from_dict({"header": {"a": "S3CR3T"}})
    assert mask_secrets({"unknown": {"tools": [tool]}}) == {"unknown": {"tools": [{"header": {"a": "****"}}]}}


def test_data_that_is_deep_or_holds_itself_is_masked_at_its_end() -> None:
    """Deep or recursive data does not raise an error; everything below 90 levels is masked."""
    loop: dict[str, Any] = {"llm": {}}
    loop["llm"]["x_loop"] = loop
    assert "****" in repr(mask_secrets(loop))
    deep: Any = "S3CR3T"
    for _ in range(sys.getrecursionlimit() * 2):
        deep = [deep]
    assert "S3CR3T" not in repr(mask_secrets({"x_deep": deep, "tools": [{"header": deep}]}))


def test_the_contract_decides_which_fields_are_secret() -> None:
    """A field that a new version of the contract marks is masked at once."""
    other = copy.deepcopy(document())
    other["components"]["schemas"]["Voice"]["properties"]["voice_id"]["x-secret"] = True
    voice = {"voice": {"provider": "openai", "voice_id": "alloy"}}
    assert _masking.mask_secrets(Contract(other), voice, "AgentConfig")["voice"]["voice_id"] == "****"
    assert mask_secrets(voice) == voice
    assert [one.path for one in contract.fields("AgentConfig") if one.is_secret] == [
        "tools[].header",
        "app_functions[].credentials",
        "session_data_webhook.headers",
        "extra_prompt_webhook.headers",
    ]


def test_a_property_with_a_secret_component_is_marked() -> None:
    """The mark of a field is visible without following its reference."""
    schemas = document()["components"]["schemas"]
    secret = {f"#/components/schemas/{name}" for name, one in schemas.items() if one.get("x-secret")}
    holders = [
        prop
        for one in schemas.values()
        for prop in one.get("properties", {}).values()
        if any(form.get("$ref") in secret for form in (prop, *prop.get("anyOf", ())))
    ]
    assert holders
    assert all(prop["x-secret"] is True for prop in holders)


def test_an_unknown_component_is_an_error() -> None:
    """A misspelled component would mask too little, so it raises KeyError."""
    with pytest.raises(KeyError, match="did you mean AgentConfig"):
        mask_secrets({}, "AgentConfg")
