"""The host: where it comes from, which addresses are refused, and where the key may go unencrypted."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx
import leaks
import pytest
from options_helpers import read

from millis_wrapper.errors import ConfigurationError
from millis_wrapper.options import HOSTS


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLIS_BASE_URL", raising=False)
    monkeypatch.delenv("MILLIS_ALLOW_HTTP", raising=False)


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
def test_anything_but_a_base_url_is_refused(url: Any) -> None:
    """The message names the argument and shows what one looks like; a long value is not shown whole."""
    message = r"^base_url: must be like https://api-west\.millis\.ai\b"
    with pytest.raises(ConfigurationError, match=message) as caught:
        read(base_url=url)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "url", ["host.example", "localhost:8787", "localhost:8787/x", "127.0.0.1:8787", "localhost"]
)
def test_a_url_without_its_beginning_is_refused_with_it(url: str) -> None:
    """A host and port alone is the commonest slip: the message says what to put before it."""
    words = "must begin with http:// or https://, as in https://api-west.millis.ai or http://localhost:8787"
    with pytest.raises(ConfigurationError) as caught:
        read(base_url=url)
    assert str(caught.value) == f"base_url: {url!r} {words}"


@pytest.mark.parametrize("url", ["", " ", "\n"])
def test_an_empty_variable_counts_as_unset(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`MILLIS_BASE_URL=` in a file of settings means the default host; an empty argument stays an error."""
    monkeypatch.setenv("MILLIS_BASE_URL", url)
    assert read().base_url == HOSTS["us"]
    with pytest.raises(ConfigurationError, match=r"^base_url: must be like "):
        read(base_url=url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://", "must be like https://api-west.millis.ai, not 'https://'"),
        ("localhost:8787", "'localhost:8787' must begin with http:// or https://, "),
        ("http://host.example", "'http://host.example' would send the key unencrypted: "),
        ("https://user:x@host.example", "must hold no user or password; "),
    ],
)
def test_a_wrong_url_of_the_environment_is_refused_by_its_name(
    url: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the variable to correct."""
    monkeypatch.setenv("MILLIS_BASE_URL", url)
    with pytest.raises(ConfigurationError) as caught:
        read()
    assert str(caught.value).startswith(f"MILLIS_BASE_URL: {words}")


@pytest.mark.parametrize(
    "url",
    [
        "user:pass-word@host.example",
        "user:pass-word@host.example:8443/x",
        "http://user:pass-word#x@host.example",
        "http://user:pa#pass-word@host.example",
        "http://user:pass-word/x@host.example",
        "http://user:pass-word?x@host.example",
        "ftp://user:pass-word@host.example",
    ],
)
def test_a_password_in_a_url_that_cannot_be_read_is_not_shown(url: str) -> None:
    """Also where the scheme is missing, or the password has a "#" or "/" that ends the host too early."""
    with pytest.raises(ConfigurationError, match=r"^base_url: ") as caught:
        read(base_url=url)
    assert not leaks.places(caught.value, "pass-word")


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
    """To this very machine the key may go unencrypted."""
    assert read(base_url=url).base_url == url
    assert read(base_url=url).on_loopback


@pytest.mark.parametrize("url", ELSEWHERE)
def test_plain_http_to_anywhere_else_is_refused(url: str) -> None:
    """The key never leaves unencrypted unless the caller says so; a name like loopback is not enough."""
    advice = (
        "use https or, for a mock server in a network of your own, allow_http=True or MILLIS_ALLOW_HTTP=1"
    )
    with pytest.raises(ConfigurationError) as caught:
        read(base_url=url)
    assert str(caught.value) == f"base_url: {url!r} would send the key unencrypted: {advice}"
    assert read(base_url=url, allow_http=True).base_url == url
    assert not read(base_url=url, allow_http=True).on_loopback


@pytest.mark.parametrize("value", ["1", "true", "TRUE", "yes", "on", " 1\n"])
def test_the_environment_may_allow_plain_http(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a network of containers the mock server is another host, and its client's code is not to change."""
    monkeypatch.setenv("MILLIS_ALLOW_HTTP", value)
    monkeypatch.setenv("MILLIS_BASE_URL", "http://mock:8787")
    assert read().base_url == "http://mock:8787"


@pytest.mark.parametrize("value", ["", " ", "0", "false", "False", "no", "off"])
def test_the_environment_may_refuse_plain_http(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What means no is not taken for yes because it is there; the argument still allows it."""
    monkeypatch.setenv("MILLIS_ALLOW_HTTP", value)
    with pytest.raises(ConfigurationError, match=r"would send the key unencrypted"):
        read(base_url="http://mock:8787")
    assert read(base_url="http://mock:8787", allow_http=True).base_url == "http://mock:8787"


@pytest.mark.parametrize("value", ["2", "y", "allow", "http://mock", "\x1b[31m"])
def test_another_value_of_the_variable_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the key may go unencrypted is not guessed."""
    monkeypatch.setenv("MILLIS_ALLOW_HTTP", value)
    with pytest.raises(ConfigurationError) as caught:
        read()
    assert str(caught.value) == f"MILLIS_ALLOW_HTTP: must be 1 or 0, not {value!r}"


@pytest.mark.parametrize("url", [*LOOPBACK, *ELSEWHERE, *HOSTS.values(), "https://[2001:db8::1]:8443/x"])
def test_httpx_goes_to_the_host_that_was_checked(url: str) -> None:
    """What was checked here is what httpx reads in the URL: no two parsers disagree about the host."""
    options = read(base_url=url, allow_http=True)
    seen = httpx.Request("POST", f"{options.base_url}/chat/completions").url
    assert seen.host == urlsplit(options.base_url).hostname
    assert seen.path.endswith("/chat/completions")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://host.example", "host.example:443"),
        ("http://localhost", "localhost:80"),
        ("https://host.example:8443/x", "host.example:8443"),
        ("HTTPS://Host.Example", "host.example:443"),
    ],
)
def test_the_host_has_its_port(url: str, host: str) -> None:
    """The port is there also where the URL leaves it to the scheme."""
    assert read(base_url=url).host == host
