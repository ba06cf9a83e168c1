"""The httpx clients that the library creates: their proxy, certificates and limits."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from http.cookiejar import CookieJar
from typing import TypedDict, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from ._text import short_repr, shorten
from .errors import ConfigurationError
from .options import HOSTS, Options


class _NoCookies(CookieJar):
    """A cookie jar that stays empty; the library does not use cookies, and extracting them takes time."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Ignore the cookies of a response."""


class ClientArguments(TypedDict):
    """The arguments of an httpx client that the library creates, except its proxy."""

    cookies: CookieJar
    limits: httpx.Limits
    trust_env: bool
    verify: ssl.SSLContext


_ENVIRONMENT = "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE, SSL_CERT_DIR"


_Client = TypeVar("_Client", httpx.Client, httpx.AsyncClient)


def own_client(create: Callable[[], _Client]) -> _Client:
    """Return the httpx client that `create` makes from the environment.

    Raises:
        ConfigurationError: A proxy or certificate variable is invalid. The message does not contain the one
            of httpx, which may quote the URL of a proxy and its password.
    """
    try:
        return create()
    except (ImportError, ConfigurationError) as error:
        reason = shorten(str(error), 200)
    except (ValueError, OSError, httpx.InvalidURL) as error:
        reason = type(error).__name__
    raise ConfigurationError(
        f"cannot create an HTTP client in this environment ({reason}); check its proxy and certificate"
        f" variables ({_ENVIRONMENT}), or pass http_client="
    )


def client_arguments(options: Options) -> ClientArguments:
    """Return the arguments of an httpx client that the library creates, except its proxy."""
    return {
        "cookies": _NoCookies(),
        # With httpx's default of 100 connections, the pool timeout could pass when the client is busy.
        "limits": httpx.Limits(max_connections=1000, max_keepalive_connections=100),
        # `environment_proxy` chooses the proxy, for both engines.
        "trust_env": False,
        # Loading certificates takes longer than a call to this machine. Without them, no server is trusted.
        "verify": httpx.create_ssl_context()
        if options.base_url.startswith("https:")
        else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    }


def environment_proxy(options: Options) -> httpx.Proxy | None:
    """Return the proxy for the service from the environment, or None.

    No proxy is used for a loopback host, because the key is sent there unencrypted.
    """
    url = urlsplit(options.base_url)
    if options.on_loopback or proxy_bypass(url.netloc):
        return None
    proxies = getproxies()
    address = proxies.get(url.scheme) or proxies.get("all")
    if not address:
        return None
    return httpx.Proxy(address if "://" in address else f"http://{address}")


def ensure_valid_host(base_url: str) -> None:
    """Raise ConfigurationError for a host that httpx or the resolver does not accept."""
    try:
        httpx.URL(base_url).host.encode("idna")
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ConfigurationError(
            f"base_url or MILLIS_BASE_URL: must be like {HOSTS['us']}, got {short_repr(base_url, 100)}"
            f" ({shorten(str(error), 100)})"
        ) from None
