"""The key: where it comes from, which values are refused, and that no message shows it."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import leaks
import pytest
from options_helpers import KEY

from millis_wrapper.errors import ConfigurationError
from millis_wrapper.options import Secret, read_key, wrap_key


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLIS_API_KEY", raising=False)


def read(api_key: Any) -> str:
    return read_key(wrap_key(api_key)).reveal()


def test_the_key_is_the_argument_and_else_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`api_key` wins over MILLIS_API_KEY, which is looked at when the client is made, not before."""
    monkeypatch.setenv("MILLIS_API_KEY", "from-the-environment")
    assert read(None) == "from-the-environment"
    assert read(KEY) == KEY


@pytest.mark.parametrize("space", [" ", "\n", "\r\n", "\t", "\u00a0"])
def test_space_round_the_key_is_dropped(space: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that was copied or read from a file with its line end is the key."""
    assert read(space + KEY + space) == KEY
    monkeypatch.setenv("MILLIS_API_KEY", KEY + space)
    assert read(None) == KEY


@pytest.mark.parametrize(
    "key", ["sk_live-1.2~3", "x", "bearerish", "c2VjcmV0LWtleQ=", "c2VjcmV0LWtleQ==", "a'b"]
)
def test_a_key_may_look_like_anything_printable(key: str) -> None:
    """Which letters a key has is the service's choice: also the "=" at the end of base64."""
    assert read(key) == key


def test_a_wrapped_key_is_a_key() -> None:
    """Whoever wraps a key twice has the same key."""
    assert read(Secret(KEY)) == KEY


def test_without_a_key_the_message_says_what_to_set() -> None:
    """Both ways to give the key are named."""
    with pytest.raises(
        ConfigurationError, match=r"^no key: pass api_key= or set MILLIS_API_KEY to your private key$"
    ):
        read(None)


@pytest.mark.parametrize("key", ["", " ", "\n"])
def test_an_empty_key_is_refused_by_the_name_of_its_source(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty argument does not fall through to the environment's key."""
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


BEARER = 'begins with "Bearer": pass the private key alone, the service takes it without that word'
QUOTES = "has quotes around it: pass the private key without them"
LINE = "is a whole NAME=value line: pass what stands behind the ="


@pytest.mark.parametrize("source", ["api_key", "MILLIS_API_KEY"])
@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("Bearer {key}", BEARER),
        ("bearer {key}", BEARER),
        ("BEARER\t{key}", BEARER),
        (" Bearer  {key}\n", BEARER),
        ('"{key}"', QUOTES),
        ("'{key}'", QUOTES),
        ("`{key}`", QUOTES),
        ('"{key}', QUOTES),
        ("{key}'", QUOTES),
        ("MILLIS_API_KEY={key}", LINE),
        ("MILLIS_API_KEY = {key}", LINE),
        ('MILLIS_API_KEY="{key}', LINE),
        ("export MILLIS_API_KEY={key}", LINE),
        ("KEY={key}", LINE),
    ],
)
def test_a_key_with_something_around_it_is_refused_unshown(
    form: str, words: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was copied with the key is named, and what to pass instead; the key is not shown."""
    given = form.format(key=KEY)
    if source == "MILLIS_API_KEY":
        monkeypatch.setenv("MILLIS_API_KEY", given)
    with pytest.raises(ConfigurationError) as caught:
        read(given if source == "api_key" else None)
    assert str(caught.value) == f"{source} {words}"
    assert not leaks.places(caught.value, KEY)


@pytest.mark.parametrize(
    ("key", "kind"),
    [(b"bytes-" + KEY.encode(), "bytes"), (7, "int"), (True, "bool"), ([KEY], "list"), (str, "type")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_key_of_another_type_is_refused_unshown(key: Any, kind: str) -> None:
    """The message names the type, not the value."""
    with pytest.raises(ConfigurationError, match=rf"^api_key: must be a str, not {kind}$") as caught:
        read(key)
    assert not leaks.places(caught.value, KEY)


@pytest.mark.parametrize("api_key", [None, "", KEY, 7, b"x", ["k"], str, Secret(KEY)], ids=repr)
def test_wrapping_raises_nothing_and_keeps_no_plain_key(api_key: Any) -> None:
    """The key is wrapped before anything can raise, since the frames of an error show arguments."""
    wrapped = wrap_key(api_key)
    assert wrapped is None or isinstance(wrapped, Secret | type)
    assert KEY not in repr(wrapped)


def test_the_key_is_shown_masked() -> None:
    """Neither repr nor str shows more of a key than its last four letters, and of a short one nothing."""
    for shown in (repr(Secret(KEY)), str(Secret(KEY)), f"{Secret(KEY)}"):
        assert shown == "'****wXyZ'"
    assert repr(Secret("fifteen-letters")) == "'****'"
    assert repr(Secret("sixteen--letters")) == "'****ters'"


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy])
def test_the_key_is_not_pickled_or_copied(way: Any) -> None:
    """A key in a pickle is a key in a file; the message says what to do instead and does not show it."""
    words = r"^a key is not pickled or copied: make a new client where you need one$"
    with pytest.raises(TypeError, match=words) as caught:
        way(Secret(KEY))
    assert not leaks.places(caught.value, KEY)


def test_the_key_is_redacted_in_what_comes_back() -> None:
    """A service that echoes the key puts it into no error, as bytes or as text."""
    assert Secret(KEY).redact(f"bad key {KEY}, {KEY}".encode()) == b"bad key ****, ****"
    assert Secret(KEY).redact_text(f"bad key {KEY}, {KEY}") == "bad key ****, ****"


def test_a_key_too_short_for_a_secret_garbles_nothing() -> None:
    """A key such as "x", with which the mock server is content, is part of many words."""
    assert Secret("x").redact(b"no extra inputs") == b"no extra inputs"
    assert Secret("1234567").redact_text("bad key 1234567") == "bad key 1234567"
    assert Secret("12345678").redact(b"bad key 12345678") == b"bad key ****"
    assert Secret("12345678").redact_text("bad key 12345678") == "bad key ****"
