"""The mock server fills in `{name}` placeholders from the metadata and lists the unfilled ones."""

from __future__ import annotations

from typing import Any

import pytest
from asgi import CHAT, chat_body, duplicate_path, post, texts

from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis


async def request(mock: MockMillis, text: str = "Hello", **agent: Any) -> str:
    """Send one chat request and return the text of the reply."""
    body = {"agent": agent, "messages": [{"role": "user", "content": text}]}
    response = await post(mock.app, CHAT, body)
    assert response.status == 200
    return "".join(texts(response.body))


@pytest.mark.anyio
async def test_the_echo_is_filled_in(mock: MockMillis) -> None:
    """Strings are inserted unchanged, and other values as JSON. A placeholder without a value stays."""
    metadata = {"name": "Ada", "n": 1.5, "ok": True, "none": None, "user": {"city": "Paris"}, "a.b": "dot"}
    text = await request(
        mock,
        "{name} {n} {ok} {none} {user} {user.city} {user.zip} {a.b} {nmae} {{name}} {} {1} { name }",
        agent_id=DEFAULT_AGENT_ID,
        metadata=metadata,
    )
    assert text == (
        'Ada 1.5 true null {"city": "Paris"} Paris {user.zip} dot {nmae} {{name}} {} {1} { name }'
    )
    assert mock.requests[-1].unfilled == ["user.zip", "nmae"]


@pytest.mark.anyio
async def test_without_metadata_placeholders_stay(mock: MockMillis) -> None:
    """A message that contains braces is unchanged."""
    assert await request(mock, "{name}", agent_id=DEFAULT_AGENT_ID) == "{name}"
    assert await request(mock, "{name}", agent_id=DEFAULT_AGENT_ID, metadata=None) == "{name}"


@pytest.mark.anyio
async def test_a_value_is_filled_in_once(mock: MockMillis) -> None:
    """A value that looks like a placeholder is not filled in again."""
    metadata = {"a": "{b}", "b": "{a}"}
    assert await request(mock, "{a}{b}", agent_id=DEFAULT_AGENT_ID, metadata=metadata) == "{b}{a}"


@pytest.mark.anyio
async def test_a_request_shows_its_filled_in_prompt(mock: MockMillis) -> None:
    """The prompt is that of the override or, without one, that of the saved agent."""
    agent_id = mock.add_agent(config={"prompt": "Serve {name} of {city}.", "first_message": "Hi {name}"})
    await request(mock, agent_id=agent_id, metadata={"name": "Ada", "city": "Paris"})
    assert mock.requests[-1].prompt == "Serve Ada of Paris."
    assert mock.requests[-1].unfilled == []
    await request(mock, agent_id=agent_id, agent_config={"prompt": "Be {mood}."}, metadata={"mood": "kind"})
    assert mock.requests[-1].prompt == "Be kind."
    assert mock.requests[-1].unfilled == ["name"]
    await request(mock, agent_id=agent_id, agent_config={"language": "de"}, metadata={"city": "Rome"})
    assert mock.requests[-1].prompt == "Serve {name} of Rome."
    await request(mock, agent_config={"prompt": None}, metadata={})
    assert mock.requests[-1].prompt is None


@pytest.mark.anyio
async def test_a_misspelled_placeholder_is_listed_as_unfilled(mock: MockMillis) -> None:
    """Each name is listed once, in the order prompt, first message, messages of the user."""
    config = {"prompt": "{nmae} {nmae} {FromPhone}", "first_message": "{frist}"}
    body = {
        "agent": {"agent_config": config, "metadata": {"name": "Ada"}},
        "messages": [
            {"role": "user", "content": "{usr} {name}"},
            {"role": "assistant", "content": "{assistant}"},
            {"role": "tool", "content": "{tool}", "tool_call_id": "1"},
        ],
    }
    await post(mock.app, CHAT, body)
    assert mock.requests[-1].unfilled == ["nmae", "frist", "usr"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body",
    [
        None,
        b"{",
        [],
        {"agent": 1},
        {"agent": {"metadata": [], "agent_config": 1, "agent_id": 2}, "messages": 7},
    ],
)
async def test_the_prompt_of_a_refused_request_is_none(mock: MockMillis, body: Any) -> None:
    """The mock server records invalid requests without failing."""
    assert (await post(mock.app, CHAT, body)).status == 422
    assert (mock.requests[-1].prompt, mock.requests[-1].unfilled) == (None, [])
    await post(mock.app, duplicate_path())
    assert (mock.requests[-1].prompt, mock.requests[-1].unfilled) == (None, [])
    assert (await post(mock.app, CHAT, chat_body(agent_id="-nobody"))).status == 404
    assert mock.requests[-1].prompt is None
