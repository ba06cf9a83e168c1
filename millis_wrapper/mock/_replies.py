"""What the mock's agents say: an echo, a script, or what a function returns."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

import anyio.to_thread

from millis_wrapper.errors import ConfigurationError

from ._json_data import load_list

Reply: TypeAlias = str | Iterable[str]
ReplyFunction: TypeAlias = Callable[[dict[str, Any]], Reply]

# A word with the space before it, as language models cut text.
_TOKEN = re.compile(r"\s*\S+|\s+$")


class ReplyError(Exception):
    """The reply function raised, or returned no reply."""


def echo(body: dict[str, Any]) -> str:
    """Say what the last message says."""
    messages = body["messages"]
    return messages[-1]["content"] if messages else ""


class Script:
    """Replies that are said in their order, the last one again and again."""

    def __init__(self, replies: Iterable[object]) -> None:
        self._replies = [_checked(reply) for reply in replies]
        # next() of a count is one step, so two requests at once never get the same turn.
        self._turns = itertools.count()

    def __call__(self, body: dict[str, Any]) -> Reply:
        return self._replies[min(next(self._turns), len(self._replies) - 1)]


def reply_function(replies: tuple[Reply | ReplyFunction, ...]) -> ReplyFunction:
    """Return the function that says `replies`: an echo for none, one function itself, else a Script.

    Raises ConfigurationError for anything that is no reply.
    """
    if not replies:
        return echo
    if len(replies) == 1 and callable(replies[0]):
        return replies[0]
    return Script(_not_a_function(reply) for reply in replies)


def load_script(path: str | Path) -> Script:
    """Read a script from a JSON file: a list of replies, each a text, or a list of its pieces.

    Raises ConfigurationError, naming the file.
    """
    replies = load_list(path, '["Hello!", ["Good", "bye."]]')
    try:
        return Script(replies)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


async def pieces_of(function: ReplyFunction, body: dict[str, Any]) -> AsyncGenerator[str]:
    """Ask `function` for its reply to `body`, in a thread of its own, and return the reply's pieces.

    Raises ReplyError when it raises; the iterator raises ReplyError when the pieces do.
    """
    try:
        reply: object = await anyio.to_thread.run_sync(function, body, abandon_on_cancel=True)
    except Exception as error:  # whatever the user's function raises is told, not guessed at
        raise ReplyError(f"the reply function raised {type(error).__name__}: {error}") from error
    if isinstance(reply, str):
        return _tokens(reply)
    if _is_iterable(reply):
        return _strs(reply)
    raise ReplyError(f"the reply function returned a {type(reply).__name__}: a str, or strs, are wanted")


async def _tokens(text: str) -> AsyncGenerator[str]:
    for token in _TOKEN.findall(text) or [""]:
        yield token


async def _strs(pieces: Iterable[object]) -> AsyncGenerator[str]:
    source, end = iter(pieces), object()
    while True:
        try:
            piece = await anyio.to_thread.run_sync(next, source, end, abandon_on_cancel=True)
        except Exception as error:  # as above
            raise ReplyError(f"the reply function raised {type(error).__name__}: {error}") from error
        if piece is end:
            return
        if not isinstance(piece, str):
            raise ReplyError(f"the reply function gave a {type(piece).__name__} as a piece: strs are wanted")
        yield piece


def _not_a_function(reply: Reply | ReplyFunction) -> Reply:
    if callable(reply):
        raise ConfigurationError("reply_with: a function answers every request: pass it alone")
    return reply


def _checked(reply: object) -> Reply:
    if isinstance(reply, str):
        return reply
    pieces = list(reply) if _is_iterable(reply) else []
    strs = [piece for piece in pieces if isinstance(piece, str)]
    if not strs or len(strs) < len(pieces):
        raise ConfigurationError(f"{reply!r} is no reply: a str is, or the strs that are its pieces")
    return strs


def _is_iterable(value: object) -> TypeGuard[Iterable[object]]:
    return isinstance(value, Iterable)
