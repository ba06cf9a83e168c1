"""Headers and switches of a client. The key, the host and the timeouts have their own test files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import leaks
import pytest
from options_helpers import KEY, read

from millis_wrapper._text import short_repr
from millis_wrapper.errors import ConfigurationError
from millis_wrapper.options import mask_headers


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLIS_BASE_URL", raising=False)
    monkeypatch.delenv("MILLIS_ALLOW_HTTP", raising=False)


# Headers.


@pytest.mark.parametrize("headers", [None, {}, {"x-team": "a b", "User-Agent": "mine/1.0", "x-empty": ""}])
def test_headers_are_kept(headers: Mapping[str, str] | None) -> None:
    """The caller's headers are kept as written."""
    assert read(headers=headers).headers == (headers or {})


def test_whitespace_around_a_header_value_is_dropped() -> None:
    """The whitespace is not part of the value (RFC 9110, section 5.5), and h11 would reject the request."""
    assert read(headers={"x-team": " a b\t"}).headers == {"x-team": "a b"}


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "ä", "\x00", 7, None, b"x"])
def test_an_invalid_header_name_is_rejected(name: Any) -> None:
    """The message names the argument."""
    with pytest.raises(ConfigurationError, match=r"^headers: .* header name"):
        read(headers={name: "x"})


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("Authorization: Bearer 4f7d1c93a8", "Authorization"),
        ("X-Api-Key=4f7d1c93a8", "X-Api-Key"),
        ("Bearer 4f7d1c93a8", "Bearer"),
        ("4f7d1c93a8/==", ""),
        ("x" * 50 + ":", "x" * 20),
    ],
)
def test_an_invalid_header_name_is_shown_only_up_to_its_first_invalid_character(
    name: str, start: str
) -> None:
    """The rest may be a secret: the caller may have put the value into the name."""
    with pytest.raises(ConfigurationError) as caught:
        read(headers={name: "x"})
    assert f'"{start}…"' in str(caught.value)
    assert "4f7d1c93a8" not in str(caught.value)


@pytest.mark.parametrize("value", ["a\r\nb", "a\x00", "ä", "\x1b", 7, None, b"x"])
def test_an_invalid_header_value_is_rejected_and_not_shown(value: Any) -> None:
    """The message names the header but not the value, which may be a secret."""
    with pytest.raises(ConfigurationError, match=r"^headers: .*\"x-team\" must be printable ASCII"):
        read(headers={"x-team": value})


@pytest.mark.parametrize("name", ["authorization", "Authorization", "AUTHORIZATION"])
def test_an_authorization_header_is_rejected(name: str) -> None:
    """The key comes only from `api_key`, because headers are printed."""
    with pytest.raises(ConfigurationError, match=r"^headers: .*authorization; .*api_key") as caught:
        read(headers={name: KEY})
    assert not leaks.places(caught.value, KEY)


@pytest.mark.parametrize("name", ["content-length", "Transfer-Encoding"])
def test_a_header_that_describes_the_body_is_rejected(name: str) -> None:
    """A wrong length would make the service or the client wait forever."""
    with pytest.raises(ConfigurationError, match=rf"^headers: .*{name.lower()}"):
        read(headers={name: "1"})


@pytest.mark.parametrize("headers", [[("x", "y")], "x: y", 7])
def test_headers_of_another_type_are_rejected(headers: Any) -> None:
    """The message names the argument and the type."""
    with pytest.raises(ConfigurationError, match=r"^headers: .* dict .*(list|str|int)$"):
        read(headers=headers)


def test_the_repr_of_options_does_not_contain_header_values() -> None:
    """The caller's headers may contain secrets, and options may be printed."""
    assert "sesame" not in repr(read(headers={"x-proxy-key": "sesame"}))


SECRET_NAMES = [
    *("x-api-key", "X-Auth", "proxy-authorization", "Cookie", "x-token", "client-secret"),
    *("x-password", "x-credential", "x-session-id"),
]


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_headers_that_look_like_secrets_are_masked(name: str) -> None:
    """The repr of headers masks values that may be secrets and keeps the others."""
    headers = {name: "sesame", "x-team": "blue"}
    kept = read(headers=headers).headers
    assert repr(kept) == repr(mask_headers(headers)) == repr({name: "****", "x-team": "blue"})
    assert kept == headers


@pytest.mark.parametrize("headers", [None, 7, "x: y", [("x", "y")]])
def test_masking_never_raises(headers: Any) -> None:
    """For a value that cannot be headers only the type is kept, and a later check raises the error."""
    assert mask_headers(headers) is (None if headers is None else type(headers))


# Switches.


@pytest.mark.parametrize("name", ["strict", "allow_http", "require_end"])
@pytest.mark.parametrize("value", ["no", 1, 0, "", b""])
def test_switches_are_true_or_false(name: str, value: Any) -> None:
    """A switch must be a bool, because the string "no" would count as true."""
    with pytest.raises(ConfigurationError, match=rf"^{name}: ") as caught:
        read(**{name: value})
    assert short_repr(value) in str(caught.value)


@pytest.mark.parametrize("name", ["strict", "allow_http"])
def test_only_require_end_may_be_none(name: str) -> None:
    """None means that the client learns from the host's replies, which only `require_end` allows."""
    assert read().require_end is None
    assert read(require_end=True).require_end is True
    assert read(require_end=False).require_end is False
    with pytest.raises(ConfigurationError, match=rf"^{name}: .*None$"):
        read(**{name: None})


def test_the_repr_of_options_shows_only_the_end_of_the_key() -> None:
    """The repr of every option masks the key except for its last four characters."""
    options = read(headers={"x": "y"}, base_url="https://host.example")
    output = repr([options.base_url, options.key, options.headers, options.strict, options])
    assert KEY not in output
    assert "****wXyZ" in repr(options)
