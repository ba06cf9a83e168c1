"""The Python client for Millis AI voice agents."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

__all__ = [
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


def __getattr__(name: str) -> Any:
    # PEP 562: `import millis_wrapper` costs next to nothing, and each name loads only what it needs.
    if name.endswith("Dict") and name in (dicts := import_module("millis_api.dicts")).__all__:
        return getattr(dicts, name)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULES.get(name, 'errors')}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
