"""Sync and async are the same library (promise 5): names, parameters and docstrings are compared here.

What they do is compared by the tests that run on both twins (`twins.py`).
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from millis_wrapper import AsyncChatStream, AsyncConversation, AsyncMillis, ChatStream, Conversation, Millis
from millis_wrapper._async.client import AsyncAgents, AsyncChat
from millis_wrapper._sync.client import Agents, Chat

PAIRS = pytest.mark.parametrize(
    ("sync", "twin"),
    [
        (Millis, AsyncMillis),
        (Chat, AsyncChat),
        (Agents, AsyncAgents),
        (ChatStream, AsyncChatStream),
        (Conversation, AsyncConversation),
    ],
)

# What differs by its nature, in the docstrings: the async words, and the sync ones.
WORDS = {
    "May be used in more than one event loop.": "May be shared by threads.",
    "Leaving the block closes the stream at once, and breaking out of a loop over it as soon as the event"
    " loop turns:": "Leaving the block, or breaking out of a loop over the stream, closes it at once:",
    "async ": "",
    "aclose": "close",
    "an httpx.Async": "an httpx.",
    "Async": "",
}
DUNDERS = {"__aenter__": "__enter__", "__aexit__": "__exit__", "__aiter__": "__iter__"}


def synced(words: str) -> str:
    """Return async words as the sync twin has to say them."""
    words = " ".join(words.split())
    for theirs, ours in WORDS.items():
        words = words.replace(theirs, ours)
    return words


def said(thing: Any) -> str:
    """Return the docstring without its example, which is code and so differs by its nature."""
    return " ".join((inspect.getdoc(thing) or "").partition("Example:")[0].split())


def members(cls: type[Any]) -> dict[str, Any]:
    """Return what a user of `cls` can see, by name; only the clients are constructed by users."""
    names = [name for name in dir(cls) if not name.startswith("_")]
    names += [name for name in vars(cls) if name in DUNDERS.values() or name in DUNDERS or name == "__repr__"]
    if cls in (Millis, AsyncMillis):
        names.append("__init__")
    return {name: inspect.getattr_static(cls, name) for name in names}


def signature(member: Any) -> list[tuple[str, str, Any, str]]:
    """Return each parameter with its kind, default and annotation, and what comes back."""
    found = inspect.signature(getattr(member, "fget", member))
    parameters = [(p.name, p.kind.name, p.default, str(p.annotation)) for p in found.parameters.values()]
    return [*parameters, ("return", "", None, str(found.return_annotation))]


@PAIRS
def test_the_twins_have_the_same_names(sync: type[Any], twin: type[Any]) -> None:
    """But for `aclose`, which is `close`, and Python's own names for async."""
    named = {DUNDERS.get(name, "close" if name == "aclose" else name) for name in members(twin)}
    assert named == set(members(sync))


@PAIRS
def test_the_twins_take_the_same_arguments_and_say_the_same(sync: type[Any], twin: type[Any]) -> None:
    """Kinds, defaults, annotations and docstrings are equal, but for the word async."""
    assert synced(said(twin)) == said(sync)
    for name, member in members(twin).items():
        ours = members(sync)[DUNDERS.get(name, "close" if name == "aclose" else name)]
        theirs = [(*rest, synced(annotation)) for *rest, annotation in signature(member)]
        assert theirs == [tuple(parameter) for parameter in signature(ours)], name
        assert synced(said(member)) == said(ours), name


@PAIRS
def test_what_can_be_awaited_is_what_does_the_work(sync: type[Any], twin: type[Any]) -> None:
    """What talks to the service is awaited in the async twin, and nothing else; in the sync one, nothing."""
    awaited = {name for name, member in members(twin).items() if inspect.iscoroutinefunction(member)}
    talking = {
        "send",
        "duplicate",
        "until_done",
        "get_final_reply",
        "close",
        "aclose",
        "__aenter__",
        "__aexit__",
    }
    assert awaited == talking & set(members(twin))
    assert not [name for name, member in members(sync).items() if inspect.iscoroutinefunction(member)]


def test_both_clients_have_the_same_rooms() -> None:
    """`chat` and `agents`, of the class that is compared above."""
    rooms = [
        {name: type(value).__name__ for name, value in vars(client).items() if not name.startswith("_")}
        for client in (Millis("key"), AsyncMillis("key"))
    ]
    assert rooms == [
        {"chat": "Chat", "agents": "Agents"},
        {"chat": "AsyncChat", "agents": "AsyncAgents"},
    ]
