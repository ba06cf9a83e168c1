"""Requests, settings, closing, logging and sharing of a client."""

from __future__ import annotations

import importlib
import logging
import re
import sys
import threading
from pathlib import Path
from ssl import CERT_REQUIRED
from typing import Any
from unittest.mock import create_autospec

import httpx
import pytest
from clients import KEY, OPERATIONS, Clients, call
from loopback import SUCCESS, Loopback, SecureLoopback, copied, http, reply

from millis_wrapper import AsyncMillis, ConfigurationError, Millis, RateLimitError, __version__

pytestmark = pytest.mark.anyio


async def test_chat_sends_one_request_with_its_arguments(clients: Clients) -> None:
    """The request contains only the agent and the messages that the caller passed."""
    with Loopback(reply("Hello", " there")) as server:
        result = await clients.client(server.url).chat.send("Hi", agent_id="-Oabc")
    assert result.text == "Hello there"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/chat/completions")
    assert request.json == {"agent": {"agent_id": "-Oabc"}, "messages": [{"role": "user", "content": "Hi"}]}


async def test_chat_sends_every_argument_unchanged(clients: Clients) -> None:
    """Overrides, nulls, metadata and the end of the session are in the documented places."""
    history = [{"role": "user", "content": "é"}, {"role": "assistant", "content": ""}]
    with Loopback(reply("Hello")) as server:
        await clients.client(server.url).chat.send(
            history,
            agent_id="-Oabc",
            agent_config={"prompt": None, "llm": {"model": "new"}},
            metadata={"name": "Ada"},
            include_metadata_in_prompt=False,
            end_of_session=True,
        )
    assert server.bodies == [
        {
            "agent": {
                "agent_id": "-Oabc",
                "agent_config": {"prompt": None, "llm": {"model": "new"}},
                "metadata": {"name": "Ada"},
                "include_metadata_in_prompt": False,
            },
            "messages": history,
            "end_of_session": True,
        }
    ]


async def test_duplicate_sends_the_id_in_the_path_and_no_body(clients: Clients) -> None:
    """The id is percent-encoded, so that it stays a single segment of the path."""
    with Loopback(copied("-Onew")) as server:
        copy = await clients.client(server.url).agents.duplicate("-O/a?b")
    assert copy.id == "-Onew"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/agents/-O%2Fa%3Fb/duplicate")
    assert request.body == b""


@OPERATIONS
async def test_every_request_has_the_expected_headers(clients: Clients, operation: str) -> None:
    """The key is sent without a prefix, and the caller's headers override the defaults."""
    with Loopback(SUCCESS[operation]) as server:
        await call(clients.client(server.url, headers={"X-Team": " blue "}), operation)
        await call(clients.client(server.url, headers={"User-Agent": "mine", "Accept": "*/*"}), operation)
    plain, own = (request.headers for request in server.requests)
    assert plain["authorization"] == KEY
    assert plain["accept"] == {"chat": "text/event-stream", "duplicate": "application/json"}[operation]
    assert plain["user-agent"] == f"millis-wrapper/{__version__}"
    assert plain["accept-encoding"] == "identity"
    assert plain["x-team"] == "blue"
    assert (own["user-agent"], own["accept"]) == ("mine", "*/*")


@pytest.mark.parametrize("name", ["Authorization", "Content-Length", "transfer-encoding"])
@pytest.mark.parametrize("kind", [Millis, AsyncMillis])
def test_headers_that_the_client_sets_are_rejected(kind: type[Millis] | type[AsyncMillis], name: str) -> None:
    """The caller cannot set headers that depend on the key or on the body."""
    with pytest.raises(ConfigurationError, match=rf"headers: .*{name.lower()}"):
        kind(KEY, headers={name: "5"})


@pytest.mark.parametrize("host", ["a" * 64 + ".com", "a..b", "xn--", "999.1.1.1"])
@pytest.mark.parametrize("kind", [Millis, AsyncMillis])
def test_an_invalid_host_is_rejected_at_once(kind: type[Millis] | type[AsyncMillis], host: str) -> None:
    """An invalid host name raises ConfigurationError when the client is created, not at the first request."""
    with pytest.raises(ConfigurationError, match=r"^base_url or MILLIS_BASE_URL: .*" + re.escape(host)):
        kind(KEY, base_url=f"https://{host}")


@OPERATIONS
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1"),  # for which httpx needs another package
        ("ALL_PROXY", "gopher://127.0.0.1:1"),
        ("HTTPS_PROXY", "http://a:b:c"),
        ("SSL_CERT_FILE", "/etc/passwd"),
        ("SSL_CERT_FILE", "/not/there.pem"),
    ],
)
async def test_an_invalid_environment_variable_is_named(
    clients: Clients, operation: str, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exceptions of httpx about proxies and certificates become a ConfigurationError."""
    # httpcore checks for SOCKS support only at its first import, which must not happen in this test.
    importlib.import_module("httpcore")
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=f"HTTP client.*{variable}"):
        await call(clients.client("https://millis.invalid"), operation)


@pytest.mark.parametrize("kind", ["copy", "raw"])
async def test_a_copy_instead_of_its_config_is_rejected(clients: Clients, kind: str) -> None:
    """The message recommends the config of the copy."""
    with Loopback(copied()) as server:
        client = clients.client(server.url)
        copy = await client.agents.duplicate("-Oabc")
        wrong: Any = copy if kind == "copy" else {**copy.raw, "config": {}}
        key_word = "pass its .config" if kind == "copy" else "response"
        with pytest.raises(ConfigurationError, match=key_word):
            await client.chat.send("Hi", agent_config=wrong)
    assert len(server.requests) == 1


@OPERATIONS
async def test_the_default_client_keeps_no_cookies(clients: Clients, operation: str) -> None:
    """One client may serve many users, and the service needs no cookies."""
    (response,) = SUCCESS[operation]
    assert isinstance(response, bytes)
    with_cookie = response.replace(b"\r\n", b"\r\nset-cookie: who=ada; path=/\r\n", 1)
    with Loopback([with_cookie], [response]) as server:
        client = clients.client(server.url)
        await call(client, operation)
        await call(client, operation)
    assert [request.headers.get("cookie") for request in server.requests] == [None, None]


@OPERATIONS
async def test_tracing_tools_see_every_request(
    clients: Clients, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tools that wrap httpx's `send` see the request, but not the key."""
    seen: list[httpx.Request] = []
    of_httpx = httpx.Client if clients.kind == "sync" else httpx.AsyncClient
    send = of_httpx.send

    def watched(http: Any, request: httpx.Request, **arguments: Any) -> Any:
        assert "authorization" not in request.headers
        seen.append(request)
        return send(http, request, **arguments)

    monkeypatch.setattr(of_httpx, "send", watched)
    with Loopback(SUCCESS[operation]) as server:
        await call(clients.client(server.url), operation)
        (arrived,) = server.requests
        assert [(one.method, str(one.url)) for one in seen] == [(arrived.method, server.url + arrived.path)]


@OPERATIONS
async def test_a_closed_client_raises_an_error(clients: Clients, operation: str) -> None:
    """The error is raised before a request is sent, with the default client and with a custom one."""
    with Loopback(SUCCESS[operation]) as server:
        for arguments in ({}, {"http_client": clients.httpx_client()}):
            millis = clients.client(server.url, **arguments)
            await call(millis, operation)
            await millis.aclose()
            await millis.aclose()
            with pytest.raises(ConfigurationError, match="the client is closed"):
                await call(millis, operation)
    assert len(server.requests) == 2


@OPERATIONS
async def test_requests_to_loopback_do_not_use_a_proxy(
    clients: Clients, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is sent unencrypted to this machine, so a proxy must not see it."""
    with Loopback(SUCCESS[operation]) as server, Loopback([http(502)]) as proxy:
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        await call(clients.client(server.url), operation)
    assert (len(server.requests), proxy.connections) == (1, 0)


@pytest.mark.parametrize(
    ("base_url", "certificates"),
    [("https://millis.invalid", True), ("https://127.0.0.1", True), ("http://[::1]", False)],
)
async def test_certificates_are_checked_and_loaded_only_for_https(
    clients: Clients, base_url: str, certificates: bool
) -> None:
    """Loading them takes longer than a local call. Without loaded certificates, no TLS server is trusted."""
    made: list[dict[str, Any]] = []

    def note(self: object, **options: Any) -> None:
        made.append(options)
        raise LookupError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx.Client if clients.kind == "sync" else httpx.AsyncClient, "__init__", note)
        with pytest.raises(LookupError):
            await call(clients.client(base_url), "duplicate")
    context = made[0]["verify"]
    assert context.verify_mode == CERT_REQUIRED
    assert (context.cert_store_stats()["x509"] > 0) is certificates


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_certificate_from_the_environment_is_trusted_on_every_host(
    clients: Clients, host: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE also applies to servers on this machine."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with SecureLoopback(certificate, copied()) as server:
        url = f"https://{host}:{server.address.rpartition(':')[2]}"
        assert (await clients.client(url).agents.duplicate("-Oabc")).id == "-Ocopy"


@OPERATIONS
async def test_every_attempt_is_logged(
    clients: Clients, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The DEBUG line has the method, path, status, attempt and duration, but no body."""
    caplog.set_level(logging.DEBUG, "millis_wrapper")
    with Loopback([http(429, "secret reason")], SUCCESS[operation]) as server:
        await call(clients.without_sleep(server.url), operation)
    records = [record for record in caplog.records if record.name == "millis_wrapper"]
    assert {record.levelno for record in records} == {logging.DEBUG}
    lines = [record.getMessage() for record in records]
    path = server.requests[0].path
    assert lines == [f"POST {path} -> 429 (attempt 1, 0.0 ms)", f"POST {path} -> 200 (attempt 2, 0.0 ms)"]


@OPERATIONS
async def test_max_elapsed_counts_from_the_first_attempt(clients: Clients, operation: str) -> None:
    """The delays before earlier attempts count, and the time before the call does not."""
    with Loopback(*[[http(429)]] * 6) as server:
        client = clients.without_sleep(server.url, max_elapsed=1.2)
        for _ in range(3):
            with pytest.raises(RateLimitError):
                await call(client, operation)
    assert client.slept == [0.5, 0.5, 0.5]


def test_the_repr_of_a_client_masks_the_key() -> None:
    """The repr shows the URL and the last four characters of the key."""
    assert repr(Millis(KEY, region="eu")) == "Millis('https://api-eu-west.millis.ai', api_key='****ts99')"
    assert repr(AsyncMillis(KEY)) == "AsyncMillis('https://api-west.millis.ai', api_key='****ts99')"


def test_threads_may_share_a_client() -> None:
    """Concurrent calls do not wait for each other, and every call gets its own response."""
    together = threading.Barrier(8)
    texts: list[str] = []
    with (
        Loopback([lambda peer: together.wait(5), *reply("Hello")]) as server,
        Millis(KEY, base_url=server.url) as millis,
    ):

        def talk(number: int) -> None:
            texts.append(millis.chat.send(f"{number}", agent_id="-Oabc").text)

        threads = [threading.Thread(target=talk, args=[number]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert texts == ["Hello"] * 8
    assert {body["messages"][0]["content"] for body in server.bodies} == set("01234567")


async def test_a_client_that_is_closed_during_a_call_raises_our_error(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread closes the client between the check and the request, which is not sent."""
    http_client = clients.httpx_client()
    send = http_client.send

    def close_and_send(*arguments: Any, **options: Any) -> Any:
        http_client.close()
        return send(*arguments, **options)

    async def aclose_and_send(*arguments: Any, **options: Any) -> Any:
        await http_client.aclose()
        return await send(*arguments, **options)

    monkeypatch.setattr(http_client, "send", close_and_send if clients.kind == "sync" else aclose_and_send)
    with (
        Loopback(reply("Hello")) as server,
        pytest.raises(ConfigurationError, match="the client is closed") as caught,
    ):
        await call(clients.client(server.url, http_client=http_client), "duplicate")
    assert server.requests == []
    assert caught.value.__context__ is None


@pytest.mark.parametrize("kind", [Millis, AsyncMillis])
def test_an_autospec_of_the_class_has_chat_and_agents(kind: Any) -> None:
    """`chat` and `agents` are properties of the class, so `create_autospec` finds them."""
    client = create_autospec(kind).return_value
    assert client.chat is not None
    assert client.agents is not None
