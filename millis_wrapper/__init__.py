"""The Python client for Millis AI voice agents."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # In this form, because pyright does not follow `from millis_api import dicts` to its `__all__`.
    import millis_api.dicts as _dicts
    from millis_api.dicts import *  # noqa: F403  (a TypedDict for each model)

    from ._async.client import AsyncMillis as AsyncMillis
    from ._async.conversation import AsyncConversation as AsyncConversation
    from ._async.stream import AsyncChatStream as AsyncChatStream
    from ._sync.client import Millis as Millis
    from ._sync.conversation import Conversation as Conversation
    from ._sync.stream import ChatStream as ChatStream
    from ._types import Config as Config
    from ._types import Message as Message
    from ._types import Messages as Messages
    from ._version import __version__ as __version__
    from .errors import APIConnectionError as APIConnectionError
    from .errors import APIStatusError as APIStatusError
    from .errors import APITimeoutError as APITimeoutError
    from .errors import AuthenticationError as AuthenticationError
    from .errors import BadRequestError as BadRequestError
    from .errors import ConfigurationError as ConfigurationError
    from .errors import FieldError as FieldError
    from .errors import InternalServerError as InternalServerError
    from .errors import MillisError as MillisError
    from .errors import NotFoundError as NotFoundError
    from .errors import PermissionDeniedError as PermissionDeniedError
    from .errors import RateLimitError as RateLimitError
    from .errors import StreamError as StreamError
    from .errors import StreamFailedError as StreamFailedError
    from .errors import StreamInterruptedError as StreamInterruptedError
    from .errors import UnexpectedResponseError as UnexpectedResponseError
    from .errors import UnknownFieldWarning as UnknownFieldWarning
    from .errors import UnprocessableEntityError as UnprocessableEntityError
    from .options import Timeout as Timeout
    from .results import ChatChunk as ChatChunk
    from .results import ChatReply as ChatReply
    from .results import DuplicatedAgent as DuplicatedAgent
    from .retry import RetryPolicy as RetryPolicy

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
    # Public, too, for type checkers. At run time `__getattr__` finds them, so that importing this package
    # does not import the generated one.
    __all__ += _dicts.__all__

# Where each name lives; the many that are not listed live in `errors`.
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
