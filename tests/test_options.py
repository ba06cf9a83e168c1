from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import leaks
import pytest

from millis_wrapper.errors import ConfigurationError
from millis_wrapper.options import HOSTS, Secret, Settings, read_settings

KEY = "k3Y" * 10 + "wXyZ"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLIS_API_KEY", raising=False)
    monkeypatch.delenv("MILLIS_BASE_URL", raising=False)


def read(
    api_key: Any = KEY,
    *,
    region: Any = None,
    base_url: Any = None,
    allow_http: bool = False,
    headers: Any = None,
    strict: bool = False,
) -> Settings:
    return read_settings(
        api_key, region=region, base_url=base_url, allow_http=allow_http, headers=headers, strict=strict
    )


# The key.


def test_the_key_is_the_argument_and_else_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`api_key` wins over MILLIS_API_KEY, which is looked at when the client is made, not before."""
    monkeypatch.setenv("MILLIS_API_KEY", "from-the-environment")
    assert read(None).key.reveal() == "from-the-environment"
    assert read(KEY).key.reveal() == KEY


@pytest.mark.parametrize("space", [" ", "\n", "\r\n", "\t", "\u00a0"])
def test_space_round_the_key_is_dropped(space: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that was copied or read from a file with its line end is the key."""
    assert read(space + KEY + space).key.reveal() == KEY
    monkeypatch.setenv("MILLIS_API_KEY", KEY + space)
    assert read(None).key.reveal() == KEY


def test_without_a_key_the_message_says_what_to_set() -> None:
    """Both ways to give the key are named."""
    with pytest.raises(
        ConfigurationError, match=r"^no key: pass api_key= or set MILLIS_API_KEY to your private key$"
    ):
        read(None)


@pytest.mark.parametrize("key", ["", " ", "\n"])
def test_an_empty_key_is_refused_by_the_name_of_its_source(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty key is no key; that of the argument does not fall through to the environment's."""
    monkeypatch.setenv("MILLIS_API_KEY", key)
    with pytest.raises(ConfigurationError, match=r"^MILLIS_API_KEY is empty: set it to your private key$"):
        read(None)
    monkeypatch.setenv("MILLIS_API_KEY", KEY)
    with pytest.raises(ConfigurationError, match=r"^api_key is empty: set it to your private key$"):
        read(key)


@pytest.mark.parametrize(
    "inside", ["\n", "\r\nx-evil: 1\r\n", "\x00", "\x1b[31m", "\x7f", "\t", "é", "\u200b", "\ud800"]
)
def test_a_key_that_no_header_can_carry_is_refused_unshown(inside: str) -> None:
    """What could split a header, or is not ASCII, is refused; the key is not shown."""
    with pytest.raises(
        ConfigurationError, match=r"^api_key holds a control or non-ASCII character: "
    ) as caught:
        read(KEY[:17] + inside + KEY[17:])
    assert "copy the private key anew" in str(caught.value)
    assert not leaks.places(caught.value, KEY[:17])
    assert not leaks.places(caught.value, KEY[17:])


@pytest.mark.parametrize("key", [b"bytes", 7, True, ["k"], Secret(KEY)])
def test_a_key_that_is_no_text_is_refused_unshown(key: Any) -> None:
    """The message names the type, not the value."""
    with pytest.raises(ConfigurationError, match=r"^api_key: must be a str, not \w+$"):
        read(key)


def test_the_key_is_shown_masked() -> None:
    """Neither repr nor str shows more of a key than its last four letters, and of a short one nothing."""
    for shown in (repr(Secret(KEY)), str(Secret(KEY)), f"{Secret(KEY)}", repr(read())):
        assert "****wXyZ" in shown
        assert KEY[:-4] not in shown
    assert repr(Secret("fifteen-letters")) == "'****'"
    assert repr(Secret("sixteen--letters")) == "'****ters'"


def test_the_key_is_hidden_in_what_comes_back() -> None:
    """A service that echoes the key puts it into no error."""
    assert Secret(KEY).redact(f"bad key {KEY}, {KEY}".encode()) == b"bad key ****, ****"


def test_a_key_too_short_for_a_secret_garbles_nothing() -> None:
    """A key such as "x", with which the mock is content, is part of many words."""
    assert Secret("x").redact(b"no extra inputs") == b"no extra inputs"
    assert Secret("12345678").redact(b"bad key 12345678") == b"bad key ****"


# The host.


def test_the_default_host_is_the_us() -> None:
    """Who names no host gets the service's first."""
    assert read().base_url == "https://api-west.millis.ai"


@pytest.mark.parametrize(
    ("region", "host"), [("us", "https://api-west.millis.ai"), ("eu", "https://api-eu-west.millis.ai")]
)
def test_a_region_names_its_host(region: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The region is a short name for a host, and wins over the environment."""
    monkeypatch.setenv("MILLIS_BASE_URL", "https://elsewhere.example")
    assert read(region=region).base_url == host


def test_base_url_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """MILLIS_BASE_URL is what holds when the caller names no host."""
    monkeypatch.setenv("MILLIS_BASE_URL", "https://one.example")
    assert read().base_url == "https://one.example"
    assert read(base_url="https://two.example").base_url == "https://two.example"


def test_region_and_base_url_together_are_refused() -> None:
    """Two hosts are one too many."""
    with pytest.raises(
        ConfigurationError, match=r"^region and base_url both name the host: pass one of them$"
    ):
        read(region="us", base_url=HOSTS["us"])


@pytest.mark.parametrize("region", ["", "US", "asia", 7, ["us"], b"us"])
def test_an_unknown_region_is_refused(region: Any) -> None:
    """The message lists the regions."""
    with pytest.raises(ConfigurationError, match=r'^region: must be "us" or "eu", not ') as caught:
        read(region=region)
    assert str(caught.value).endswith(f"not {region!r}")


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://host.example", "https://host.example"),
        ("https://host.example/", "https://host.example"),
        (" https://host.example//\n", "https://host.example"),
        ("HTTPS://Host.Example", "HTTPS://Host.Example"),
        ("https://host.example:8443", "https://host.example:8443"),
        ("https://host.example/a/prefix/", "https://host.example/a/prefix"),
        ("https://10.0.0.1", "https://10.0.0.1"),
        ("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443/x"),
        ("https://xn--mnchen-3ya.example", "https://xn--mnchen-3ya.example"),
        ("https://under_score.example", "https://under_score.example"),
    ],
)
def test_a_base_url_is_kept(url: str, kept: str) -> None:
    """Host, port and path prefix are kept; slashes at the end are not, so that paths can follow."""
    assert read(base_url=url).base_url == kept


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host.example",
        "//host.example",
        "https://",
        "https:///path",
        "https:host.example",
        "ftp://host.example",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://host.example?key=1",
        "https://host.example/?",
        "https://host.example#x",
        "https://host.example/#",
        "https://host.example:port",
        "https://host.example:99999",
        "https://host.example:-1",
        "https://[::1",
        "https://a b.example",
        "https://a\tb.example",
        "https://host.example/a b",
        "https://a\nb.example",
        "https://a\\b.example",
        "https://münchen.example",
        "https://<host>",
        "https://host.example/" + "a" * 70_000,
        7,
        b"https://host.example",
        ["https://host.example"],
    ],
)
def test_what_is_no_base_url_is_refused(url: Any) -> None:
    """The message names the argument and shows what one looks like; a long value is not shown whole."""
    message = r"^base_url: must be like https://api-west\.millis\.ai\b"
    with pytest.raises(ConfigurationError, match=message) as caught:
        read(base_url=url)
    assert len(str(caught.value)) < 300


def test_a_wrong_url_of_the_environment_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable to correct; an empty one is wrong too, and not the default."""
    monkeypatch.setenv("MILLIS_BASE_URL", "")
    with pytest.raises(ConfigurationError, match=r"^MILLIS_BASE_URL: must be like "):
        read()


@pytest.mark.parametrize("userinfo", ["user@", "user:pass-word@", ":pass-word@", "@", "evil.example%2f@"])
def test_a_base_url_with_a_user_is_refused_unshown(userinfo: str) -> None:
    """A password in the URL would end up in errors and logs; it is not shown here either."""
    words = r"^base_url: must hold no user or password; the key goes in api_key$"
    with pytest.raises(ConfigurationError, match=words) as caught:
        read(base_url=f"https://{userinfo}host.example")
    assert not leaks.places(caught.value, "pass-word")


LOOPBACK = [
    "http://localhost",
    "http://localhost:8080/x",
    "http://LOCALHOST",
    "http://127.0.0.1:8080",
    "http://127.255.255.254",
    "http://[::1]:8080",
    "http://[0:0:0:0:0:0:0:1]",
]
ELSEWHERE = [
    "http://host.example",
    "http://api-west.millis.ai",
    "http://localhost.evil.example",
    "http://127.0.0.1.evil.example",
    "http://evil.example/localhost",
    "http://localhost.",
    "http://xlocalhost",
    "http://0.0.0.0",
    "http://10.0.0.1",
    "http://169.254.169.254",
    "http://[::]",
    "http://[fe80::1]",
    "http://[::ffff:10.0.0.1]",
]


@pytest.mark.parametrize("url", LOOPBACK)
def test_plain_http_is_for_loopback(url: str) -> None:
    """To this very machine the key may go in the clear."""
    assert read(base_url=url).base_url == url
    assert read(base_url=url).on_loopback


@pytest.mark.parametrize("url", ELSEWHERE)
def test_plain_http_to_anywhere_else_is_refused(url: str) -> None:
    """The key never goes out in the clear unless the caller says so; a name like loopback is not it."""
    clear = "would send the key in the clear: use https, or allow_http=True if you mean it"
    message = rf"^base_url: {re.escape(repr(url))} {clear}$"
    with pytest.raises(ConfigurationError, match=message):
        read(base_url=url)
    assert read(base_url=url, allow_http=True).base_url == url
    assert not read(base_url=url, allow_http=True).on_loopback


@pytest.mark.parametrize("url", [*LOOPBACK, *ELSEWHERE, *HOSTS.values(), "https://[2001:db8::1]:8443/x"])
def test_httpx_goes_to_the_host_that_was_checked(url: str) -> None:
    """What was checked here is what httpx reads in the URL: no two parsers disagree about the host."""
    settings = read(base_url=url, allow_http=True)
    seen = httpx.Request("POST", f"{settings.base_url}/chat/completions").url
    assert seen.host == urlsplit(settings.base_url).hostname
    assert seen.path.endswith("/chat/completions")


# Headers.


@pytest.mark.parametrize("headers", [None, {}, {"x-team": "a b", "User-Agent": "mine/1.0", "x-empty": ""}])
def test_headers_are_kept(headers: Mapping[str, str] | None) -> None:
    """The caller's headers are kept as written."""
    assert read(headers=headers).headers == (headers or {})


def test_space_round_a_header_value_is_dropped() -> None:
    """HTTP counts it to no value (RFC 9110, 5.5), and a request with it would fail late."""
    assert read(headers={"x-team": " a b\t"}).headers == {"x-team": "a b"}


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "ä", "\x00", 7, None, b"x"])
def test_what_is_no_header_name_is_refused(name: Any) -> None:
    """The message shows the name."""
    with pytest.raises(ConfigurationError, match=r"^headers: .* is no header name$"):
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
def test_headers_that_are_no_dict_are_refused(headers: Any) -> None:
    """The message names the argument and the type."""
    with pytest.raises(ConfigurationError, match=r"^headers: must be a dict of str, not (list|str|int)$"):
        read(headers=headers)


def test_header_values_are_not_shown() -> None:
    """Settings can be printed: the caller's headers may hold secrets of theirs."""
    assert "sesame" not in repr(read(headers={"x-proxy-key": "sesame"}))


def test_the_key_appears_nowhere_but_in_the_secret() -> None:
    """A crash reporter that prints every setting prints no key."""
    settings = read(headers={"x": "y"}, base_url="https://host.example")
    assert KEY not in repr([settings.base_url, settings.key, settings.headers, settings.strict, settings])
