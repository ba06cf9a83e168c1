"""Who may use the gateway: a web page must not be able to spend the user's money."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from gateway_server import HELLO, MILLIS_KEY, ask, gateway, openai_client, post

from millis_wrapper import AsyncMillis, ConfigurationError
from millis_wrapper.gateway import create_app
from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis

PAGE = "http://localhost:3000"


@pytest.fixture(scope="module")
def mock() -> Iterator[MockMillis]:
    with MockMillis() as mock:
        yield mock


@pytest.fixture(scope="module")
def url(mock: MockMillis) -> Iterator[str]:
    with gateway(mock.url, cors=[PAGE]) as url:
        yield url


@pytest.fixture(scope="module")
def guarded(mock: MockMillis) -> Iterator[str]:
    with gateway(mock.url, gateway_key="open-sesame") as url:
        yield url


def error_of(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/json"
    error: dict[str, Any] = response.json()["error"]
    assert {"message", "type", "param", "code"} <= error.keys()
    return error


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8788", "127.0.0.1", "127.0.0.1:80", "127.9.9.9:1", "[::1]", "[::1]:8788"]
)
def test_local_hosts_are_served(url: str, host: str) -> None:
    """Clients on this machine may use any of its names."""
    assert post(url, headers={"host": host}).status_code == 200


FOREIGN = [
    *("evil.example", "evil.example:8788", "localhost.evil.example", "127.0.0.1.evil.example"),
    *("localhost@evil.example", "evil.example#localhost", "[::1].evil.example", "[::2]:8788"),
    *("0.0.0.0:8788", "192.168.0.9", "127.0.0.1:8788,evil.example", "127.0.0.0001"),
    *("localhost:80:80", "localhost:", "localhost:80x"),
]


@pytest.mark.parametrize("host", [*FOREIGN, ""])
def test_foreign_hosts_are_refused(url: str, mock: MockMillis, host: str) -> None:
    """With DNS rebinding, a web page reaches this machine under a name of its own."""
    before = len(mock.requests)
    for path in ("/v1/chat/completions", "/v1/models", "/nothing"):
        response = post(url, path=path, headers={"host": host})
        assert response.status_code == 403
        assert error_of(response)["code"] == "host_not_allowed"
    assert len(mock.requests) == before


@pytest.mark.parametrize("hosts", [[], ["localhost", "evil.example"], ["localhost", "localhost"]])
def test_a_request_has_to_name_one_host(hosts: list[str]) -> None:
    """Nobody has to guess which of two counts, whatever the server lets through."""

    async def status() -> int:
        async with AsyncMillis(MILLIS_KEY) as client:
            transport = httpx.ASGITransport(create_app(client=client))
            headers = [(b"host", host.encode()) for host in hosts]
            request = httpx.Request("GET", "http://localhost/v1/models")
            request.headers = httpx.Headers(headers)
            return (await transport.handle_async_request(request)).status_code

    assert asyncio.run(status()) == 403


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
)
def test_only_json_is_accepted(url: str, mock: MockMillis, content_type: str | None) -> None:
    """A web page can send any other type without asking first."""
    before = len(mock.requests)
    body = json.dumps({"model": DEFAULT_AGENT_ID, "messages": HELLO}).encode()
    response = post(url, body, headers={} if content_type is None else {"content-type": content_type})
    assert response.status_code == 415
    assert "application/json" in error_of(response)["message"]
    assert len(mock.requests) == before


def test_json_with_a_charset_is_accepted(url: str) -> None:
    """Parameters and case of the media type do not matter."""
    assert post(url, headers={"content-type": "Application/JSON; charset=utf-8"}).status_code == 200


def preflight(url: str, origin: str, **more: str) -> httpx.Response:
    headers = {"origin": origin, "access-control-request-method": "POST", **more}
    headers["access-control-request-headers"] = "authorization,content-type,x-stainless-lang"
    return httpx.options(f"{url}/v1/chat/completions", headers=headers, trust_env=False)


def test_an_allowed_page_may_use_the_gateway(url: str) -> None:
    """The requested headers are allowed, whatever they are, and the page sees whether to retry."""
    allowed = preflight(url, PAGE)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == PAGE
    assert "x-stainless-lang" in allowed.headers["access-control-allow-headers"]
    refused = post(url, {"model": 5}, headers={"origin": PAGE})
    assert refused.headers["access-control-allow-origin"] == PAGE
    assert "x-should-retry" in refused.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:3001", f"{PAGE}.evil.example"]
)
def test_other_pages_may_not_use_the_gateway(url: str, mock: MockMillis, origin: str) -> None:
    """Neither the preflight nor the request itself is answered."""
    before = len(mock.requests)
    for response in (preflight(url, origin), post(url, headers={"origin": origin})):
        assert response.status_code == 403
        assert error_of(response)["code"] == "origin_not_allowed"
        assert not any(name.startswith("access-control-allow") for name in response.headers)
    assert len(mock.requests) == before


def test_a_preflight_without_cors_is_refused(guarded: str) -> None:
    """By default, no web page may use the gateway."""
    assert preflight(guarded, PAGE).status_code == 403


WRONG = ["wrong", "open-sesam", "open-sesame2", "öffne-dich", "\ud83d", MILLIS_KEY, "open-sesame open-sesame"]


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_gateway_key_is_refused(guarded: str, mock: MockMillis, key: str) -> None:
    """Any bytes can be compared with the key, and nothing is sent to the service."""
    before = len(mock.requests)
    raw = b"Bearer " + key.encode("utf-8", "surrogatepass")
    for path in ("/v1/chat/completions", "/v1/models"):
        method = "POST" if "chat" in path else "GET"
        response = httpx.request(
            method, guarded + path, json={}, headers={b"authorization": raw}, trust_env=False
        )
        assert response.status_code == 401
        assert error_of(response)["code"] == "invalid_api_key"
    assert len(mock.requests) == before


@pytest.mark.parametrize("value", [None, "open-sesame", "Basic open-sesame", "Bearer", "Beareropen-sesame"])
def test_the_gateway_key_has_to_be_a_bearer_token(guarded: str, value: str | None) -> None:
    """The form is the one that OpenAI's clients use."""
    headers = {} if value is None else {"authorization": value}
    assert post(guarded, headers=headers).status_code == 401


def test_two_keys_are_refused(guarded: str) -> None:
    """A proxy that checks one of two headers must not let the other pass."""
    headers = [("authorization", "Bearer open-sesame"), ("authorization", "Bearer wrong")]
    assert post(guarded, headers=headers).status_code == 401


def test_the_gateway_key_opens_the_gateway(guarded: str, mock: MockMillis) -> None:
    """With the key, other names of the machine are served, too; the service receives the Millis key."""
    with openai_client(guarded, "open-sesame") as client:
        assert ask(client).choices[0].message.content == "Hello"
        assert client.models.list().data == []
    headers = {"host": "gateway.example", "authorization": "bearer open-sesame"}
    assert post(guarded, headers=headers).status_code == 200
    with openai_client(guarded, "wrong") as client, pytest.raises(openai.AuthenticationError):
        ask(client)


def test_a_large_body_is_refused(url: str, guarded: str) -> None:
    """The SDK raises instead of losing its connection, whether or not the size is declared."""
    too_large = b'{"x": "' + b"x" * (16 * 1024 * 1024) + b'"}'
    headers = {"content-type": "application/json"}
    declared = post(url, too_large, headers=headers)
    pieces = (too_large[start : start + 2**20] for start in range(0, len(too_large), 2**20))
    chunked = httpx.post(f"{url}/v1/chat/completions", content=pieces, headers=headers, trust_env=False)
    for response in (declared, chunked):
        assert response.status_code == 413
        assert "16777216" in error_of(response)["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"model": NaN}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 5_000,
        b"[]",
        b'"x"',
        b"null",
    ],
    ids=lambda body: body[:10].decode("latin-1"),
)
def test_a_malformed_body_is_refused(url: str, body: bytes) -> None:
    """Every kind of broken JSON is a 400 in OpenAI's form."""
    response = post(url, body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert error_of(response)["message"].startswith("body: ")


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/v1/chat/completions", 405), ("POST", "/v1/models", 405), ("GET", "/", 404),
    ("POST", "/v1/embeddings", 404), ("POST", "/v1/chat/completions/", 404), ("GET", "/models/", 404),
    ("DELETE", "/v1/models/x", 404), ("POST", "/v1/responses", 404),
])  # fmt: skip
def test_everything_else_is_refused_in_the_same_form(url: str, method: str, path: str, status: int) -> None:
    """A client shows the message instead of a page of HTML."""
    response = httpx.request(method, url + path, trust_env=False)
    assert response.status_code == status
    assert "/v1/chat/completions" in error_of(response)["message"]


@pytest.mark.parametrize(("options", "word"), [
    ({"gateway_key": ""}, "gateway_key"),
    ({"gateway_key": "öffne"}, "ASCII"),
    ({"gateway_key": "a b"}, "spaces"),
    ({"cors": ["*"]}, "origin"),
    ({"cors": ["http://localhost:3000/"]}, "origin"),
    ({"cors": ["null"]}, "origin"),
    ({"models": {"support": "my agent"}}, "model 'support'"),
    ({"models": {"support": ""}}, "agent_id"),
])  # fmt: skip
def test_an_invalid_option_is_refused(options: dict[str, Any], word: str) -> None:
    """A mistake is reported when the application is created, not with the first request."""
    with pytest.raises(ConfigurationError, match=word.replace("[", r"\[")) as caught:
        create_app(client=AsyncMillis(MILLIS_KEY), **options)
    traceback = caught.value.__traceback__
    key = options.get("gateway_key")
    while traceback is not None and key:
        frame = traceback.tb_frame
        if "gateway" in frame.f_code.co_filename and "tests" not in frame.f_code.co_filename:
            assert key not in repr(frame.f_locals)
        traceback = traceback.tb_next


def test_the_gateway_key_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, mock: MockMillis
) -> None:
    """MILLIS_GATEWAY_KEY protects a mounted application, too; a blank one counts as unset."""
    monkeypatch.setenv("MILLIS_GATEWAY_KEY", " open-sesame\n")
    with gateway(mock.url) as url:
        assert post(url).status_code == 401
        assert post(url, headers={"authorization": "Bearer open-sesame"}).status_code == 200
    monkeypatch.setenv("MILLIS_GATEWAY_KEY", " ")
    with gateway(mock.url) as url:
        assert post(url).status_code == 200
