"""The replies of the mock agents: an echo, a script, or the results of a function."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import anyio.to_thread
import attrs

from millis_wrapper._json import is_array, is_mapping, is_object
from millis_wrapper._text import short_repr
from millis_wrapper.config._load import load_list
from millis_wrapper.config._placeholders import fill
from millis_wrapper.errors import ConfigurationError
from millis_wrapper.results import ChatReply

from ._streams import Chunk

Reply: TypeAlias = str | ChatReply | Mapping[str, Any] | Iterable[str | Mapping[str, Any]]
ReplyFunction: TypeAlias = Callable[[dict[str, Any]], Reply]

# A word with the space before it, similar to a token of a language model.
_TOKEN = re.compile(r"\s*\S+|\s+$")
_CHAT_REPLY_KEYS = {field.name for field in attrs.fields(ChatReply)}
_ARGUMENT_SIZE = 10  # characters of a tool call's arguments per chunk


class ReplyError(Exception):
    """The reply function raised an exception or returned an invalid reply."""


def echo(body: dict[str, Any]) -> str:
    """Return the content of the last message, with placeholders filled in from the metadata."""
    messages = body["messages"]
    text, _ = fill(messages[-1]["content"] if messages else "", body["agent"].get("metadata") or {})
    return text


class Script:
    """A list of replies, returned in order; the last one repeats."""

    def __init__(self, replies: Iterable[object]) -> None:
        self._replies = [_checked_chunks(reply) for reply in replies]
        # next() is atomic, so two concurrent requests never get the same reply.
        self._turns = itertools.count()

    def __call__(self, body: dict[str, Any]) -> list[Chunk]:
        """Return the next reply."""
        return self._replies[min(next(self._turns), len(self._replies) - 1)]


def reply_function(replies: tuple[Reply | ReplyFunction, ...]) -> ReplyFunction:
    """Return a reply function for `replies`: an echo if empty, the given function, or a `Script`.

    Raises:
        ConfigurationError: A reply is invalid.
    """
    if not replies:
        return echo
    if len(replies) == 1 and callable(replies[0]):
        return replies[0]
    return Script(replies)


def load_script(path: str | Path) -> Script:
    """Load a script from a JSON file; see `MockMillis.load_script`."""
    replies = load_list(path, '["Hello!", ["Good", "bye."]]')
    try:
        return Script(replies)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


async def chunks_of(function: ReplyFunction, body: dict[str, Any]) -> AsyncGenerator[Chunk]:
    """Call `function` with `body` in a worker thread, and return the chunks of its reply.

    Raises:
        ReplyError: The function failed. The returned iterator also raises it if a chunk is invalid.
    """
    reply: object = await _call(function, body)
    try:
        return _one_by_one(_chunks(reply))
    except ConfigurationError as error:
        raise ReplyError(f"the reply function returned an invalid reply: {error}") from error


async def _one_by_one(chunks: list[Any] | Iterator[Any]) -> AsyncGenerator[Chunk]:
    source, end = iter(chunks), object()
    while True:
        # An iterator is the user's own code, which may block, so it runs in a thread.
        chunk: Any = next(source, end) if isinstance(chunks, list) else await _call(next, source, end)
        if chunk is end:
            return
        if not _is_chunk(chunk):
            kind = type(chunk).__name__
            raise ReplyError(
                f"the reply function yielded an invalid chunk: must be a str or a dict, got {kind}"
            )
        yield chunk if isinstance(chunk, str) else dict(chunk)


async def _call(function: Callable[..., Any], *arguments: object) -> Any:
    try:
        return await anyio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True)
    except Exception as error:  # the user sees every exception of the user's own function
        raise ReplyError(f"the reply function raised {type(error).__name__}: {error}") from error


def _chunks(reply: Any) -> list[Any] | Iterator[Any]:
    """Return the chunks of `reply`. The chunks of an iterator are not checked.

    Raises:
        ConfigurationError: The reply is invalid.
    """
    if isinstance(reply, str):
        return _tokens(reply)
    if isinstance(reply, ChatReply):
        return list(_reply_chunks(reply))
    if is_mapping(reply):
        # A script file may contain `ChatReply.to_dict()`. Any other object is a chunk.
        is_reply = bool(reply) and reply.keys() <= _CHAT_REPLY_KEYS
        return list(_reply_chunks(_chat_reply(reply))) if is_reply else [reply]
    if is_array(reply):
        return reply
    try:
        iterator: Iterator[Any] = iter(reply)
    except TypeError:
        raise ConfigurationError(
            "a reply must be a string, a ChatReply, or a list of strings and chunks, got"
            f" {short_repr(reply, 80)}{'; pass a function as the only argument' if callable(reply) else ''}"
        ) from None
    return iterator


def _checked_chunks(reply: object) -> list[Chunk]:
    """Return the chunks of a reply in a script, checked."""
    chunks = list(_chunks(reply))
    if not chunks or not all(map(_is_chunk, chunks)):
        raise ConfigurationError(
            f"a reply must contain only strings and chunks (objects), got {short_repr(reply, 80)}"
        )
    return chunks


def _is_chunk(value: object) -> bool:
    return isinstance(value, str) or is_mapping(value)


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text) or [""]


def _reply_chunks(reply: ChatReply) -> Iterable[Chunk]:
    """Yield the reply in chunks, the way OpenAI-compatible services stream it."""
    yield {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
    if reply.text:
        yield from _tokens(reply.text)
    for index, call in enumerate(reply.tool_calls):
        function: dict[str, Any] = {**(call.get("function") or {})}
        arguments = str(function.get("arguments", ""))
        first = {**call, "index": index, "function": {**function, "arguments": ""}}
        rest = [
            {"index": index, "function": {"arguments": arguments[start : start + _ARGUMENT_SIZE]}}
            for start in range(0, len(arguments), _ARGUMENT_SIZE)
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
        raise ConfigurationError("text: must be a string; usage: must be an object or null")
    if not is_array(reply.tool_calls) or not all(map(is_object, reply.tool_calls)):
        raise ConfigurationError("tool_calls: must be a list of {id, type, function: {name, arguments}}")
    return reply
