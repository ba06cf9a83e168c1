"""What the mock's agents say: an echo, a script, or what a function returns."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

import anyio.to_thread
import attrs

from millis_wrapper._json import is_array, is_mapping, is_object
from millis_wrapper._text import shorten
from millis_wrapper.chat import ChatReply
from millis_wrapper.errors import ConfigurationError

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
    """Say what the last message says."""
    messages = body["messages"]
    return messages[-1]["content"] if messages else ""


class Script:
    """Replies that are said in their order, the last one again and again."""

    def __init__(self, replies: Iterable[object]) -> None:
        self._replies = [_as_reply(reply) for reply in replies]
        # next() of a count is one step, so two requests at once never get the same turn.
        self._turns = itertools.count()

    def __call__(self, body: dict[str, Any]) -> Reply:
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
    return Script(_not_a_function(reply) for reply in replies)


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
    try:
        said: object = await anyio.to_thread.run_sync(function, body, abandon_on_cancel=True)
    except Exception as error:  # whatever the user's function raises is shown to the user
        raise ReplyError(f"the reply function raised {type(error).__name__}: {error}") from error
    if _is_iterable(said) and not (isinstance(said, str) or is_mapping(said)):
        return _pieces(said)  # which are looked at one by one, as they come
    try:
        return _pieces(_as_reply(said))
    except ConfigurationError as error:
        raise ReplyError(f"the reply function returned what is not a reply: {error}") from error


async def _pieces(reply: Reply | Iterable[object]) -> AsyncGenerator[Piece]:
    if isinstance(reply, str):
        for token in _tokens(reply):
            yield token
    elif isinstance(reply, ChatReply):
        for part in _chunks_of(reply):
            yield part
    elif is_mapping(reply):
        yield dict(reply)
    else:
        source, end = iter(reply), object()
        while (piece := await _next(source, end)) is not end:
            if isinstance(piece, str):
                yield piece
            elif is_mapping(piece):
                yield dict(piece)
            else:
                kind = type(piece).__name__
                raise ReplyError(f"the reply function gave a {kind} as a piece: it must be a str or a dict")


async def _next(source: Iterator[object], end: object) -> object:
    try:
        return await anyio.to_thread.run_sync(next, source, end, abandon_on_cancel=True)
    except Exception as error:  # as above
        raise ReplyError(f"the reply function raised {type(error).__name__}: {error}") from error


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text) or [""]


def _chunks_of(reply: ChatReply) -> Iterable[Piece]:
    """Yield the reply in the pieces in which services of this kind send one."""
    yield {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
    if reply.text:
        yield from _tokens(reply.text)
    for index, call in enumerate(reply.tool_calls):
        function: dict[str, Any] = call.get("function") or {}
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


def _not_a_function(reply: Reply | ReplyFunction) -> Reply:
    if callable(reply):
        raise ConfigurationError("reply_with: a function answers every request: pass it alone")
    return reply


def _as_reply(reply: object) -> Reply:
    """Return `reply`, checked."""
    if isinstance(reply, str | ChatReply):
        return reply
    if is_mapping(reply):
        is_reply = bool(reply) and reply.keys() <= _CHAT_REPLY_KEYS
        return _chat_reply(dict(reply)) if is_reply else reply
    if _is_iterable(reply):
        pieces = list(reply)
        checked = [piece for piece in pieces if isinstance(piece, str) or is_object(piece)]
        if checked and len(checked) == len(pieces):
            return checked
    shown = shorten(repr(reply), 80)
    raise ConfigurationError(
        f"{shown} is not a reply: pass a str, a ChatReply, or a list of strs and chunk dicts"
    )


def _is_iterable(value: object) -> TypeGuard[Iterable[object]]:
    return isinstance(value, Iterable)


def _chat_reply(fields: dict[str, Any]) -> ChatReply:
    calls: Any = fields.get("tool_calls") or []
    usage: Any = fields.get("usage")
    if not is_array(calls) or not all(is_object(call) for call in calls):
        raise ConfigurationError("tool_calls: must be a list of {id, type, function: {name, arguments}}")
    if not (usage is None or is_object(usage)):
        raise ConfigurationError("usage: must be an object")
    reason = fields.get("finish_reason")
    return ChatReply(str(fields.get("text") or ""), reason, usage=usage, tool_calls=calls)
