"""What goes out, through which httpx client, and what is left when the client is closed."""

from __future__ import annotations

import importlib
import logging
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from ssl import CERT_REQUIRED
from typing import Any

import httpx
import pytest
from clients import KEY, OPERATIONS, Clients, call
from loopback import FINE, Loopback, SecureLoopback, copied, http, reply

from millis_wrapper import AsyncMillis, ConfigurationError, Millis, __version__

pytestmark = pytest.mark.anyio


async def test_chat_sends_exactly_what_was_said(clients: Clients) -> None:
    """A chat is one POST of the agent, the messages, and nothing that the caller did not write."""
    with Loopback(reply("Hello", " there")) as server:
        answer = await clients.client(server.url).chat.send("Hi", agent_id="-Oabc")
    assert answer.text == "Hello there"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/chat/completions")
    assert request.json == {"agent": {"agent_id": "-Oabc"}, "messages": [{"role": "user", "content": "Hi"}]}


async def test_chat_sends_each_argument_in_its_place(clients: Clients) -> None:
    """Overrides, nulls, metadata and the end of the session go out as they were written."""
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
    """A duplicate is one POST to the agent's address; whatever the id holds stays one part of the path."""
    with Loopback(copied("-Onew")) as server:
        copy = await clients.client(server.url).agents.duplicate("-O/a?b")
    assert copy.id == "-Onew"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/agents/-O%2Fa%3Fb/duplicate")
    assert request.body == b""


@OPERATIONS
async def test_headers_say_what_is_sent_and_what_is_wanted(clients: Clients, operation: str) -> None:
    """The key goes raw, an event stream is asked for where one comes, and the caller's headers are on top."""
    with Loopback(FINE[operation]) as server:
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
def test_headers_that_are_not_the_callers_are_refused(
    kind: type[Millis] | type[AsyncMillis], name: str
) -> None:
    """A header that follows from the key or from the body cannot be set beside them."""
    with pytest.raises(ConfigurationError, match=rf"headers: .*{name.lower()}"):
        kind(KEY, headers={name: "5"})


@pytest.mark.parametrize("host", ["a" * 64 + ".com", "a..b", "xn--", "999.1.1.1"])
@pytest.mark.parametrize("kind", [Millis, AsyncMillis])
def test_a_host_that_cannot_exist_is_refused_at_once(
    kind: type[Millis] | type[AsyncMillis], host: str
) -> None:
    """A name that no resolver or URL takes is a ConfigurationError, not whatever the socket makes of it."""
    with pytest.raises(ConfigurationError, match=r"^base_url or MILLIS_BASE_URL: .*" + re.escape(host)):
        kind(KEY, base_url=f"https://{host}")


@OPERATIONS
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1"),  # for which httpx wants a package more
        ("ALL_PROXY", "gopher://127.0.0.1:1"),
        ("HTTPS_PROXY", "http://a:b:c"),
        ("SSL_CERT_FILE", "/etc/passwd"),
        ("SSL_CERT_FILE", "/not/there.pem"),
    ],
)
async def test_an_environment_that_allows_no_client_is_named(
    clients: Clients, operation: str, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What httpx raises for the environment's proxies and certificates is an error of ours, too."""
    # At its first import httpcore finds out, for good, whether there is SOCKS: that may not be in here.
    importlib.import_module("httpcore")
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=f"cannot create an HTTP client.*{variable}"):
        await call(clients.client("https://millis.invalid"), operation)


@pytest.mark.parametrize("kind", ["copy", "raw"])
async def test_a_whole_copy_in_place_of_its_config_is_refused_in_words(clients: Clients, kind: str) -> None:
    """Neither the answer of duplicate nor its data is a config; the message says what to pass."""
    with Loopback(copied()) as server:
        client = clients.client(server.url)
        copy = await client.agents.duplicate("-Oabc")
        wrong: Any = copy if kind == "copy" else {**copy.raw, "config": {}}
        words = "pass its .config" if kind == "copy" else "whole response of duplicate"
        with pytest.raises(ConfigurationError, match=words):
            await client.chat.send("Hi", agent_config=wrong)
    assert len(server.requests) == 1


@OPERATIONS
async def test_an_http_client_of_the_callers_keeps_its_own_and_lends_nothing(
    clients: Clients, operation: str
) -> None:
    """Of a client that was handed in, the headers go along; its auth, base URL, and limits do not."""
    theirs = clients.httpx_client(
        auth=("someone", "else"),
        base_url="http://192.0.2.1/",
        follow_redirects=True,
        timeout=0.000001,
        headers={"x-theirs": "1", "accept": "text/html", "authorization": "old"},
    )
    with Loopback(FINE[operation]) as server:
        await call(clients.client(server.url, http_client=theirs), operation)
    (request,) = server.requests
    assert request.headers["authorization"] == KEY
    assert request.headers["x-theirs"] == "1"
    assert request.headers["accept"] != "text/html"
    assert theirs.headers["authorization"] == "old"


@OPERATIONS
async def test_our_own_http_client_keeps_no_cookies(clients: Clients, operation: str) -> None:
    """A client may speak for many people, and the service keeps nothing between calls."""
    (answer,) = FINE[operation]
    assert isinstance(answer, bytes)
    with_cookie = answer.replace(b"\r\n", b"\r\nset-cookie: who=ada; path=/\r\n", 1)
    with Loopback([with_cookie], [answer]) as server:
        client = clients.client(server.url)
        await call(client, operation)
        await call(client, operation)
    assert [request.headers.get("cookie") for request in server.requests] == [None, None]


@OPERATIONS
async def test_tools_that_watch_httpx_see_our_own_client(
    clients: Clients, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tracing tools wrap httpx's `send`: each request goes through it, without the key."""
    seen: list[httpx.Request] = []
    of_httpx = httpx.Client if clients.kind == "sync" else httpx.AsyncClient
    send = of_httpx.send

    def watched(http: Any, request: httpx.Request, **arguments: Any) -> Any:
        assert "authorization" not in request.headers
        seen.append(request)
        return send(http, request, **arguments)

    monkeypatch.setattr(of_httpx, "send", watched)
    with Loopback(FINE[operation]) as server:
        await call(clients.client(server.url), operation)
        (arrived,) = server.requests
        assert [(one.method, str(one.url)) for one in seen] == [(arrived.method, server.url + arrived.path)]


async def test_an_http_client_of_the_callers_is_not_closed(clients: Clients) -> None:
    """Closing Millis leaves the caller's httpx client, and its connection, open."""
    theirs = clients.httpx_client()
    with Loopback(copied()) as server:
        for _ in range(2):
            millis = clients.client(server.url, http_client=theirs)
            await millis.agents.duplicate("-Oabc")
            await millis.aclose()
        assert not theirs.is_closed
    assert (server.connections, len(server.requests)) == (1, 2)


@OPERATIONS
async def test_a_transport_for_tests_works_as_it_is(clients: Clients, operation: str) -> None:
    """An httpx.MockTransport is all that a user's test needs."""

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"data: Hello\n\n" if operation == "chat" else b'{"id": "-Onew"}')

    theirs = clients.httpx_client(transport=httpx.MockTransport(respond))
    assert await call(clients.client("https://millis.invalid", http_client=theirs), operation)


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: Millis(KEY, http_client=httpx.AsyncClient()), "httpx.Client, not AsyncClient"),  # type: ignore[arg-type] # the slip that is tested
        (lambda: AsyncMillis(KEY, http_client=httpx.Client()), 'httpx.AsyncClient or "aiohttp", not Client'),  # type: ignore[arg-type] # the slip that is tested
    ],
)
def test_an_http_client_of_the_wrong_kind_is_refused(make: Callable[[], object], wanted: str) -> None:
    """The sync client takes no async httpx client, nor the other way round."""
    with pytest.raises(ConfigurationError, match=f"http_client: must be an {wanted}"):
        make()


@OPERATIONS
async def test_a_closed_client_says_so(clients: Clients, operation: str) -> None:
    """After closing, a call is refused before anything is sent, whosever the httpx client is."""
    with Loopback(FINE[operation]) as server:
        for arguments in ({}, {"http_client": clients.httpx_client()}):
            millis = clients.client(server.url, **arguments)
            await call(millis, operation)
            await millis.aclose()
            await millis.aclose()
            with pytest.raises(ConfigurationError, match="the client is closed"):
                await call(millis, operation)
    assert len(server.requests) == 2


async def test_a_closed_http_client_of_the_callers_says_so(clients: Clients) -> None:
    """A client that its owner closed is a ConfigurationError, not httpx's RuntimeError."""
    theirs = clients.httpx_client()
    if isinstance(theirs, httpx.AsyncClient):
        await theirs.aclose()
    else:
        theirs.close()
    with pytest.raises(ConfigurationError, match="the client is closed"):
        await call(clients.client("http://127.0.0.1:1", http_client=theirs), "duplicate")


@OPERATIONS
async def test_no_proxy_of_the_environment_sees_what_goes_to_loopback(
    clients: Clients, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key goes to this machine in the clear, so it passes through no proxy on its way."""
    with Loopback(FINE[operation]) as server, Loopback([http(502)]) as proxy:
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
    """Loading them takes longer than a call to this machine; without any, no TLS is trusted."""
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
    """SSL_CERT_FILE counts for a server on this machine, too."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with SecureLoopback(certificate, copied()) as server:
        url = f"https://{host}:{server.address.rpartition(':')[2]}"
        assert (await clients.client(url).agents.duplicate("-Oabc")).id == "-Ocopy"


@OPERATIONS
async def test_the_log_has_one_line_for_each_attempt(
    clients: Clients, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG, method, path, outcome, attempt and milliseconds; no body."""
    caplog.set_level(logging.DEBUG, "millis_wrapper")
    with Loopback([http(429, "secret reason")], FINE[operation]) as server:
        await call(clients.patient(server.url), operation)
    records = [record for record in caplog.records if record.name == "millis_wrapper"]
    assert {record.levelno for record in records} == {logging.DEBUG}
    lines = [record.getMessage() for record in records]
    path = server.requests[0].path
    assert lines == [f"POST {path} -> 429 (attempt 1, 0.0 ms)", f"POST {path} -> 200 (attempt 2, 0.0 ms)"]


def test_repr_shows_the_host_and_no_key() -> None:
    """Which service a client talks to can be seen, and whose key it is only by its last four letters."""
    assert repr(Millis(KEY, region="eu")) == "Millis('https://api-eu-west.millis.ai', api_key='****ts99')"
    assert repr(AsyncMillis(KEY)) == "AsyncMillis('https://api-west.millis.ai', api_key='****ts99')"


def test_threads_may_share_a_client() -> None:
    """Calls from many threads at once do not wait for each other, nor mix their answers."""
    together = threading.Barrier(8)
    answers: list[str] = []
    with (
        Loopback([lambda peer: together.wait(5), *reply("Hello")]) as server,
        Millis(KEY, base_url=server.url) as millis,
    ):

        def talk(number: int) -> None:
            answers.append(millis.chat.send(f"{number}", agent_id="-Oabc").text)

        threads = [threading.Thread(target=talk, args=[number]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == ["Hello"] * 8
    assert {body["messages"][0]["content"] for body in server.bodies} == set("01234567")
