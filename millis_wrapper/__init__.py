"""The Python client for Millis AI voice agents."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # pyright does not find `__all__` through `from millis_api import dicts`.
    import millis_api.dicts as _dicts
    from millis_api.dicts import *  # noqa: F403  (a TypedDict for each model)

    from ._async.client import AsyncMillis
    from ._async.conversation import AsyncConversation
    from ._async.stream import AsyncChatStream
    from ._sync.client import Millis
    from ._sync.conversation import Conversation
    from ._sync.stream import ChatStream
    from ._types import Config, Message, Messages
    from ._version import __version__
    from .errors import (
        APIConnectionError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ConfigurationError,
        FieldError,
        InternalServerError,
        MillisError,
        NotFoundError,
        PermissionDeniedError,
        RateLimitError,
        StreamError,
        StreamFailedError,
        StreamInterruptedError,
        UnexpectedResponseError,
        UnknownFieldWarning,
        UnprocessableEntityError,
    )
    from .options import Timeout
    from .results import ChatChunk, ChatReply, DuplicatedAgent
    from .retry import RetryPolicy

__all__: list[str] = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncChatStream",
    "AsyncConversation",
    "AsyncMillis",
    "AuthenticationError",
    "BadRequestError",
    "ChatChunk",
    "ChatReply",
    "ChatStream",
    "Config",
    "ConfigurationError",
    "Conversation",
    "DuplicatedAgent",
    "FieldError",
    "InternalServerError",
    "Message",
    "Messages",
    "Millis",
    "MillisError",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "RetryPolicy",
    "StreamError",
    "StreamFailedError",
    "StreamInterruptedError",
    "Timeout",
    "UnexpectedResponseError",
    "UnknownFieldWarning",
    "UnprocessableEntityError",
    "__version__",
]

if TYPE_CHECKING:
    # At run time, `__getattr__` imports these names when they are used.
    __all__ += _dicts.__all__

# The module of each name that is not in `errors`.
_MODULES = {
    "AsyncChatStream": "_async.stream",
    "AsyncConversation": "_async.conversation",
    "AsyncMillis": "_async.client",
    "ChatChunk": "results",
    "ChatReply": "results",
    "ChatStream": "_sync.stream",
    "Config": "_types",
    "Conversation": "_sync.conversation",
    "DuplicatedAgent": "results",
    "Message": "_types",
    "Messages": "_types",
    "Millis": "_sync.client",
    "RetryPolicy": "retry",
    "Timeout": "options",
    "__version__": "_version",
}


if not TYPE_CHECKING:  # otherwise a type checker would accept any misspelled name

    def __getattr__(name: str) -> Any:
        """Import a public name from its module on first use (PEP 562)."""
        if name in __all__:
            value = getattr(import_module(f".{_MODULES.get(name, 'errors')}", __name__), name)
        elif name.endswith("Dict") and name in (dicts := import_module("millis_api.dicts")).__all__:
            value = getattr(dicts, name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *import_module("millis_api.dicts").__all__})
