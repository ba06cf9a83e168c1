"""The httpx clients that the library creates: certificates, proxies and limits from the environment."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from http.cookiejar import CookieJar
from typing import TypedDict, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from ._text import shorten
from .errors import ConfigurationError
from .options import HOSTS, Options


class _NoCookies(CookieJar):
    """A cookie jar that stays empty: nothing here uses cookies, and looking for them takes time."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Ignore the cookies of a response."""


class ClientArguments(TypedDict):
    """The arguments of an httpx client that the library makes, except its proxy."""

    cookies: CookieJar
    limits: httpx.Limits
    trust_env: bool
    verify: ssl.SSLContext


_ENVIRONMENT = "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE, SSL_CERT_DIR"


_Client = TypeVar("_Client", httpx.Client, httpx.AsyncClient)


def own_client(create: Callable[[], _Client]) -> _Client:
    """Return the httpx client that `create` makes from the environment.

    Raises:
        ConfigurationError: The environment's proxy or certificates cannot be used. httpx's own message is not
            shown: it may quote the address of a proxy, and with it a password.
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
    """Return the arguments of an httpx client that the library makes, except its proxy."""
    return {
        "cookies": _NoCookies(),
        # httpx's own limit of 100 connections would let the pool timeout strike at a busy moment.
        "limits": httpx.Limits(max_connections=1000, max_keepalive_connections=100),
        # The proxy is chosen below, the same for each engine.
        "trust_env": False,
        # Loading the certificates takes longer than a call to this machine. Without any, no TLS is trusted.
        "verify": httpx.create_ssl_context()
        if options.base_url.startswith("https:")
        else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    }


def environment_proxy(options: Options) -> httpx.Proxy | None:
    """Return the proxy that the environment names for the service, if any.

    A loopback host is never reached through a proxy, because the key goes there unencrypted.
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
    """Raise ConfigurationError for a host that httpx or the resolver could not use."""
    try:
        httpx.URL(base_url).host.encode("idna")
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ConfigurationError(
            f"base_url or MILLIS_BASE_URL: must be like {HOSTS['us']}, not {shorten(repr(base_url), 100)}"
            f" ({shorten(str(error), 100)})"
        ) from None
