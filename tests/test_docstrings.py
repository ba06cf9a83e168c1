from __future__ import annotations

import asyncio
import doctest
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from marks import NEEDS_DOCSTRINGS

import millis_wrapper
from millis_wrapper import (
    AsyncChatStream,
    AsyncConversation,
    AsyncMillis,
    ChatStream,
    Conversation,
    Millis,
    RetryPolicy,
    Timeout,
    config,
    sse,
)
from millis_wrapper.mock import MockMillis

WITH_EXAMPLE = [
    Millis,
    AsyncMillis,
    ChatStream,
    AsyncChatStream,
    Conversation,
    AsyncConversation,
    Timeout,
    RetryPolicy,
    sse.decode,
    config.check_config,
    config.diff_configs,
]
NAMES = [getattr(millis_wrapper, name) for name in millis_wrapper.__all__]
CLASSES = [named for named in NAMES if isinstance(named, type)]


def _public(cls: type[Any]) -> Iterator[tuple[str, Any]]:
    yield cls.__name__, cls
    for name, member in vars(cls).items():
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
            yield f"{cls.__name__}.{name}", member


@NEEDS_DOCSTRINGS
@pytest.mark.parametrize("cls", CLASSES)
def test_the_docstring_of_every_public_name_begins_with_a_sentence(cls: type[Any]) -> None:
    """`help()` describes every public name, and the description begins with a complete sentence."""
    for name, thing in _public(cls):
        first = (inspect.getdoc(thing) or "").partition("\n\n")[0]
        assert first.endswith(".") or "." in first, name
        assert first[:1].isupper() or first[:1].isdigit() or first[:1] == "`", name


@NEEDS_DOCSTRINGS
@pytest.mark.parametrize("thing", WITH_EXAMPLE, ids=lambda thing: thing.__name__)
def test_the_examples_in_docstrings_work(
    thing: Any,
    millis: Millis,
    async_millis: AsyncMillis,
    millis_mock: MockMillis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The examples run against the mock server and produce the output that they show."""
    monkeypatch.setenv("MILLIS_API_KEY", "a-key")
    monkeypatch.setenv("MILLIS_BASE_URL", millis_mock.url)
    millis_mock.add_agent("-OabCdEfGhIjKlMnOpQr")
    client = async_millis if thing.__name__.startswith("Async") else millis
    names = vars(inspect.getmodule(thing)) | {"millis": client, "asyncio": asyncio}
    (test,) = doctest.DocTestFinder(recurse=False).find(thing, thing.__name__, globs=names)
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0
