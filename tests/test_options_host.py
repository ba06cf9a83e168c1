"""The host: where it comes from, which URLs are rejected, and which hosts may receive the key unencrypted."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx
import leaks
import pytest
from options_helpers import read

from millis_wrapper._text import short_repr
from millis_wrapper.errors import ConfigurationError
from millis_wrapper.options import HOSTS


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLIS_BASE_URL", raising=False)
    monkeypatch.delenv("MILLIS_ALLOW_HTTP", raising=False)


def test_the_default_host_is_in_the_us() -> None:
    """Without any setting, the client uses the service's US host."""
    assert read().base_url == "https://api-west.millis.ai"


@pytest.mark.parametrize(
    ("region", "host"), [("us", "https://api-west.millis.ai"), ("eu", "https://api-eu-west.millis.ai")]
)
def test_a_region_selects_its_host(region: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`region` selects a host and overrides MILLIS_BASE_URL."""
    monkeypatch.setenv("MILLIS_BASE_URL", "https://elsewhere.example")
    assert read(region=region).base_url == host


def test_base_url_overrides_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """MILLIS_BASE_URL applies only if the caller passes no host."""
    monkeypatch.setenv("MILLIS_BASE_URL", "https://one.example")
    assert read().base_url == "https://one.example"
    assert read(base_url="https://two.example").base_url == "https://two.example"


def test_region_and_base_url_together_are_rejected() -> None:
    """Each of the arguments sets the host, so they would contradict each other."""
    with pytest.raises(ConfigurationError, match=r"^region and base_url "):
        read(region="us", base_url=HOSTS["us"])


@pytest.mark.parametrize("region", ["", "US", "asia", 7, ["us"], b"us"])
def test_an_unknown_region_is_rejected(region: Any) -> None:
    """The message lists the regions and shows the value."""
    with pytest.raises(ConfigurationError, match=r'^region: .*"us" or "eu"') as caught:
        read(region=region)
    assert str(caught.value).endswith(short_repr(region))


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
    """Host, port and path prefix are kept. Slashes at the end are removed, because paths are appended."""
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
def test_an_invalid_base_url_is_rejected(url: Any) -> None:
    """The message names the argument, shows an example, and shortens a long value."""
    message = r"^base_url: must be .*https://api-west\.millis\.ai\b"
    with pytest.raises(ConfigurationError, match=message) as caught:
        read(base_url=url)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "url", ["host.example", "localhost:8787", "localhost:8787/x", "127.0.0.1:8787", "localhost"]
)
def test_a_url_without_a_scheme_is_rejected(url: str) -> None:
    """A host and port alone is the most common mistake; the message names the missing scheme."""
    with pytest.raises(ConfigurationError, match=r"^base_url: .*http:// or https://") as caught:
        read(base_url=url)
    assert short_repr(url) in str(caught.value)


@pytest.mark.parametrize("url", ["", " ", "\n"])
def test_an_empty_variable_counts_as_unset(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`MILLIS_BASE_URL=` in an environment file means the default host. An empty argument is an error."""
    monkeypatch.setenv("MILLIS_BASE_URL", url)
    assert read().base_url == HOSTS["us"]
    with pytest.raises(ConfigurationError, match=r"^base_url: must be "):
        read(base_url=url)


@pytest.mark.parametrize(
    ("url", "key_word"),
    [
        ("https://", "URL"),
        ("localhost:8787", "https://"),
        ("http://host.example", "unencrypted"),
        ("https://user:x@host.example", "password"),
    ],
)
def test_an_invalid_url_from_the_environment_names_the_variable(
    url: str, key_word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message begins with the name of the variable to correct."""
    monkeypatch.setenv("MILLIS_BASE_URL", url)
    with pytest.raises(ConfigurationError) as caught:
        read()
    assert str(caught.value).startswith("MILLIS_BASE_URL: ")
    assert key_word in str(caught.value)


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
def test_the_password_of_an_invalid_url_stays_out_of_the_error(url: str) -> None:
    """The error does not contain it, even if the scheme is missing or the password contains "#" or "/"."""
    with pytest.raises(ConfigurationError, match=r"^base_url: ") as caught:
        read(base_url=url)
    assert not leaks.places(caught.value, "pass-word")


@pytest.mark.parametrize("userinfo", ["user@", "user:pass-word@", ":pass-word@", "@", "evil.example%2f@"])
def test_a_base_url_with_a_user_is_rejected_and_not_shown(userinfo: str) -> None:
    """A password in the URL would appear in errors and logs, so no URL may contain one."""
    with pytest.raises(ConfigurationError, match=r"^base_url: .*user name or password; .*api_key") as caught:
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
def test_plain_http_is_accepted_for_loopback(url: str) -> None:
    """The key may be sent unencrypted to this machine."""
    assert read(base_url=url).base_url == url
    assert read(base_url=url).on_loopback


@pytest.mark.parametrize("url", ELSEWHERE)
def test_plain_http_to_another_host_is_rejected(url: str) -> None:
    """The key is not sent unencrypted unless the caller allows it, even to a name that resembles loopback."""
    pattern = r"^base_url: .*unencrypted.*allow_http=True.*MILLIS_ALLOW_HTTP=1"
    with pytest.raises(ConfigurationError, match=pattern) as caught:
        read(base_url=url)
    assert short_repr(url) in str(caught.value)
    assert read(base_url=url, allow_http=True).base_url == url
    assert not read(base_url=url, allow_http=True).on_loopback


@pytest.mark.parametrize("value", ["1", "true", "TRUE", "yes", "on", " 1\n"])
def test_the_environment_may_allow_plain_http(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With MILLIS_ALLOW_HTTP, unchanged code can use a mock server in another container."""
    monkeypatch.setenv("MILLIS_ALLOW_HTTP", value)
    monkeypatch.setenv("MILLIS_BASE_URL", "http://mock:8787")
    assert read().base_url == "http://mock:8787"


@pytest.mark.parametrize("value", ["", " ", "0", "false", "False", "no", "off"])
def test_the_environment_may_forbid_plain_http(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that means no does not allow plain HTTP, but the argument still does."""
    monkeypatch.setenv("MILLIS_ALLOW_HTTP", value)
    with pytest.raises(ConfigurationError, match="unencrypted"):
        read(base_url="http://mock:8787")
    assert read(base_url="http://mock:8787", allow_http=True).base_url == "http://mock:8787"


@pytest.mark.parametrize("value", ["2", "y", "allow", "http://mock", "\x1b[31m"])
def test_an_unknown_value_of_the_variable_is_rejected(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client does not guess whether the key may be sent unencrypted."""
    monkeypatch.setenv("MILLIS_ALLOW_HTTP", value)
    with pytest.raises(ConfigurationError, match=r"^MILLIS_ALLOW_HTTP: .*1 or 0") as caught:
        read()
    assert short_repr(value) in str(caught.value)


@pytest.mark.parametrize("url", [*LOOPBACK, *ELSEWHERE, *HOSTS.values(), "https://[2001:db8::1]:8443/x"])
def test_httpx_connects_to_the_host_that_was_checked(url: str) -> None:
    """httpx parses the same host from the URL as the check does."""
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
    """`host` contains the port even if the URL leaves it to the scheme."""
    assert read(base_url=url).host == host
