"""What a client is made with: key, host, headers and time-outs, checked before anything is sent."""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections.abc import Mapping
from typing import Literal, NoReturn
from urllib.parse import urlsplit

import attrs

from ._json import is_mapping
from ._text import shorten
from .errors import ConfigurationError

Region = Literal["us", "eu"]

# Both from the service's published schema.
HOSTS: dict[str, str] = {"us": "https://api-west.millis.ai", "eu": "https://api-eu-west.millis.ai"}

_NOT_IN_A_HEADER = re.compile(r"[^\t\x20-\x7e]")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Header names whose values are shown masked: whoever adds one of them mostly adds a secret.
_SECRET_HEADER = re.compile(r"auth|key|token|secret|cookie|password|credential|session", re.IGNORECASE)
# The characters of RFC 3986, without "@" and those that begin a query or a fragment; and no longer than
# servers take.
_BASE_URL = re.compile(r"[\w.~:/\[\]!$&'()*+,;=%-]{1,1000}", re.ASCII)
# What every platform can wait for: sockets refuse more than 2**31 milliseconds with an OverflowError.
_LONGEST_SECONDS = 1_000_000


class Secret:
    """The key, kept where no repr, no log and no traceback shows it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        # Four letters tell two keys apart; of a short key they would tell too much.
        return f"'****{self._value[-4:]}'" if len(self._value) >= 16 else "'****'"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled or copied: make a new client where you need one")

    def reveal(self) -> str:
        """Return the key itself; called only where the request's header is set."""
        return self._value

    def redact(self, data: bytes) -> bytes:
        """Return `data` without the key, for what a service or a proxy sends back into an error.

        A key as short as "test" is not a secret, and part of many words.
        """
        return data.replace(self._value.encode(), b"****") if len(self._value) >= 8 else data

    def redact_text(self, text: str) -> str:
        """Return `text` without the key."""
        return text.replace(self._value, "****") if len(self._value) >= 8 else text


class Headers(dict[str, str]):
    """Headers to send; the repr masks the values of those that look like secrets."""

    def __repr__(self) -> str:
        shown = {name: "****" if _SECRET_HEADER.search(name) else value for name, value in self.items()}
        return repr(shown)


class _MaskedUrl(str):
    """An address that may hold a password, and has no repr."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'****'"


def mask_headers(headers: object) -> Headers | type | None:
    """Return `headers` with a repr that masks secrets, or the type of what is not a dict; raises nothing."""
    if is_mapping(headers):
        return Headers(headers)
    return headers if headers is None else type(headers)


def mask_url(url: str | None) -> str | None:
    """Return `url` without a repr if it may hold a password, for the frames of an error; raises nothing."""
    return _MaskedUrl(url) if isinstance(url, str) and "@" in url else url


@attrs.frozen
class Options:
    """Where requests go, with which key and headers, and how strictly they are checked."""

    base_url: str
    key: Secret
    headers: Headers = attrs.field(repr=False)
    strict: bool
    require_end: bool | None = None

    @property
    def on_loopback(self) -> bool:
        """Whether the host is this machine itself."""
        return _is_loopback(urlsplit(self.base_url).hostname or "")

    @property
    def host(self) -> str:
        """Host and port, as `host:port`."""
        parts = urlsplit(self.base_url)
        return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


@attrs.frozen(kw_only=True)
class Timeout:
    """The time limits of one request, each in seconds; `math.inf` lifts one, and nothing else does.

    Each limit holds for its whole phase, however the bytes trickle in. Two things are not bounded in the
    sync client, because only a helper thread could: looking up the host's name, and `connect` when a host
    has several addresses, which are tried one after the other, each within `connect`.

    Args:
        connect: seconds until there is a connection.
        pool: seconds until one of the client's connections is free.
        write: seconds for sending a piece of the request.
        first_byte: seconds until the answer's status line and headers have come.
        idle: seconds between two pieces of the answer's body, the wait for the first included.
        total: seconds for reading the whole answer, from its status line on, your own time between its
            pieces included.

    Raises:
        ConfigurationError: a limit is not a number of seconds above 0.

    Examples:
        >>> Timeout(first_byte=120).idle
        60.0
    """

    connect: float = 5.0
    """Seconds until there is a connection."""
    pool: float = 10.0
    """Seconds until one of the client's connections is free."""
    write: float = 30.0
    """Seconds for sending a piece of the request."""
    first_byte: float = 60.0
    """Seconds until the answer's status line and headers have come."""
    idle: float = 60.0
    """Seconds between two pieces of the answer's body."""
    total: float = 600.0
    """Seconds for reading the whole answer, from its status line on."""

    def __attrs_post_init__(self) -> None:
        for name, value in attrs.asdict(self).items():
            if not _is_seconds(value):
                raise ConfigurationError(
                    f"timeout: {name} must be a number of seconds above 0 and up to {_LONGEST_SECONDS}, or"
                    f" math.inf, not {shorten(repr(value), 40)}"
                )


def as_timeout(value: float | Timeout | None, default: Timeout) -> Timeout:
    """Return `value` as a Timeout.

    Args:
        value: seconds for every limit but `total`, or a Timeout; None means `default`, never "for ever".
        default: what None means, and where `total` comes from for a number.

    Raises:
        ConfigurationError: `value` is something else, or is not above 0.
    """
    if value is None:
        return default
    if isinstance(value, Timeout):
        return value
    if not _is_seconds(value):
        raise ConfigurationError(
            f"timeout: pass a number of seconds above 0 and up to {_LONGEST_SECONDS}, or a"
            f" millis_wrapper.Timeout, not {shorten(repr(value), 60)}"
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
    """Return the options that the arguments and the environment give.

    Raises:
        ConfigurationError: an argument or a variable is wrong; the message names it and says what to do.
    """
    allow_http = _flag("allow_http", allow_http) or _environment_flag("MILLIS_ALLOW_HTTP")
    if require_end is not None:
        require_end = _flag("require_end", require_end)
    return Options(
        _host(region, base_url, allow_http),
        key,
        _headers(headers),
        _flag("strict", strict),
        require_end,
    )


def wrap_key(api_key: object) -> Secret | type | None:
    """Return the key wrapped, or the type of what cannot be a key; raises nothing.

    The frames of an error show arguments, so whoever takes a key wraps it and forgets the argument before
    anything can be raised.
    """
    if isinstance(api_key, str):
        return Secret(api_key.strip())
    return api_key if api_key is None or isinstance(api_key, Secret) else type(api_key)


def read_key(wrapped: Secret | type | None) -> Secret:
    """Return the key that was wrapped or, for None, the one in MILLIS_API_KEY.

    Raises:
        ConfigurationError: there is none, or it cannot be a key; the message does not show it.
    """
    source = "api_key"
    if wrapped is None:
        wrapped, source = wrap_key(os.environ.get("MILLIS_API_KEY")), "MILLIS_API_KEY"
        if wrapped is None:
            raise ConfigurationError("no key: pass api_key= or set MILLIS_API_KEY to your private key")
    if not isinstance(wrapped, Secret):
        raise ConfigurationError(f"{source}: must be a str, not {wrapped.__name__}")
    if problem := _problem_with_key(wrapped):
        raise ConfigurationError(f"{source} {problem}")
    return wrapped


def _problem_with_key(secret: Secret) -> str | None:
    key = secret.reveal()
    # The key is not shown in any of these messages: a mistyped key is mostly a key.
    if not key:
        return "is empty: set it to your private key"
    if re.match(r"bearer(?![\w-])", key, re.IGNORECASE):
        return 'begins with "Bearer": pass the private key alone, the service takes it without that word'
    if key[0] in "\"'`" or key[-1] in "\"'`":
        return "has quotes around it: pass the private key without them"
    if re.match(r"(export\s+)?[A-Za-z_][A-Za-z0-9_]*\s*=\s*[^=\s]", key):
        return "is a whole NAME=value line: pass what stands behind the ="
    if _NOT_IN_A_HEADER.search(key) or "\t" in key:
        return "holds a control or non-ASCII character: copy the private key anew"
    return None


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name}: must be True or False, not {shorten(repr(value), 40)}")
    return value


def _environment_flag(name: str) -> bool:
    value = os.environ.get(name, "").strip().lower()
    if value in ("", "0", "false", "no", "off"):
        return False
    if value in ("1", "true", "yes", "on"):
        return True
    raise ConfigurationError(f"{name}: must be 1 or 0, not {shorten(repr(value), 40)}")


def _host(region: Region | None, base_url: str | None, allow_http: bool) -> str:
    if region is not None:
        if base_url is not None:
            raise ConfigurationError("region and base_url both name the host: pass one of them")
        if not isinstance(region, str) or region not in HOSTS:
            raise ConfigurationError(f'region: must be "us" or "eu", not {shorten(repr(region), 40)}')
        return HOSTS[region]
    source = "base_url"
    if base_url is None:
        base_url, source = os.environ.get("MILLIS_BASE_URL", "").strip(), "MILLIS_BASE_URL"
        if not base_url:
            return HOSTS["us"]
    return _validate_url(base_url, source, allow_http)


def _validate_url(url: str, source: str, allow_http: bool) -> str:
    example = f"{source}: must be like {HOSTS['us']}"
    if not isinstance(url, str):
        raise ConfigurationError(f"{example}, not {type(url).__name__}")
    if "@" in url:  # not shown: what stands before it may be a password
        raise ConfigurationError(f"{source}: must hold no user or password; the key goes in api_key")
    url = url.strip()
    if re.match(r"[\w.-]+(:\d+)?(/|$)", url) and "//" not in url:
        raise ConfigurationError(
            f"{source}: {shorten(repr(url), 100)} must begin with http:// or https://, as in"
            f" {HOSTS['us']} or http://localhost:8787"
        )
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"{example}; its host or its port is not valid") from None
    if parts.scheme not in ("http", "https") or not host or not _BASE_URL.fullmatch(url):
        raise ConfigurationError(f"{example}, not {shorten(repr(url), 100)}")
    if parts.scheme == "http" and not (allow_http or _is_loopback(host)):
        raise ConfigurationError(
            f"{source}: {shorten(repr(url), 100)} would send the key unencrypted: use https or, for a mock"
            " server in a network of your own, allow_http=True or MILLIS_ALLOW_HTTP=1"
        )
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
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
        raise ConfigurationError(f"headers: must be a dict of str, not {kind.__name__}")
    for name in headers:
        # The value gets no name here: the frames of an error show what has one.
        if problem := _problem_with_header(name, headers[name]):
            raise ConfigurationError(f"headers: {problem}")
        # Space around a value does not belong to it (RFC 9110, 5.5), and h11 refuses it.
        checked[name] = headers[name].strip()
    return checked


def _problem_with_header(name: object, value: object) -> str | None:
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
        return f"{shorten(repr(name), 60)} is not a valid header name"
    if name.lower() == "authorization":
        return "authorization is set from api_key; pass the key there"
    if name.lower() in ("content-length", "transfer-encoding"):
        return f"{name.lower()} follows from what is sent; leave it out"
    if not isinstance(value, str) or _NOT_IN_A_HEADER.search(value):
        return f"the value of {name!r} must be printable ASCII text"
    return None


def _is_seconds(value: object) -> bool:
    # bool is an int, and True seconds is surely a slip.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value <= _LONGEST_SECONDS or value == math.inf
