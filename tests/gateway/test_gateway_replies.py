"""The real openai SDK talks to an agent through the gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import loopback
import openai
import pytest
from gateway_server import HELLO, ask, gateway, openai_client, post

from millis_wrapper import ChatReply
from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis

CALL: Any = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "find_table", "arguments": '{"people": 2}'},
}
USAGE: Any = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
BOTH_FORMS = pytest.mark.parametrize("stream", [False, True], ids=["complete", "streamed"])


@pytest.fixture
def client(millis_mock: MockMillis) -> Iterator[openai.OpenAI]:
    with gateway(millis_mock.url, models={"support": DEFAULT_AGENT_ID}) as url, openai_client(url) as client:
        yield client


def test_a_complete_reply(client: openai.OpenAI, millis_mock: MockMillis) -> None:
    """The SDK returns the agent's text in a completion."""
    millis_mock.reply_with(ChatReply("Good evening.", usage=USAGE))
    completion = ask(client)
    assert completion.choices[0].message.content == "Good evening."
    assert completion.choices[0].message.role == "assistant"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.model_dump(exclude_none=True) == USAGE
    assert (completion.object, completion.model) == ("chat.completion", DEFAULT_AGENT_ID)


def test_a_streamed_reply(client: openai.OpenAI, millis_mock: MockMillis) -> None:
    """Every chunk has the fields of OpenAI's chunks, and the finish reason has a separate chunk."""
    millis_mock.reply_with(["Good ", "evening."])
    chunks = list(ask(client, stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert [(delta.role, delta.content) for delta in deltas] == [
        ("assistant", ""),
        (None, "Good "),
        (None, "evening."),
        (None, None),
    ]
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, None, "stop"]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert all((chunk.object, chunk.choices[0].index) == ("chat.completion.chunk", 0) for chunk in chunks)


def test_stream_in_the_body_decides_whether_to_stream(millis_mock: MockMillis) -> None:
    """The gateway ignores `Accept`, because the SDKs send `application/json` for streams."""
    with gateway(millis_mock.url) as url:
        accept = {"accept": "text/event-stream"}
        assert post(url, headers=accept).json()["choices"][0]["message"]["content"] == "Hello"
        body = {"model": DEFAULT_AGENT_ID, "messages": HELLO, "stream": True}
        streamed = post(url, body, headers={"accept": "application/json"})
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert (streamed.headers["x-accel-buffering"], streamed.headers["cache-control"]) == ("no", "no-store")
    assert streamed.text.endswith("data: [DONE]\n\n")


def test_the_stream_helper_of_the_sdk_works(client: openai.OpenAI, millis_mock: MockMillis) -> None:
    """`stream()` is stricter about chunks than plain iteration."""
    millis_mock.reply_with(ChatReply("One moment.", tool_calls=[CALL], usage=USAGE))
    options: Any = {"include_usage": True}
    with client.chat.completions.stream(
        model=DEFAULT_AGENT_ID,
        messages=HELLO,
        stream_options=options,
    ) as stream:
        kinds = {event.type for event in stream}
        final: Any = stream.get_final_completion()
    assert {"content.delta", "content.done", "tool_calls.function.arguments.done"} <= kinds
    assert final.choices[0].message.content == "One moment."
    assert final.choices[0].message.tool_calls[0].function.name == "find_table"
    assert final.usage.total_tokens == 7


@pytest.mark.parametrize("given", [None, "stop", "tool_calls"])
def test_tool_calls_in_both_forms(client: openai.OpenAI, millis_mock: MockMillis, given: str | None) -> None:
    """Tool calls arrive complete, with the finish reason `tool_calls`."""
    second: Any = {**CALL, "id": "call_2"}
    millis_mock.reply_with(ChatReply(tool_calls=[CALL, second], finish_reason=given))
    choice = ask(client).choices[0]
    assert [call.model_dump() for call in choice.message.tool_calls] == [CALL, second]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "")
    chunks: list[Any] = [chunk.choices[0] for chunk in ask(client, stream=True)]
    [calls] = [chunk.delta.tool_calls for chunk in chunks if chunk.delta.tool_calls]
    assert [call.model_dump() for call in calls] == [{"index": 0, **CALL}, {"index": 1, **second}]
    assert chunks[-1].finish_reason == "tool_calls"


@BOTH_FORMS
def test_the_finish_reason_of_the_service_is_kept(
    client: openai.OpenAI, millis_mock: MockMillis, stream: bool
) -> None:
    """A reply that reached its length limit has the finish reason `length`."""
    millis_mock.reply_with(ChatReply("Good", finish_reason="length"))
    completion = ask(client, stream=stream)
    last = [*completion][-1] if stream else completion
    assert last.choices[0].finish_reason == "length"


@pytest.mark.parametrize(("asked", "usage", "expected"), [
    (True, USAGE, USAGE), (False, USAGE, None), (True, None, None),
    (True, {"prompt_tokens": None}, None), (True, {**USAGE, "total_tokens": "7"}, None),
])  # fmt: skip
def test_usage_is_sent_if_requested_and_known(
    client: openai.OpenAI, millis_mock: MockMillis, asked: bool, usage: Any, expected: Any
) -> None:
    """The gateway does not invent counts, and sends chunks without choices only on request."""
    millis_mock.reply_with(ChatReply("Good evening.", usage=usage))
    chunks = list(ask(client, stream=True, stream_options={"include_usage": asked}))
    found = [chunk.usage.model_dump(exclude_none=True) for chunk in chunks if chunk.usage]
    assert found == ([expected] if expected else [])
    assert all(chunk.choices for chunk in chunks if not chunk.usage)


def test_a_lone_surrogate_reaches_the_client(client: openai.OpenAI, millis_mock: MockMillis) -> None:
    """The response is ASCII, because UTF-8 cannot encode it."""
    millis_mock.reply_with(["Good \ud83d"])
    for stream in (False, True):
        body = {"model": DEFAULT_AGENT_ID, "messages": HELLO, "stream": stream}
        with gateway(millis_mock.url) as url:
            response = post(url, body)
        assert response.status_code == 200
        assert response.content.isascii()


def test_a_name_selects_an_agent(client: openai.OpenAI, millis_mock: MockMillis) -> None:
    """Clients can use the names given with --model, and find them in the list of models."""
    assert ask(client, model="support").model == "support"
    assert millis_mock.requests[-1].agent_id == DEFAULT_AGENT_ID
    models = client.models.list().data
    assert [(model.id, model.object, model.owned_by) for model in models] == [("support", "model", "millis")]
    assert models[0].created > 0
    assert len(millis_mock.requests) == 1


def test_both_paths_are_served(millis_mock: MockMillis) -> None:
    """A base URL works with and without /v1."""
    with gateway(millis_mock.url) as url, openai_client(url, path="") as client:
        assert ask(client).choices[0].message.content == "Hello"
        assert client.models.list().data == []


def test_the_responses_api_is_rejected(client: openai.OpenAI) -> None:
    """The error names the API to use."""
    with pytest.raises(openai.NotFoundError, match="chat completions"):
        client.responses.create(model=DEFAULT_AGENT_ID, input="Hello")


def test_text_reaches_the_client_as_it_arrives() -> None:
    """The client receives the role chunk and the first text before the service sends the last text."""
    response: list[loopback.Step] = [
        loopback.STREAM,
        loopback.text_event("Good "),
        loopback.until_resumed,
        loopback.text_event("evening."),
    ]
    end = [loopback.text_event("evening.") + loopback.DONE + loopback.END]
    with (
        loopback.Loopback([*response, *end]) as service,
        gateway(service.url) as url,
        openai_client(url) as client,
    ):
        chunks = iter(ask(client, stream=True))
        assert next(chunks).choices[0].delta.role == "assistant"
        assert next(chunks).choices[0].delta.content == "Good "
        service.resume.set()
        assert next(chunks).choices[0].delta.content == "evening."


def test_the_stream_begins_when_the_service_accepts_the_request() -> None:
    """The role chunk arrives before the agent's first text, for clients with a short timeout."""
    response: list[loopback.Step] = [
        loopback.STREAM,
        loopback.until_resumed,
        loopback.text_event("Good evening."),
        loopback.DONE + loopback.END,
    ]
    with loopback.Loopback(response) as service, gateway(service.url) as url, openai_client(url) as client:
        chunks = iter(ask(client, stream=True))
        assert next(chunks).choices[0].delta.role == "assistant"
        service.resume.set()
        assert next(chunks).choices[0].delta.content == "Good evening."


def test_fifty_streams_at_once_do_not_mix(millis_mock: MockMillis) -> None:
    """Clients receive the reply to the message that they sent."""

    async def one(client: openai.AsyncOpenAI, number: int) -> str:
        text = " ".join(f"{number}.{word}" for word in range(10))
        messages: Any = [{"role": "user", "content": text}]
        stream: Any = await client.chat.completions.create(
            model=DEFAULT_AGENT_ID, messages=messages, stream=True
        )
        received = [chunk.choices[0].delta.content or "" async for chunk in stream]
        assert "".join(received) == text
        return text

    async def main(url: str) -> list[str]:
        async with openai.AsyncOpenAI(base_url=url + "/v1", api_key="dummy") as client:
            return await asyncio.gather(*(one(client, number) for number in range(50)))

    millis_mock.pace = 0.001
    with gateway(millis_mock.url) as url:
        assert len(set(asyncio.run(main(url)))) == 50
    assert len(millis_mock.requests) == 50


def test_streamed_events_consist_of_data_lines(millis_mock: MockMillis) -> None:
    """Some clients fail on ids and comments."""
    millis_mock.reply_with(["Good ", "evening."])
    with gateway(millis_mock.url) as url:
        text = post(url, {"model": DEFAULT_AGENT_ID, "messages": HELLO, "stream": True}).text
    *events, end, rest = text.split("\n\n")
    assert (end, rest) == ("data: [DONE]", "")
    assert all(json.loads(event.removeprefix("data: "))["choices"] for event in events)
