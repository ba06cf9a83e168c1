"""What the mock's agents say: an echo, a script, or what a function returns."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import anyio.to_thread
import attrs

from millis_wrapper._json import is_array, is_mapping, is_object
from millis_wrapper._text import shorten
from millis_wrapper.config._placeholders import fill
from millis_wrapper.errors import ConfigurationError
from millis_wrapper.results import ChatReply

from ._files import load_list
from ._streams import Piece

Reply: TypeAlias = str | ChatReply | Mapping[str, Any] | Iterable[str | Mapping[str, Any]]
ReplyFunction: TypeAlias = Callable[[dict[str, Any]], Reply]

# A word with the space before it, as language models cut text.
_TOKEN = re.compile(r"\s*\S+|\s+$")
_CHAT_REPLY_KEYS = {field.name for field in attrs.fields(ChatReply)}
_ARGUMENT_PIECE = 10  # characters of a tool call's arguments in one chunk


class ReplyError(Exception):
    """The reply function raised, or did not return a reply."""


def echo(body: dict[str, Any]) -> str:
    """Return the last message, with its placeholders filled in from the metadata."""
    messages = body["messages"]
    text, _ = fill(messages[-1]["content"] if messages else "", body["agent"].get("metadata") or {})
    return text


class Script:
    """Replies that are said in their order, the last one again and again."""

    def __init__(self, replies: Iterable[object]) -> None:
        self._replies = [_checked(reply) for reply in replies]
        # next() of a count is one step, so two requests at once never get the same turn.
        self._turns = itertools.count()

    def __call__(self, body: dict[str, Any]) -> list[Piece]:
        """Return the reply whose turn it is."""
        return self._replies[min(next(self._turns), len(self._replies) - 1)]


def reply_function(replies: tuple[Reply | ReplyFunction, ...]) -> ReplyFunction:
    """Return the function that says `replies`: an echo for none, one function itself, else a Script.

    Raises:
        ConfigurationError: something is not a reply.
    """
    if not replies:
        return echo
    if len(replies) == 1 and callable(replies[0]):
        return replies[0]
    return Script(replies)


def load_script(path: str | Path) -> Script:
    """Read a script from a JSON file; see `MockMillis.load_script`."""
    replies = load_list(path, '["Hello!", ["Good", "bye."]]')
    try:
        return Script(replies)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


async def pieces_of(function: ReplyFunction, body: dict[str, Any]) -> AsyncGenerator[Piece]:
    """Ask `function` for its reply to `body`, in a thread of its own, and return the reply's pieces.

    Raises:
        ReplyError: it raised; the iterator raises it too, when the pieces do.
    """
    said: object = await _call(function, body)
    try:
        return _one_by_one(_pieces(said))
    except ConfigurationError as error:
        raise ReplyError(f"the reply function returned what is not a reply: {error}") from error


async def _one_by_one(pieces: list[Any] | Iterator[Any]) -> AsyncGenerator[Piece]:
    source, end = iter(pieces), object()
    while True:
        # A list is at hand, but an iterator is the user's own code, which may take its time.
        piece: Any = next(source, end) if isinstance(pieces, list) else await _call(next, source, end)
        if piece is end:
            return
        if not _is_piece(piece):
            kind = type(piece).__name__
            raise ReplyError(f"the reply function gave a {kind} as a piece: it must be a str or a dict")
        yield piece if isinstance(piece, str) else dict(piece)


async def _call(function: Callable[..., Any], *arguments: object) -> Any:
    try:
        return await anyio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True)
    except Exception as error:  # whatever the user's function raises is shown to the user
        raise ReplyError(f"the reply function raised {type(error).__name__}: {error}") from error


def _pieces(reply: Any) -> list[Any] | Iterator[Any]:
    """Return the pieces of `reply`; those of an iterator are not looked at.

    Raises:
        ConfigurationError: it is not a reply.
    """
    if isinstance(reply, str):
        return _tokens(reply)
    if isinstance(reply, ChatReply):
        return list(_chunks_of(reply))
    if is_mapping(reply):
        # In a script file a ChatReply is its `to_dict()`; any other object is a chunk.
        is_reply = bool(reply) and reply.keys() <= _CHAT_REPLY_KEYS
        return list(_chunks_of(_chat_reply(reply))) if is_reply else [reply]
    if is_array(reply):
        return reply
    try:
        iterator: Iterator[Any] = iter(reply)
    except TypeError:
        shown = shorten(repr(reply), 80)
        raise ConfigurationError(
            f"{shown} is not a reply: pass a str, a ChatReply, a list of strs and chunk dicts,"
            " or one function alone"
        ) from None
    return iterator


def _checked(reply: object) -> list[Piece]:
    """Return the pieces of a reply that is known beforehand."""
    pieces = list(_pieces(reply))
    if not pieces or not all(map(_is_piece, pieces)):
        raise ConfigurationError(f"{shorten(repr(reply), 80)} is not a reply: its pieces are strs and dicts")
    return pieces


def _is_piece(value: object) -> bool:
    return isinstance(value, str) or is_mapping(value)


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text) or [""]


def _chunks_of(reply: ChatReply) -> Iterable[Piece]:
    """Yield the reply in the pieces in which services of this kind send one."""
    yield {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
    if reply.text:
        yield from _tokens(reply.text)
    for index, call in enumerate(reply.tool_calls):
        function: dict[str, Any] = {**(call.get("function") or {})}
        arguments = str(function.get("arguments", ""))
        first = {**call, "index": index, "function": {**function, "arguments": ""}}
        rest = [
            {"index": index, "function": {"arguments": arguments[start : start + _ARGUMENT_PIECE]}}
            for start in range(0, len(arguments), _ARGUMENT_PIECE)
        ]
        for delta in (first, *rest):
            yield {"choices": [{"index": 0, "delta": {"tool_calls": [delta]}}]}
    if reply.finish_reason is not None:
        yield {"choices": [{"index": 0, "delta": {}, "finish_reason": reply.finish_reason}]}
    if reply.usage is not None:
        yield {"choices": [], "usage": reply.usage}


def _chat_reply(fields: Mapping[str, Any]) -> ChatReply:
    reply = ChatReply(**fields)
    if not (isinstance(reply.text, str) and isinstance(reply.usage, dict | None)):
        raise ConfigurationError("text: must be a string, and usage an object")
    if not is_array(reply.tool_calls) or not all(map(is_object, reply.tool_calls)):
        raise ConfigurationError("tool_calls: must be a list of {id, type, function: {name, arguments}}")
    return reply
