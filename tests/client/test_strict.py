"""With `strict=True`, a client rejects a config with any error that it can find locally."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import httpx
import pytest

from millis_wrapper import AsyncMillis, ConfigurationError, Millis


def sent_by(config: Any, *, strict: bool = True) -> list[httpx.Request]:
    """Return the requests that a client sends for `config` to a server that accepts everything."""
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(
            200, headers={"content-type": "text/event-stream"}, content=b"data: Hi\n\ndata: [DONE]\n\n"
        )

    with httpx.Client(transport=httpx.MockTransport(handle)) as http:
        millis = Millis("key", http_client=http, strict=strict)
        millis.chat.send("Hello", agent_id="x", agent_config=config)
    return requests


def refusal_of(config: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        sent_by(config)
    return str(caught.value)


@pytest.mark.parametrize("cls", [Millis, AsyncMillis])
def test_a_strict_client_cannot_be_created_without_jsonschema(
    cls: type[Millis] | type[AsyncMillis], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the argument and the command that installs the extra."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    cls("key")
    with pytest.raises(ConfigurationError) as caught:
        cls("key", strict=True)
    assert str(caught.value).startswith("strict=True")
    assert "pip install" in str(caught.value)
    assert "contract" in str(caught.value)


def test_strict_lists_every_error_of_a_config() -> None:
    """The request is not sent, and one message lists all errors with their paths."""
    message = refusal_of({"llm": "gpt-4o", "promt": "p", "flow": {"response_delay": 0.5}})
    assert message.startswith("agent_config:")
    for place in ("llm", "promt", "flow.response_delay"):
        assert f"\n  {place}: " in message


def test_strict_names_a_single_error_on_one_line() -> None:
    """The message starts with the path of the value."""
    message = refusal_of({"flow": {"response_delay": 0.5}})
    assert message.startswith("agent_config.flow.response_delay: ")
    assert "integer" in message
    assert "\n" not in message


def test_strict_checks_the_config_of_a_conversation() -> None:
    """A conversation checks its config when it is created."""
    with Millis("key", strict=True) as millis, pytest.raises(ConfigurationError, match="response_delay"):
        millis.chat.conversation(agent_config={"flow": {"response_delay": 0.5}})


def test_strict_lists_the_first_twenty_errors() -> None:
    """The message ends with the number of omitted errors."""
    lines = refusal_of({f"zzz{number}": 1 for number in range(30)}).splitlines()
    assert (len(lines), lines[-1]) == (22, "  and 10 more")


def test_strict_rejects_an_unknown_nested_key() -> None:
    """The service ignores unknown keys below the top level, so a misspelled key would have no effect."""
    assert "first_messsage" in refusal_of({"flow": {"interruption": {"first_message": 1}}})


def test_strict_sends_a_config_with_warnings() -> None:
    """Warnings and hints are not errors, because the service may accept the value."""
    config = {"llm": {"model": "gpt-9"}, "session_timeout": {"max_idle": 5000}}
    assert len(sent_by(config)) == 1


def test_a_client_that_is_not_strict_does_not_import_the_config_tools() -> None:
    """The core finds unknown keys with the contract alone."""
    program = """
import sys, warnings, httpx
warnings.simplefilter("ignore")
from millis_wrapper import Millis, UnprocessableEntityError
body = b'{"detail": [{"loc": ["body", "agent", "agent_config", "llm"], "msg": "bad", "type": "x"}]}'
transport = httpx.MockTransport(lambda _: httpx.Response(422, content=body))
try:
    Millis("key", http_client=httpx.Client(transport=transport)).chat.send("Hi", agent_config={"llm": "x"})
except UnprocessableEntityError:
    pass
assert not [name for name in sys.modules if name.startswith(("millis_wrapper.config", "jsonschema"))]
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize(
    "config",
    [
        {
            "tools": [
                {"name": "t", "description": "d", "webhook": "https://ada:s3cr3tValue@host/x", "params": 1}
            ]
        },
        {"tools": [{"name": "t", "description": "d", "header": {"Authorization": ["s3cr3tValue"]}}]},
        {"voice": {"provider": "nobody", "voice_id": 5}, "session_data_webhook": {"headers": "s3cr3tValue"}},
        {"session_data_webhook": {"url": 5, "headers": {"x": "s3cr3tValue"}}},
    ],
)
def test_strict_masks_the_secrets_of_a_config(config: Any) -> None:
    """An error shows no secret of the config, even if the secret has the wrong type."""
    assert "s3cr3tValue" not in refusal_of(config)
