"""Headers and switches; the key, the host and the timeouts have files of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import leaks
import pytest
from options_helpers import KEY, read

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


def test_space_round_a_header_value_is_dropped() -> None:
    """It does not belong to the value (RFC 9110, 5.5), and a request with it would fail late."""
    assert read(headers={"x-team": " a b\t"}).headers == {"x-team": "a b"}


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "ä", "\x00", 7, None, b"x"])
def test_a_name_that_no_header_can_have_is_refused(name: Any) -> None:
    """The message shows the name."""
    with pytest.raises(ConfigurationError, match=r"^headers: .* is not a valid header name$"):
        read(headers={name: "x"})


@pytest.mark.parametrize("value", ["a\r\nb", "a\x00", "ä", "\x1b", 7, None, b"x"])
def test_a_header_value_that_cannot_be_sent_is_refused_unshown(value: Any) -> None:
    """The message names the header; the value may be a secret, and is not shown."""
    message = r"^headers: the value of 'x-team' must be printable ASCII text$"
    with pytest.raises(ConfigurationError, match=message):
        read(headers={"x-team": value})


@pytest.mark.parametrize("name", ["authorization", "Authorization", "AUTHORIZATION"])
def test_the_key_is_set_in_one_place(name: str) -> None:
    """The header of the key comes from `api_key` alone, or it would be shown where headers are."""
    with pytest.raises(ConfigurationError, match=r"^headers: authorization is set from api_key") as caught:
        read(headers={name: KEY})
    assert not leaks.places(caught.value, KEY)


@pytest.mark.parametrize("name", ["content-length", "Transfer-Encoding"])
def test_a_header_that_follows_from_the_body_is_refused(name: str) -> None:
    """A wrong length would leave the service, or us, waiting."""
    words = rf"^headers: {name.lower()} follows from what is sent; leave it out$"
    with pytest.raises(ConfigurationError, match=words):
        read(headers={name: "1"})


@pytest.mark.parametrize("headers", [[("x", "y")], "x: y", 7])
def test_headers_of_another_type_are_refused(headers: Any) -> None:
    """The message names the argument and the type."""
    with pytest.raises(ConfigurationError, match=r"^headers: must be a dict of str, not (list|str|int)$"):
        read(headers=headers)


def test_header_values_are_not_shown() -> None:
    """Options can be printed: the caller's headers may hold secrets of theirs."""
    assert "sesame" not in repr(read(headers={"x-proxy-key": "sesame"}))


SECRET_NAMES = [
    *("x-api-key", "X-Auth", "proxy-authorization", "Cookie", "x-token", "client-secret"),
    *("x-password", "x-credential", "x-session-id"),
]


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_headers_that_look_like_secrets_are_masked(name: str) -> None:
    """A crash reporter shows the headers' repr; a value that may be a secret is not in it, others are."""
    headers = {name: "sesame", "x-team": "blue"}
    kept = read(headers=headers).headers
    assert repr(kept) == repr(mask_headers(headers)) == repr({name: "****", "x-team": "blue"})
    assert kept == headers


@pytest.mark.parametrize("headers", [None, 7, "x: y", [("x", "y")]])
def test_masking_raises_nothing(headers: Any) -> None:
    """What cannot be headers is refused later, in words; of its value only the type is kept."""
    assert mask_headers(headers) is (None if headers is None else type(headers))


# Switches.


@pytest.mark.parametrize("name", ["strict", "allow_http", "require_end"])
@pytest.mark.parametrize("value", ["no", 1, 0, "", b""])
def test_switches_are_true_or_false(name: str, value: Any) -> None:
    """`"no"` would count as yes."""
    with pytest.raises(ConfigurationError) as caught:
        read(**{name: value})
    assert str(caught.value) == f"{name}: must be True or False, not {value!r}"


@pytest.mark.parametrize("name", ["strict", "allow_http"])
def test_only_require_end_may_be_none(name: str) -> None:
    """None means "decide by what this host does", which only `require_end` can."""
    assert read().require_end is None
    assert read(require_end=True).require_end is True
    assert read(require_end=False).require_end is False
    with pytest.raises(ConfigurationError, match=rf"^{name}: must be True or False, not None$"):
        read(**{name: None})


def test_the_key_appears_nowhere_but_in_the_secret() -> None:
    """A crash reporter that prints every option prints no key, but its last letters."""
    options = read(headers={"x": "y"}, base_url="https://host.example")
    shown = repr([options.base_url, options.key, options.headers, options.strict, options])
    assert KEY not in shown
    assert "****wXyZ" in repr(options)
