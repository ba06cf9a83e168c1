"""The settings of a client: host, headers, switches and timeouts, checked before anything is sent."""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

import attrs

from ._json import is_mapping, is_number
from ._key import Secret
from ._text import short_repr
from .errors import ConfigurationError

Region = Literal["us", "eu"]

# From the service's published schema.
HOSTS: dict[str, str] = {"us": "https://api-west.millis.ai", "eu": "https://api-eu-west.millis.ai"}

_NOT_IN_A_HEADER = re.compile(r"[^\t\x20-\x7e]")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# The repr of headers masks the values of such names, which are usually secrets.
_SECRET_HEADER = re.compile(r"auth|key|token|secret|cookie|password|credential|session", re.IGNORECASE)
# Up to 1,000 characters of RFC 3986, except "@", "?" and "#"; servers do not accept longer URLs.
_BASE_URL = re.compile(r"[\w.~:/\[\]!$&'()*+,;=%-]{1,1000}", re.ASCII)
# Sockets raise an OverflowError for more than 2**31 milliseconds.
_LONGEST_SECONDS = 1_000_000


class Headers(dict[str, str]):
    """Request headers whose repr masks likely secrets."""

    def __repr__(self) -> str:
        return repr({name: "****" if _SECRET_HEADER.search(name) else value for name, value in self.items()})


class _MaskedUrl(str):
    """A URL with a masked repr, because it may contain a password."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'****'"


def mask_headers(headers: object) -> Headers | type | None:
    """Return `headers` with a repr that masks secrets, or the type of a value that is not a mapping.

    It never raises: a traceback would show the headers in its frames.
    """
    if is_mapping(headers):
        return Headers(headers)
    return headers if headers is None else type(headers)


def mask_url(url: str | None) -> str | None:
    """Return `url`, with a masked repr if it may contain a password. It never raises."""
    return _MaskedUrl(url) if isinstance(url, str) and "@" in url else url


@attrs.frozen
class Options:
    """The checked settings of a client."""

    base_url: str
    key: Secret
    headers: Headers = attrs.field(repr=False)
    strict: bool
    require_end: bool | None = None

    @property
    def on_loopback(self) -> bool:
        """Whether the host is this machine."""
        return is_loopback(urlsplit(self.base_url).hostname or "")

    @property
    def host(self) -> str:
        """The host and port, as `host:port`."""
        parts = urlsplit(self.base_url)
        return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


@attrs.frozen(kw_only=True)
class Timeout:
    """Timeouts for one request, in seconds. Only `math.inf` turns a timeout off.

    Each timeout covers its entire phase, even if the peer sends one byte at a time. There are two exceptions
    in the sync client: it does not limit the lookup of the host name, and if the host has several addresses,
    it tries each one for up to `connect` seconds.

    Raises:
        ConfigurationError: A timeout is not a number of seconds above 0.

    Examples:
        >>> Timeout(first_byte=120).idle
        60.0
    """

    connect: float = 5.0
    """Maximum wait for a connection, in seconds."""
    pool: float = 10.0
    """Maximum wait for one of the client's connections to become free, in seconds."""
    write: float = 30.0
    """Maximum time to send one part of the request, in seconds."""
    first_byte: float = 60.0
    """Maximum wait for the response's status line and headers, in seconds."""
    idle: float = 60.0
    """Maximum wait for the first body chunk, and between two body chunks, in seconds."""
    total: float = 600.0
    """Maximum time for the complete response, in seconds from its status line. The time that your own code
    takes between two chunks counts, too."""

    def __attrs_post_init__(self) -> None:
        for name, value in attrs.asdict(self).items():
            if not _is_seconds(value):
                raise ConfigurationError(
                    f"timeout: {name} must be a number of seconds above 0 and up to {_LONGEST_SECONDS}, or"
                    f" math.inf, got {short_repr(value)}"
                )


def as_timeout(value: float | Timeout | None, default: Timeout) -> Timeout:
    """Return `value` as a Timeout; None means `default`.

    A number of seconds sets every timeout except `total`, which `default` sets.

    Raises:
        ConfigurationError: `value` has another type or is not above 0.
    """
    if value is None:
        return default
    if isinstance(value, Timeout):
        return value
    if not _is_seconds(value):
        raise ConfigurationError(
            f"timeout: must be a number of seconds above 0 and up to {_LONGEST_SECONDS}, or a"
            f" millis_wrapper.Timeout, got {short_repr(value, 60)}"
        )
    return attrs.evolve(default, connect=value, pool=value, write=value, first_byte=value, idle=value)


def read_options(
    key: Secret,
    *,
    region: Region | None,
    base_url: str | None,
    allow_http: bool,
    headers: Mapping[str, str] | type | None,
    strict: bool,
    require_end: bool | None = None,
) -> Options:
    """Return the options from the arguments and the environment variables.

    Raises:
        ConfigurationError: An argument or a variable is invalid.
    """
    allow_http = ensure_flag("allow_http", allow_http) or _flag_from_environment("MILLIS_ALLOW_HTTP")
    if require_end is not None:
        require_end = ensure_flag("require_end", require_end)
    return Options(
        _choose_host(region, base_url, allow_http),
        key,
        _headers(headers),
        ensure_flag("strict", strict),
        require_end,
    )


def ensure_flag(name: str, value: object) -> bool:
    """Return `value`, or raise ConfigurationError if it is not a bool."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name}: must be True or False, got {short_repr(value)}")
    return value


def _flag_from_environment(name: str) -> bool:
    value = os.environ.get(name, "").strip().lower()
    if value in ("", "0", "false", "no", "off"):
        return False
    if value in ("1", "true", "yes", "on"):
        return True
    raise ConfigurationError(f"{name}: must be 1 or 0, got {short_repr(value)}")


def _choose_host(region: Region | None, base_url: str | None, allow_http: bool) -> str:
    if region is not None:
        if base_url is not None:
            raise ConfigurationError("region and base_url both choose the host; pass only one of them")
        if not isinstance(region, str) or region not in HOSTS:
            raise ConfigurationError(f'region: must be "us" or "eu", got {short_repr(region)}')
        return HOSTS[region]
    source = "base_url"
    if base_url is None:
        base_url, source = os.environ.get("MILLIS_BASE_URL", "").strip(), "MILLIS_BASE_URL"
        if not base_url:
            return HOSTS["us"]
    return _validate_url(base_url, source, allow_http)


def _validate_url(url: str, source: str, allow_http: bool) -> str:
    example = f"{source}: must be a URL like {HOSTS['us']}"
    if not isinstance(url, str):
        raise ConfigurationError(f"{example}, got {type(url).__name__}")
    # The next two messages do not show the URL, because it may contain a password or a key.
    if "@" in url:
        raise ConfigurationError(
            f"{source}: must not contain a user name or password; pass api_key= or set MILLIS_API_KEY"
        )
    if "?" in url or "#" in url:
        raise ConfigurationError(f'{example}, without a query or a fragment; end it before the "?" or "#"')
    url = url.strip()
    try:
        parts = urlsplit(url)
        scheme, host, _ = parts.scheme, parts.hostname, parts.port
    except ValueError:  # the host or the port is invalid
        scheme, host = "", None
    if not host or scheme not in ("http", "https") or not _BASE_URL.fullmatch(url):
        has_scheme = url.lower().startswith(("http://", "https://"))
        advice = "check its host, port and path" if has_scheme else "it must begin with http:// or https://"
        raise ConfigurationError(f"{example}, got {short_repr(url, 100)}; {advice}")
    if scheme == "http" and not (allow_http or is_loopback(host)):
        raise ConfigurationError(
            f"{source}: {short_repr(url, 100)} would send the key unencrypted; use https or, for a mock"
            " server in your own network, allow_http=True or MILLIS_ALLOW_HTTP=1"
        )
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Return whether `host`, a name or an address, is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _headers(headers: Mapping[str, str] | type | None) -> Headers:
    checked = Headers()
    if headers is None:
        return checked
    if not isinstance(headers, Mapping):
        kind = headers if isinstance(headers, type) else type(headers)
        raise ConfigurationError(f"headers: must be a dict of str, got {kind.__name__}")
    for name in headers:
        # The value is not assigned to a variable, which a traceback would show.
        if problem := _problem_with_header(name, headers[name]):
            raise ConfigurationError(f"headers: {problem}")
        # h11 rejects whitespace around a value, which RFC 9110 (section 5.5) ignores.
        checked[name] = headers[name].strip()
    return checked


def _problem_with_header(name: object, value: object) -> str | None:
    if not isinstance(name, str):
        return f"a header name must be a str, got {type(name).__name__}"
    if not _HEADER_NAME.fullmatch(name):
        # The rest may be a secret, as in "Authorization: Bearer ...".
        start = re.split("[^A-Za-z-]", name, maxsplit=1)[0][:20]
        return f'"{start}…" is not a valid header name; use only letters, digits and hyphens'
    if name.lower() == "authorization":
        return "must not contain authorization; pass api_key= or set MILLIS_API_KEY"
    if name.lower() in ("content-length", "transfer-encoding"):
        return f"must not contain {name.lower()}; the client sets it"
    if not isinstance(value, str) or _NOT_IN_A_HEADER.search(value):
        return f"the value of {short_repr(name)} must be printable ASCII text"
    return None


def _is_seconds(value: object) -> bool:
    return is_number(value) and (0 < value <= _LONGEST_SECONDS or value == math.inf)
