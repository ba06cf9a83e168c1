"""The translation of chat completion requests."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from typing import Any

import openai
import pytest
from gateway_server import HELLO, ask, gateway, openai_client, post
from hypothesis import given
from hypothesis import strategies as st
from paths import CORPUS

from millis_wrapper.gateway._app import log_ignored
from millis_wrapper.gateway._requests import UNSUPPORTED, stream_arguments
from millis_wrapper.gateway._responses import Failure
from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis

REFUSED = json.loads((CORPUS / "gateway" / "refused.json").read_text("utf-8"))
ACCEPTED = json.loads((CORPUS / "gateway" / "accepted.json").read_text("utf-8"))
PLAIN = ACCEPTED[0]["sent"]


@pytest.fixture(scope="module")
def service() -> Any:
    with MockMillis() as mock, gateway(mock.url) as url, openai_client(url) as client:
        yield mock, client


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["name"])
def test_an_unsupported_or_malformed_request_is_rejected(service: Any, case: dict[str, Any]) -> None:
    """The SDK raises BadRequestError with `param`, and the service receives no request."""
    mock, client = service
    before = len(mock.requests)
    body = {"model": DEFAULT_AGENT_ID, "messages": HELLO, **case["body"]}
    content = json.dumps(body).encode()  # The SDK itself cannot encode a lone surrogate.
    headers: Any = {"headers": {"content-type": "application/json"}}
    with pytest.raises(openai.BadRequestError, match="400") as caught:
        client.post("/chat/completions", content=content, options=headers, cast_to=object)
    assert caught.value.param == case["param"]
    assert caught.value.type == "invalid_request_error"
    assert case["key_word"] in caught.value.message
    assert len(mock.requests) == before


@pytest.mark.parametrize("number", ["1e999", "NaN"])
def test_a_number_that_json_cannot_encode_is_rejected(millis_mock: MockMillis, number: str) -> None:
    """Python parses `1e999` as infinity, and accepts `NaN`."""
    body = f'{{"model": "x", "messages": {json.dumps(HELLO)}, "metadata": {{"count": {number}}}}}'
    with gateway(millis_mock.url) as url:
        response = post(url, body.encode(), headers={"content-type": "application/json"})
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, "metadata")
    assert error["message"].startswith("metadata.count: ")
    assert not millis_mock.requests


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case["name"])
def test_a_request_is_translated(service: Any, case: dict[str, Any]) -> None:
    """The service receives the supported parameters in its own format."""
    mock, client = service
    ask(client, extra_body=case["body"])
    assert mock.requests[-1].body == case.get("sent", PLAIN)


def test_an_ignored_parameter_is_logged_once(
    millis_mock: MockMillis, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names a parameter without an effect once, in one printable line."""
    caplog.set_level(logging.INFO, "millis_wrapper.gateway")
    log_ignored.cache_clear()
    long_name = "\x1b[31m\nx" * 50
    with gateway(millis_mock.url) as url, openai_client(url) as client:
        for _ in range(3):
            ask(client, temperature=0, n=1, extra_body={long_name: 1})
    lines = [line.getMessage() for line in caplog.records if "ignored" in line.getMessage()]
    assert len(lines) == 2
    assert "'temperature'" in lines[1]
    assert all(line.isprintable() and len(line) < 120 for line in lines)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["model", "stream", "stream_options", "metadata", *UNSUPPORTED, "temperature"])
MESSAGE_KEYS = st.sampled_from(["role", "content", "tool_calls", "tool_call_id", "audio", "function_call"])
ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool"])
PARTS = st.lists(st.fixed_dictionaries({"type": st.just("text") | JSON, "text": JSON}), max_size=2)


def message(role: Any, content: Any, more: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


MORE = st.dictionaries(MESSAGE_KEYS, JSON, max_size=2)
MESSAGES: st.SearchStrategy[Any] = st.builds(message, ROLES | JSON, st.text() | PARTS | JSON, MORE)


@given(st.dictionaries(KEYS, JSON), st.lists(MESSAGES | JSON, max_size=3))
def test_a_wrong_type_at_any_key_is_rejected_or_ignored(body: dict[str, Any], messages: list[Any]) -> None:
    """A request with any JSON value is accepted or raises Failure."""
    for each in (body, {"model": "x", **body}, {"model": "x", "messages": messages}):
        with suppress(Failure):
            translated = stream_arguments(each, {})["messages"]
            assert all(isinstance(message["content"], str) for message in translated)
