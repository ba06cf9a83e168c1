"""Proxies: what they do wrong is one of our errors, which names the proxy and no password."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from clients import KEY, ON_HTTPX, OPERATIONS, Clients, call
from leaks import places
from loopback import Loopback, Peer, Step, http, until_left

from millis_wrapper import APIConnectionError, APITimeoutError, ConfigurationError, Timeout

pytestmark = pytest.mark.anyio

PASSWORD = "DelicateBear8"


def use(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """Have the environment name a proxy for everything."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, proxy)


class Socks(Loopback):
    """A server that does not wait for HTTP: the first step is taken as soon as a client is there."""

    def _serve(self, peer: Peer) -> None:
        try:
            for step in self.answers[0]:
                if isinstance(step, bytes):
                    peer.send(step)
                else:
                    step(peer)
        except OSError:
            pass
        finally:
            peer.close()


def swallow(peer: Peer) -> None:
    """Read one message of the handshake."""
    peer._socket.recv(4096)  # pyright: ignore[reportPrivateUsage]


@ON_HTTPX
@OPERATIONS
@pytest.mark.parametrize(
    ("step", "connect", "error"),
    [
        (until_left, 0.2, APITimeoutError),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", 2, APIConnectionError),
        (b"\x05", 2, APIConnectionError),
        (b"\x04\x00", 2, APIConnectionError),
        (b"\x05\xff", 2, APIConnectionError),
        (b"\x00" * 64, 2, APIConnectionError),
    ],
)
async def test_a_proxy_that_is_silent_or_does_not_speak_socks_is_one_of_our_errors(
    clients: Clients,
    operation: str,
    step: Step,
    connect: float,
    error: type[APIConnectionError],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """socksio's exceptions do not come through, and httpcore itself would wait for ever; nothing was sent."""
    with Socks([swallow, step]) as proxy:
        use(monkeypatch, f"socks5://{proxy.address}")
        client = clients.client("https://millis.invalid", max_retries=0, timeout=Timeout(connect=connect))
        with pytest.raises(error) as caught:
            await call(client, operation)
        assert proxy.address in str(caught.value)
    assert not caught.value.maybe_processed


@OPERATIONS
async def test_an_unanswered_connect_is_not_a_request_that_was_sent(
    clients: Clients, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request itself never left, so the call may be tried again without a risk."""
    with Loopback([until_left]) as proxy:
        use(monkeypatch, proxy.url)
        client = clients.client(
            "https://millis.invalid", max_retries=0, timeout=Timeout(first_byte=0.2, connect=0.2)
        )
        with pytest.raises(APIConnectionError, match="nothing was sent") as caught:
            await call(client, operation)
        assert f"through the proxy {proxy.address}" in str(caught.value)
    assert not caught.value.maybe_processed
    assert proxy.requests[0].method == "CONNECT"
    assert KEY.encode() not in proxy.requests[0].body
    assert "authorization" not in proxy.requests[0].headers


@OPERATIONS
async def test_a_refused_proxy_password_is_not_tried_again_and_not_shown(
    clients: Clients, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trying it again locks accounts; the message names the proxy's host only."""
    with Loopback([http(407, "Proxy Authentication Required")]) as proxy:
        use(monkeypatch, f"http://ada:{PASSWORD}@{proxy.address}")
        with pytest.raises(APIConnectionError) as caught:
            await call(clients.client("https://millis.invalid"), operation)
        assert proxy.address in str(caught.value)
    assert places(caught.value, PASSWORD) == []
    assert len(proxy.requests) == 1


@pytest.mark.parametrize("operation", ["chat", "duplicate"])
async def test_a_bad_certificate_is_not_retried(clients: Clients, operation: str, certificate: Path) -> None:
    """It is as bad the second time, nothing was sent, and the message says what to set."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def hello(peer: Peer) -> None:
        connection = peer._socket  # pyright: ignore[reportPrivateUsage]
        with pytest.raises((ssl.SSLError, OSError)):
            context.wrap_socket(connection.dup(), server_side=True)

    with Socks([hello]) as server:
        with pytest.raises(APIConnectionError, match="CERTIFICATE_VERIFY_FAILED") as caught:
            await call(clients.client(f"https://{server.address}"), operation)
        assert server.connections == 1
    assert not caught.value.maybe_processed
    assert "SSL_CERT_FILE" in str(caught.value)


@pytest.mark.parametrize(
    "proxy", [f"http://ada:{PASSWORD}#1@127.0.0.1:1", f"http://ada:{PASSWORD}@[::1", f"nonsense://{PASSWORD}"]
)
async def test_a_proxy_that_cannot_be_read_is_named_and_not_quoted(
    clients: Clients, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unescaped # turns a password into a port; httpx's words would quote it."""
    use(monkeypatch, proxy)
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as caught:
        await call(clients.client("https://millis.invalid"), "duplicate")
    assert places(caught.value, PASSWORD) == []


async def test_no_proxy_may_hold_an_ipv6_range(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    """httpx itself cannot parse it; the client uses the proxy for every other host."""
    with Loopback([http(502, "Bad Gateway")]) as proxy:
        use(monkeypatch, proxy.url)
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
        use(monkeypatch, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, exceptions)
        with pytest.raises(APIConnectionError) as caught:
            await call(clients.client("https://millis.invalid:443", max_retries=0), "duplicate")
        assert proxy.address not in str(caught.value)
    assert proxy.connections == 0
