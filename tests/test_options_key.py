"""The key: where it comes from, which values are rejected, and that no message shows it."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import leaks
import pytest
from options_helpers import KEY

from millis_wrapper._key import Secret, read_key, wrap_key
from millis_wrapper.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLIS_API_KEY", raising=False)


def read(api_key: Any) -> str:
    return read_key(wrap_key(api_key)).reveal()


def test_the_key_is_the_argument_or_the_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """`api_key` overrides MILLIS_API_KEY, which is read when a client is created, not at import."""
    monkeypatch.setenv("MILLIS_API_KEY", "from-the-environment")
    assert read(None) == "from-the-environment"
    assert read(KEY) == KEY


@pytest.mark.parametrize("space", [" ", "\n", "\r\n", "\t", "\u00a0"])
def test_whitespace_around_the_key_is_dropped(space: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that was copied with a space, or read from a file with its line ending, works."""
    assert read(space + KEY + space) == KEY
    monkeypatch.setenv("MILLIS_API_KEY", KEY + space)
    assert read(None) == KEY


@pytest.mark.parametrize(
    "key", ["sk_live-1.2~3", "x", "bearerish", "c2VjcmV0LWtleQ=", "c2VjcmV0LWtleQ==", "a'b"]
)
def test_a_key_may_contain_any_printable_ascii(key: str) -> None:
    """The client makes no assumption about the form of a key; this includes a base64 "=" at the end."""
    assert read(key) == key


def test_wrapping_a_key_twice_changes_nothing() -> None:
    """A Secret is accepted as a key."""
    assert read(Secret(KEY)) == KEY


def test_the_message_for_a_missing_key_names_argument_and_variable() -> None:
    """The message names both ways to pass the key."""
    with pytest.raises(ConfigurationError, match=r"^no key: .*api_key= .*MILLIS_API_KEY"):
        read(None)


@pytest.mark.parametrize("key", ["", " ", "\n"])
def test_the_message_for_an_empty_key_names_its_source(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty argument is an error, even if the environment has a key."""
    monkeypatch.setenv("MILLIS_API_KEY", key)
    with pytest.raises(ConfigurationError, match=r"^MILLIS_API_KEY: must not be empty"):
        read(None)
    monkeypatch.setenv("MILLIS_API_KEY", KEY)
    with pytest.raises(ConfigurationError, match=r"^api_key: must not be empty"):
        read(key)


@pytest.mark.parametrize(
    "inside", ["\n", "\r\nx-evil: 1\r\n", "\x00", "\x1b[31m", "\x7f", "\t", "é", "\u200b", "\ud800"]
)
def test_a_key_that_is_not_valid_in_a_header_is_rejected_and_not_shown(inside: str) -> None:
    """Control characters, which could split a header, and non-ASCII characters are rejected."""
    with pytest.raises(ConfigurationError, match=r"^api_key: .*control .*non-ASCII") as caught:
        read(KEY[:17] + inside + KEY[17:])
    assert not leaks.places(caught.value, KEY[:17])
    assert not leaks.places(caught.value, KEY[17:])


BEARER = '"Bearer"'
QUOTES = "quotes"
LINE = "NAME=value line"


@pytest.mark.parametrize("source", ["api_key", "MILLIS_API_KEY"])
@pytest.mark.parametrize(
    ("form", "key_word"),
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
def test_a_key_with_other_text_around_it_is_rejected_and_not_shown(
    form: str, key_word: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the text that was copied with the key, and does not show the key."""
    given = form.format(key=KEY)
    if source == "MILLIS_API_KEY":
        monkeypatch.setenv("MILLIS_API_KEY", given)
    with pytest.raises(ConfigurationError) as caught:
        read(given if source == "api_key" else None)
    assert str(caught.value).startswith(f"{source}: ")
    assert key_word in str(caught.value)
    assert not leaks.places(caught.value, KEY)


@pytest.mark.parametrize(
    ("key", "kind"),
    [(b"bytes-" + KEY.encode(), "bytes"), (7, "int"), (True, "bool"), ([KEY], "list"), (str, "type")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_key_of_another_type_is_rejected_and_not_shown(key: Any, kind: str) -> None:
    """The message names the type, not the value."""
    with pytest.raises(ConfigurationError, match=rf"^api_key: must be a str, .*{kind}$") as caught:
        read(key)
    assert not leaks.places(caught.value, KEY)


@pytest.mark.parametrize("api_key", [None, "", KEY, 7, b"x", ["k"], str, Secret(KEY)], ids=repr)
def test_wrapping_never_raises_and_keeps_no_plain_key(api_key: Any) -> None:
    """The repr of a wrapped key does not contain the key, because the frames of an error show arguments."""
    wrapped = wrap_key(api_key)
    assert wrapped is None or isinstance(wrapped, Secret | type)
    assert KEY not in repr(wrapped)


def test_the_key_is_masked() -> None:
    """repr and str show the last four characters of a key, or none of a short key."""
    for output in (repr(Secret(KEY)), str(Secret(KEY)), f"{Secret(KEY)}"):
        assert output == "'****wXyZ'"
    assert repr(Secret("fifteen-letters")) == "'****'"
    assert repr(Secret("sixteen--letters")) == "'****ters'"


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy])
def test_the_key_cannot_be_pickled_or_copied(way: Any) -> None:
    """A pickle would write the key to a file. The error does not show the key."""
    with pytest.raises(TypeError, match=r"pickled or copied; .*new client") as caught:
        way(Secret(KEY))
    assert not leaks.places(caught.value, KEY)


def test_the_key_is_redacted_in_echoes() -> None:
    """A key that the service echoes is redacted in bytes and in text."""
    assert Secret(KEY).redact(f"bad key {KEY}, {KEY}".encode()) == b"bad key ****, ****"
    assert Secret(KEY).redact_text(f"bad key {KEY}, {KEY}") == "bad key ****, ****"


def test_a_key_of_less_than_8_characters_is_not_redacted() -> None:
    """A key such as "x", which the mock server accepts, would be redacted in the middle of other text."""
    assert Secret("x").redact(b"no extra inputs") == b"no extra inputs"
    assert Secret("1234567").redact_text("bad key 1234567") == "bad key 1234567"
    assert Secret("12345678").redact(b"bad key 12345678") == b"bad key ****"
    assert Secret("12345678").redact_text("bad key 12345678") == "bad key ****"
