"""The key, the host, the headers and the time-outs of a client, checked before anything is sent."""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

import attrs

from ._text import shorten
from .errors import ConfigurationError

Region = Literal["us", "eu"]

# Both from the service's published schema.
HOSTS: dict[str, str] = {"us": "https://api-west.millis.ai", "eu": "https://api-eu-west.millis.ai"}

_NOT_IN_A_HEADER = re.compile(r"[^\t\x20-\x7e]")
# The characters of RFC 3986, without those that begin a query or a fragment; and no longer than servers take.
_BASE_URL = re.compile(r"[\w.~:/\[\]@!$&'()*+,;=%-]{1,1000}", re.ASCII)


class Secret:
    """The key, kept where no repr, no log and no traceback shows it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        # Four letters tell two keys apart; of a short key they would tell too much.
        return f"'****{self._value[-4:]}'" if len(self._value) >= 16 else "'****'"

    def reveal(self) -> str:
        """Return the key itself; called only where the request's header is set."""
        return self._value

    def redact(self, data: bytes) -> bytes:
        """Return `data` without the key, for what a service or a proxy sends back into an error.

        A key as short as "test" is no secret, and part of many words.
        """
        return data.replace(self._value.encode(), b"****") if len(self._value) >= 8 else data


@attrs.frozen
class Settings:
    """Where requests go, with which key and headers; `strict`: whether unknown config keys are errors."""

    base_url: str
    key: Secret
    headers: dict[str, str] = attrs.field(repr=False)
    strict: bool

    @property
    def on_loopback(self) -> bool:
        """Whether the host is this machine itself."""
        return _is_loopback(urlsplit(self.base_url).hostname or "")


def read_settings(
    api_key: str | None,
    *,
    region: Region | None,
    base_url: str | None,
    allow_http: bool,
    headers: Mapping[str, str] | None,
    strict: bool,
) -> Settings:
    """Return the settings that the arguments and the environment give.

    Raises ConfigurationError, naming the argument and what to do.
    """
    return Settings(_host(region, base_url, allow_http), _key(api_key), _headers(headers), strict)


def _key(api_key: str | None) -> Secret:
    source = "api_key"
    if api_key is None:
        api_key, source = os.environ.get("MILLIS_API_KEY"), "MILLIS_API_KEY"
        if api_key is None:
            raise ConfigurationError("no key: pass api_key= or set MILLIS_API_KEY to your private key")
    if not isinstance(api_key, str):
        raise ConfigurationError(f"{source}: must be a str, not {type(api_key).__name__}")
    api_key = api_key.strip()
    if not api_key:
        raise ConfigurationError(f"{source} is empty: set it to your private key")
    if _NOT_IN_A_HEADER.search(api_key) or "\t" in api_key:
        # The key itself is not shown: a mistyped key is mostly a key.
        raise ConfigurationError(
            f"{source} holds a control or non-ASCII character: copy the private key anew"
        )
    return Secret(api_key)


def _host(region: Region | None, base_url: str | None, allow_http: bool) -> str:
    if region is not None:
        if base_url is not None:
            raise ConfigurationError("region and base_url both name the host: pass one of them")
        if not isinstance(region, str) or region not in HOSTS:
            raise ConfigurationError(f'region: must be "us" or "eu", not {region!r}')
        return HOSTS[region]
    source = "base_url"
    if base_url is None:
        base_url, source = os.environ.get("MILLIS_BASE_URL"), "MILLIS_BASE_URL"
        if base_url is None:
            return HOSTS["us"]
    return _checked_url(base_url, source, allow_http)


def _checked_url(url: str, source: str, allow_http: bool) -> str:
    example = f"{source}: must be like {HOSTS['us']}"
    if not isinstance(url, str):
        raise ConfigurationError(f"{example}, not {type(url).__name__}")
    url = url.strip()
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"{example} ({error})") from None
    if parts.username is not None:
        # Not shown: it may well be a secret.
        raise ConfigurationError(f"{source}: must hold no user or password; the key goes in api_key")
    if parts.scheme not in ("http", "https") or not host or not _BASE_URL.fullmatch(url):
        raise ConfigurationError(f"{example}, not {shorten(repr(url), 100)}")
    if parts.scheme == "http" and not (allow_http or _is_loopback(host)):
        raise ConfigurationError(
            f"{source}: {url!r} would send the key in the clear: use https, or allow_http=True if you mean it"
        )
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    checked: dict[str, str] = {}
    if headers is not None and not isinstance(headers, Mapping):
        raise ConfigurationError(f"headers: must be a dict of str, not {type(headers).__name__}")
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise ConfigurationError(f"headers: {name!r} is no header name")
        if name.lower() == "authorization":
            raise ConfigurationError("headers: authorization is set from api_key; pass the key there")
        if name.lower() in ("content-length", "transfer-encoding"):
            raise ConfigurationError(f"headers: {name.lower()} follows from what is sent; leave it out")
        if not isinstance(value, str) or _NOT_IN_A_HEADER.search(value):
            raise ConfigurationError(f"headers: the value of {name!r} must be printable ASCII text")
        # Space around a value is no part of it (RFC 9110, 5.5), and h11 refuses it.
        checked[name] = value.strip()
    return checked


# What every platform can wait for: sockets refuse more than 2**31 milliseconds with an OverflowError.
_LONGEST = 1_000_000


@attrs.frozen(kw_only=True)
class Timeout:
    """The limits of one request, each in seconds; `math.inf` lifts one, and nothing else does.

    Args:
        connect: until there is a connection.
        pool: until one of the client's connections is free.
        write: for sending a piece of the request.
        first_byte: until the answer's status line.
        idle: between two pieces of the answer's body, the wait for the first included.
        total: for reading the whole answer, from its status line on, your own time between its pieces
            included.

    Raises ConfigurationError for a limit that is no number above 0.

    Example:
        >>> Timeout(first_byte=120).idle
        60.0
    """

    connect: float = 5.0
    pool: float = 10.0
    write: float = 30.0
    first_byte: float = 60.0
    idle: float = 60.0
    total: float = 600.0

    def __attrs_post_init__(self) -> None:
        for name, value in attrs.asdict(self).items():
            if not _is_limit(value):
                raise ConfigurationError(
                    f"timeout: {name} must be a number of seconds above 0 and up to {_LONGEST}, or math.inf,"
                    f" not {shorten(repr(value), 40)}"
                )


def as_timeout(value: float | Timeout | None, default: Timeout) -> Timeout:
    """Return `value` as a Timeout: a number of seconds limits every wait but `total`; None means `default`,
    never "for ever".

    Raises ConfigurationError for anything else, and for numbers that are not above 0.
    """
    if value is None:
        return default
    if isinstance(value, Timeout):
        return value
    if not _is_limit(value):
        raise ConfigurationError(
            f"timeout: must be a number of seconds above 0 and up to {_LONGEST}, or a Timeout,"
            f" not {shorten(repr(value), 40)}"
        )
    return attrs.evolve(default, connect=value, pool=value, write=value, first_byte=value, idle=value)


def seconds_or_none(value: float) -> float | None:
    """Return a limit in httpx's terms, where None is what `math.inf` is here."""
    return None if value == math.inf else value


def _is_limit(value: object) -> bool:
    # bool is an int, and True seconds is surely a slip.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value <= _LONGEST or value == math.inf
