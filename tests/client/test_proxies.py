"""Failures of proxies raise our own errors, which name the proxy but not its password."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from clients import KEY, OPERATIONS, Clients, call, use_proxy
from leaks import places
from loopback import Loopback, Peer, Unprompted, http, until_disconnect

from millis_wrapper import APIConnectionError, APITimeoutError, ConfigurationError, Timeout

pytestmark = pytest.mark.anyio

PASSWORD = "DelicateBear8"


@OPERATIONS
async def test_a_request_is_not_sent_if_the_proxy_does_not_respond_to_connect(
    clients: Clients, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request never left the client, so the caller can retry it safely."""
    with Loopback([until_disconnect]) as proxy:
        use_proxy(monkeypatch, proxy.url)
        client = clients.client("https://millis.invalid", max_retries=0, timeout=Timeout(connect=0.2))
        with pytest.raises(APITimeoutError, match=r"connect.*nothing was sent") as caught:
            await call(client, operation)
        assert f"through the proxy {proxy.address}" in str(caught.value)
    assert not caught.value.maybe_processed
    assert proxy.requests[0].method == "CONNECT"
    assert KEY.encode() not in proxy.requests[0].body
    assert "authorization" not in proxy.requests[0].headers


@OPERATIONS
async def test_a_refused_proxy_password_is_not_retried_and_stays_secret(
    clients: Clients, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retries could lock the account. The message names only the host of the proxy."""
    with Loopback([http(407, "Proxy Authentication Required")]) as proxy:
        use_proxy(monkeypatch, f"http://ada:{PASSWORD}@{proxy.address}")
        with pytest.raises(APIConnectionError) as caught:
            await call(clients.client("https://millis.invalid"), operation)
        assert proxy.address in str(caught.value)
    assert places(caught.value, PASSWORD) == []
    assert len(proxy.requests) == 1


@pytest.mark.parametrize("operation", ["chat", "duplicate"])
async def test_a_bad_certificate_is_not_retried(clients: Clients, operation: str, certificate: Path) -> None:
    """A retry would fail the same way. The message names SSL_CERT_FILE."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def hello(peer: Peer) -> None:
        connection = peer._socket  # pyright: ignore[reportPrivateUsage]
        with pytest.raises((ssl.SSLError, OSError)):
            context.wrap_socket(connection.dup(), server_side=True)

    with Unprompted([hello]) as server:
        with pytest.raises(APIConnectionError, match="CERTIFICATE_VERIFY_FAILED") as caught:
            await call(clients.client(f"https://{server.address}"), operation)
        assert server.connections == 1
    assert not caught.value.maybe_processed
    assert "SSL_CERT_FILE" in str(caught.value)


@pytest.mark.parametrize(
    "proxy", [f"http://ada:{PASSWORD}#1@127.0.0.1:1", f"http://ada:{PASSWORD}@[::1", f"nonsense://{PASSWORD}"]
)
async def test_an_invalid_proxy_url_is_not_quoted(
    clients: Clients, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the variable. An unescaped # makes httpx quote the password as a port."""
    use_proxy(monkeypatch, proxy)
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as caught:
        await call(clients.client("https://millis.invalid"), "duplicate")
    assert places(caught.value, PASSWORD) == []


async def test_no_proxy_may_contain_an_ipv6_range(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    """httpx cannot parse the range; the client uses the proxy for every other host."""
    with Loopback([http(502, "Bad Gateway")]) as proxy:
        use_proxy(monkeypatch, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "fd00::/8,[::1]:80:90")
        with pytest.raises(APIConnectionError, match=proxy.address):
            await call(clients.client("https://millis.invalid", max_retries=0), "duplicate")
    assert proxy.requests[0].method == "CONNECT"


@pytest.mark.parametrize("exceptions", ["*", "millis.invalid", ".invalid", "other.test, millis.invalid:443"])
async def test_no_proxy_is_respected(
    clients: Clients, exceptions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host, a domain, a port or everything can be excluded."""
    with Loopback([http(502, "Bad Gateway")]) as proxy:
        use_proxy(monkeypatch, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, exceptions)
        with pytest.raises(APIConnectionError) as caught:
            await call(clients.client("https://millis.invalid:443", max_retries=0), "duplicate")
        assert proxy.address not in str(caught.value)
    assert proxy.connections == 0
