"""Clients on a custom httpx client."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from clients import KEY, OPERATIONS, Clients, call
from loopback import SUCCESS, Loopback, copied

from millis_wrapper import AsyncMillis, ConfigurationError, Millis

pytestmark = pytest.mark.anyio


@OPERATIONS
async def test_only_the_headers_of_a_custom_client_are_used(clients: Clients, operation: str) -> None:
    """Its auth, base URL, redirects and timeouts do not apply, and the client does not change."""
    theirs = clients.httpx_client(
        auth=("someone", "else"),
        base_url="http://192.0.2.1/",
        follow_redirects=True,
        timeout=0.000001,
        headers={"x-theirs": "1", "accept": "text/html", "authorization": "old"},
    )
    with Loopback(SUCCESS[operation]) as server:
        await call(clients.client(server.url, http_client=theirs), operation)
    (request,) = server.requests
    assert request.headers["authorization"] == KEY
    assert request.headers["x-theirs"] == "1"
    assert request.headers["accept"] != "text/html"
    assert theirs.headers["authorization"] == "old"


async def test_closing_millis_does_not_close_a_custom_client(clients: Clients) -> None:
    """The custom client and its connection stay open."""
    theirs = clients.httpx_client()
    with Loopback(copied()) as server:
        for _ in range(2):
            millis = clients.client(server.url, http_client=theirs)
            await millis.agents.duplicate("-Oabc")
            await millis.aclose()
        assert not theirs.is_closed
    assert (server.connections, len(server.requests)) == (1, 2)


@OPERATIONS
async def test_httpx_mock_transport_works(clients: Clients, operation: str) -> None:
    """A user's tests can use `httpx.MockTransport`."""

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"data: Hello\n\n" if operation == "chat" else b'{"id": "-Onew"}')

    theirs = clients.httpx_client(transport=httpx.MockTransport(respond))
    assert await call(clients.client("https://millis.invalid", http_client=theirs), operation)


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: Millis(KEY, http_client=httpx.AsyncClient()), "httpx.Client, .*AsyncClient"),  # type: ignore[arg-type] # the mistake under test
        (lambda: AsyncMillis(KEY, http_client=httpx.Client()), 'httpx.AsyncClient or "aiohttp", .*Client'),  # type: ignore[arg-type] # the mistake under test
    ],
)
def test_an_http_client_of_the_wrong_kind_is_rejected(make: Callable[[], object], wanted: str) -> None:
    """The sync client needs an httpx.Client, and the async client an httpx.AsyncClient."""
    with pytest.raises(ConfigurationError, match=f"http_client: must be an {wanted}"):
        make()


async def test_a_closed_custom_client_raises_our_error(clients: Clients) -> None:
    """The error is a ConfigurationError instead of httpx's RuntimeError."""
    theirs = clients.httpx_client()
    if isinstance(theirs, httpx.AsyncClient):
        await theirs.aclose()
    else:
        theirs.close()
    with pytest.raises(ConfigurationError, match="the client is closed"):
        await call(clients.client("http://127.0.0.1:1", http_client=theirs), "duplicate")
