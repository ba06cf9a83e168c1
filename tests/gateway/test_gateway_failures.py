"""Errors that clients receive; no client retries a chat that the service may have processed."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import loopback
import openai
import pytest
from gateway_server import HELLO, MILLIS_KEY, ask, gateway, openai_client, post

from millis_wrapper import Timeout
from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis

BOTH_FORMS = pytest.mark.parametrize("stream", [False, True], ids=["complete", "streamed"])
# openai-python, openai-node, LangChain JS, LiteLLM, AI SDK and promptfoo do not retry after these codes.
NEVER_RETRIED = {400, 401, 403, 404, 413}


@pytest.fixture
def client(millis_mock: MockMillis) -> Iterator[openai.OpenAI]:
    with gateway(millis_mock.url) as url, openai_client(url) as client:
        yield client


@BOTH_FORMS
@pytest.mark.parametrize(
    ("status", "raised", "code"),
    [
        (400, openai.BadRequestError, "BadRequestError"),
        (401, openai.AuthenticationError, "AuthenticationError"),
        (403, openai.PermissionDeniedError, "PermissionDeniedError"),
        (404, openai.NotFoundError, "NotFoundError"),
        (408, openai.BadRequestError, "APIStatusError"),
        (409, openai.BadRequestError, "APIStatusError"),
        (413, openai.BadRequestError, "APIStatusError"),
        (422, openai.BadRequestError, "UnprocessableEntityError"),
        (500, openai.BadRequestError, "InternalServerError"),
        (502, openai.BadRequestError, "InternalServerError"),
        (503, openai.BadRequestError, "InternalServerError"),
        (504, openai.BadRequestError, "InternalServerError"),
    ],
)
def test_the_sdk_does_not_retry_an_error_status(
    client: openai.OpenAI, millis_mock: MockMillis, status: int, raised: type[openai.APIStatusError],
    code: str, stream: bool,
) -> None:  # fmt: skip
    """The SDK raises its class for the status, and the service receives one request."""
    millis_mock.fail_next(status, times=5)
    with pytest.raises(raised) as caught:
        ask(client, stream=stream)
    assert caught.value.code == code
    assert f"[{status} " in caught.value.message
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.status_code in NEVER_RETRIED
    assert len(millis_mock.requests) == 1


def test_the_sdk_may_retry_a_429(client: openai.OpenAI, millis_mock: MockMillis) -> None:
    """The gateway passes the status and Retry-After on, because the service processed nothing."""
    millis_mock.fail_next(429, times=2, retry_after=7)
    assert ask(client).choices[0].message.content == "Hello"
    assert len(millis_mock.requests) == 3
    millis_mock.fail_next(429, times=3, retry_after=7)
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client)
    assert caught.value.response.headers["retry-after"] == "7"
    assert "x-should-retry" not in caught.value.response.headers


@BOTH_FORMS
def test_a_connection_that_was_never_made_is_a_503(stream: bool) -> None:
    """The service did not receive the request, so the client may retry."""
    with (
        gateway(f"http://{loopback.nowhere()}") as url,
        openai_client(url) as client,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        ask(client, stream=stream)
    assert (caught.value.status_code, caught.value.code) == (503, "APIConnectionError")
    assert "x-should-retry" not in caught.value.response.headers


BROKEN = [
    ("cut", "StreamInterruptedError", "Good evening,"),
    ("half-event", "StreamInterruptedError", "Good evening,"),
    ("error-event", "StreamFailedError", "Good evening,"),
    ("error-object", "StreamFailedError", "Good evening,"),
    ("200-html", "UnexpectedResponseError", None),
]


@pytest.mark.parametrize(("scenario", "code", "partial"), BROKEN)
def test_an_incomplete_reply_raises(
    client: openai.OpenAI, millis_mock: MockMillis, scenario: str, code: str, partial: str | None
) -> None:
    """The error holds the received text, and the service receives one request."""
    millis_mock.reply_with("Good evening, Ada, how are you?")
    millis_mock.fail_next(scenario)
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client)
    body: Any = caught.value.body
    assert (caught.value.code, body.get("partial_text")) == (code, partial)
    assert ".reply" not in caught.value.message  # an attribute of the library, not of the response
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(millis_mock.requests) == 1


@pytest.mark.parametrize(("scenario", "code", "partial"), BROKEN)
def test_an_incomplete_streamed_reply_raises(
    client: openai.OpenAI, millis_mock: MockMillis, scenario: str, code: str, partial: str | None
) -> None:
    """The SDK raises after it has yielded the received text, and the service receives one request."""
    millis_mock.reply_with("Good evening, Ada, how are you?")
    millis_mock.fail_next(scenario)
    received: list[Any] = []
    with pytest.raises(openai.APIError) as caught:
        received.extend(chunk.choices[0] for chunk in ask(client, stream=True))
    assert caught.value.code == code
    assert "".join(choice.delta.content or "" for choice in received) == (partial or "")
    assert not any(choice.finish_reason for choice in received)
    assert len(millis_mock.requests) == 1


@pytest.mark.parametrize("scenario", [scenario for scenario, _, _ in BROKEN])
def test_an_incomplete_stream_ends_with_an_error_event(millis_mock: MockMillis, scenario: str) -> None:
    """The last event has OpenAI's error format, and `[DONE]` does not follow."""
    millis_mock.fail_next(scenario)
    with gateway(millis_mock.url) as url:
        text = post(url, {"model": DEFAULT_AGENT_ID, "messages": HELLO, "stream": True}).text
    assert "[DONE]" not in text
    last = json.loads(text.split("\n\n")[-2].removeprefix("data: "))
    assert {"message", "type", "param", "code"} <= last["error"].keys()


@BOTH_FORMS
@pytest.mark.parametrize("response", [[loopback.close], [loopback.reset]], ids=["closed", "reset"])
def test_the_sdk_does_not_retry_a_lost_connection(response: list[loopback.Step], stream: bool) -> None:
    """The service may have processed the request."""
    with (
        loopback.Loopback(response) as service,
        gateway(service.url) as url,
        openai_client(url) as client,
        pytest.raises(openai.BadRequestError) as caught,
    ):
        ask(client, stream=stream)
    assert caught.value.code == "APIConnectionError"
    assert len(service.requests) == 1


def test_the_sdk_does_not_retry_a_timeout() -> None:
    """The service may still be working on the request."""
    with (
        loopback.Loopback([loopback.until_disconnect]) as service,
        gateway(service.url, timeout=Timeout(first_byte=0.05)) as url,
        openai_client(url) as client,
        pytest.raises(openai.BadRequestError) as caught,
    ):
        ask(client)
    assert caught.value.code == "APITimeoutError"
    assert len(service.requests) == 1


@pytest.mark.parametrize("begun", [False, True], ids=["before the response", "in the response"])
@BOTH_FORMS
def test_a_disconnect_closes_the_connection_to_the_service(stream: bool, begun: bool) -> None:
    """The gateway does not wait for a reply that no client reads."""
    response: list[loopback.Step] = [loopback.until_disconnect]
    if begun:
        response = [loopback.STREAM + loopback.text_event("Good"), loopback.until_disconnect]
    body = json.dumps({"model": DEFAULT_AGENT_ID, "messages": HELLO, "stream": stream}).encode()
    with loopback.Loopback(response) as service, gateway(service.url) as url:
        host = url.removeprefix("http://")
        with socket.create_connection((host.split(":")[0], int(host.split(":")[1]))) as connection:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
            connection.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
            service.wait_for_requests(1)
            if stream and begun:
                while b"Good" not in connection.recv(65536):
                    pass
        assert service.disconnected.wait(loopback.PATIENCE)


def test_a_client_that_leaves_a_long_reply_causes_no_log_line(
    client: openai.OpenAI, millis_mock: MockMillis, caplog: pytest.LogCaptureFixture
) -> None:
    """The gateway stops writing, instead of writing received text to a closed connection."""
    millis_mock.reply_with(*["word " * 20_000] * 5, "Hello")  # more than the buffers of the sockets hold
    for _ in range(5):
        chunks = ask(client, stream=True)
        next(chunks)
        chunks.close()
    assert ask(client).choices[0].message.content == "Hello"
    assert caplog.text == ""


@BOTH_FORMS
@pytest.mark.parametrize("status", [200, 401, 500])
def test_the_key_is_redacted_in_responses_and_logs(
    caplog: pytest.LogCaptureFixture, status: int, stream: bool
) -> None:
    """An error from the service that contains the key does not reveal it to clients."""
    caplog.set_level(logging.DEBUG)
    echo = json.dumps({"detail": f"bad key {MILLIS_KEY}", "error": {"message": f"bad key {MILLIS_KEY}"}})
    events = loopback.STREAM + loopback.event(echo) + loopback.END
    steps = [events] if status == 200 else [loopback.http(status, echo)]
    with loopback.Loopback(steps) as service, gateway(service.url) as url:
        response = post(url, {"model": DEFAULT_AGENT_ID, "messages": HELLO, "stream": stream})
    assert service.requests[0].headers["authorization"] == MILLIS_KEY
    assert MILLIS_KEY not in response.text + str(response.headers)
    assert "bad key" in response.text
    assert MILLIS_KEY not in caplog.text


def test_the_sdk_does_not_retry_after_a_bug_in_the_gateway(
    millis_mock: MockMillis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected exception becomes a 400, because clients retry a 500."""

    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("millis_wrapper.gateway._responses._token_counts", broken)
    with (
        gateway(millis_mock.url) as url,
        openai_client(url) as client,
        pytest.raises(openai.BadRequestError) as caught,
    ):
        ask(client)
    assert caught.value.code == "internal_error"
    assert len(millis_mock.requests) == 1


def test_the_gateways_own_client_does_not_retry(
    millis_mock: MockMillis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retries of two layers would multiply."""
    from anyio.from_thread import start_blocking_portal

    from millis_wrapper.gateway import create_app

    monkeypatch.setenv("MILLIS_API_KEY", MILLIS_KEY)
    monkeypatch.setenv("MILLIS_BASE_URL", millis_mock.url)
    millis_mock.fail_next(429, times=5, retry_after=0)
    app = create_app()

    async def once() -> int:
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport) as client:
            body = {"model": DEFAULT_AGENT_ID, "messages": HELLO}
            return (await client.post("http://localhost/v1/chat/completions", json=body)).status_code

    with start_blocking_portal() as portal:
        assert portal.call(once) == 429
    assert len(millis_mock.requests) == 1
