"""Access to the gateway: a web page must not be able to spend the user's money."""

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
def test_requests_to_local_hosts_are_accepted(url: str, host: str) -> None:
    """Clients on this machine may use any of its names."""
    assert post(url, headers={"host": host}).status_code == 200


OTHER_HOSTS = [
    *("evil.example", "evil.example:8788", "localhost.evil.example", "127.0.0.1.evil.example"),
    *("localhost@evil.example", "evil.example#localhost", "[::1].evil.example", "[::2]:8788"),
    *("0.0.0.0:8788", "192.168.0.9", "127.0.0.1:8788,evil.example", "127.0.0.0001"),
    *("localhost:80:80", "localhost:", "localhost:80x"),
]


@pytest.mark.parametrize("host", [*OTHER_HOSTS, ""])
def test_requests_to_other_hosts_are_rejected(url: str, mock: MockMillis, host: str) -> None:
    """With DNS rebinding, a web page reaches this machine under the page's own host name."""
    before = len(mock.requests)
    for path in ("/v1/chat/completions", "/v1/models", "/nothing"):
        response = post(url, path=path, headers={"host": host})
        assert response.status_code == 403
        assert error_of(response)["code"] == "host_not_allowed"
    assert len(mock.requests) == before


@pytest.mark.parametrize("hosts", [[], ["localhost", "evil.example"], ["localhost", "localhost"]])
def test_a_request_without_exactly_one_host_header_is_rejected(hosts: list[str]) -> None:
    """The gateway does not rely on the server to reject such requests."""

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
def test_other_media_types_are_rejected(url: str, mock: MockMillis, content_type: str | None) -> None:
    """A web page can send other types without a preflight."""
    before = len(mock.requests)
    body = json.dumps({"model": DEFAULT_AGENT_ID, "messages": HELLO}).encode()
    response = post(url, body, headers={} if content_type is None else {"content-type": content_type})
    assert response.status_code == 415
    assert "application/json" in error_of(response)["message"]
    assert len(mock.requests) == before


def test_json_with_a_charset_is_accepted(url: str) -> None:
    """The gateway ignores parameters and case of the media type."""
    assert post(url, headers={"content-type": "Application/JSON; charset=utf-8"}).status_code == 200


def preflight(url: str, origin: str, **more: str) -> httpx.Response:
    headers = {"origin": origin, "access-control-request-method": "POST", **more}
    headers["access-control-request-headers"] = "authorization,content-type,x-stainless-lang"
    return httpx.options(f"{url}/v1/chat/completions", headers=headers, trust_env=False)


def test_an_allowed_page_may_use_the_gateway(url: str) -> None:
    """The preflight allows every requested header, and the page can read `x-should-retry`."""
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
def test_other_pages_are_rejected(url: str, mock: MockMillis, origin: str) -> None:
    """The preflight and the request get a 403 without CORS headers."""
    before = len(mock.requests)
    for response in (preflight(url, origin), post(url, headers={"origin": origin})):
        assert response.status_code == 403
        assert error_of(response)["code"] == "origin_not_allowed"
        assert not any(name.startswith("access-control-allow") for name in response.headers)
    assert len(mock.requests) == before


def test_a_preflight_without_cors_is_rejected(guarded: str) -> None:
    """By default, the gateway rejects requests from web pages."""
    assert preflight(guarded, PAGE).status_code == 403


WRONG = ["wrong", "open-sesam", "open-sesame2", "öffne-dich", "\ud83d", MILLIS_KEY, "open-sesame open-sesame"]


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_gateway_key_is_rejected(guarded: str, mock: MockMillis, key: str) -> None:
    """Any bytes get a 401, and the service receives no request."""
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
def test_a_key_that_is_not_a_bearer_token_is_rejected(guarded: str, value: str | None) -> None:
    """OpenAI's clients send their API key as a bearer token."""
    headers = {} if value is None else {"authorization": value}
    assert post(guarded, headers=headers).status_code == 401


def test_two_authorization_headers_are_rejected(guarded: str) -> None:
    """A proxy might have checked only one of them."""
    headers = [("authorization", "Bearer open-sesame"), ("authorization", "Bearer wrong")]
    assert post(guarded, headers=headers).status_code == 401


def test_the_right_gateway_key_is_accepted(guarded: str, mock: MockMillis) -> None:
    """With a gateway key, any `Host` is accepted, and the service receives the Millis key."""
    with openai_client(guarded, "open-sesame") as client:
        assert ask(client).choices[0].message.content == "Hello"
        assert client.models.list().data == []
    headers = {"host": "gateway.example", "authorization": "bearer open-sesame"}
    assert post(guarded, headers=headers).status_code == 200
    with openai_client(guarded, "wrong") as client, pytest.raises(openai.AuthenticationError):
        ask(client)


def test_a_body_over_16_mib_is_rejected(url: str, guarded: str) -> None:
    """The client receives the 413, with or without a Content-Length header."""
    too_large = b'{"x": "' + b"x" * (16 * 1024 * 1024) + b'"}'
    headers = {"content-type": "application/json"}
    declared = post(url, too_large, headers=headers)
    chunks = (too_large[start : start + 2**20] for start in range(0, len(too_large), 2**20))
    chunked = httpx.post(f"{url}/v1/chat/completions", content=chunks, headers=headers, trust_env=False)
    for response in (declared, chunked):
        assert response.status_code == 413
        assert "16777216" in error_of(response)["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
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
def test_a_malformed_body_is_rejected(url: str, body: bytes) -> None:
    """A body that is not a JSON object gets a 400 in OpenAI's error format."""
    response = post(url, body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert error_of(response)["message"].startswith("body: ")


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/v1/chat/completions", 405), ("POST", "/v1/models", 405), ("GET", "/", 404),
    ("POST", "/v1/embeddings", 404), ("POST", "/v1/chat/completions/", 404), ("GET", "/models/", 404),
    ("DELETE", "/v1/models/x", 404), ("POST", "/v1/responses", 404),
])  # fmt: skip
def test_other_paths_and_methods_are_rejected(url: str, method: str, path: str, status: int) -> None:
    """The error has OpenAI's format, and its message names the paths that exist."""
    response = httpx.request(method, url + path, trust_env=False)
    assert response.status_code == status
    assert "/v1/chat/completions" in error_of(response)["message"]


@pytest.mark.parametrize(("options", "key_word"), [
    ({"gateway_key": ""}, "gateway_key"),
    ({"gateway_key": "öffne"}, "ASCII"),
    ({"gateway_key": "a b"}, "spaces"),
    ({"cors": ["*"]}, "origin"),
    ({"cors": ["http://localhost:3000/"]}, "origin"),
    ({"cors": ["null"]}, "origin"),
    ({"models": {"support": "my agent"}}, 'model "support"'),
    ({"models": {"support": ""}}, "agent_id"),
])  # fmt: skip
def test_an_invalid_option_raises(options: dict[str, Any], key_word: str) -> None:
    """`create_app` raises ConfigurationError, and its traceback does not contain the key."""
    with pytest.raises(ConfigurationError, match=key_word.replace("[", r"\[")) as caught:
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
    """MILLIS_GATEWAY_KEY also protects a mounted application; a blank value means no key."""
    monkeypatch.setenv("MILLIS_GATEWAY_KEY", " open-sesame\n")
    with gateway(mock.url) as url:
        assert post(url).status_code == 401
        assert post(url, headers={"authorization": "Bearer open-sesame"}).status_code == 200
    monkeypatch.setenv("MILLIS_GATEWAY_KEY", " ")
    with gateway(mock.url) as url:
        assert post(url).status_code == 200
