"""The types of arguments, for annotations. This module is imported only when one of its names is used.

The TypedDicts come first in each union, because editors complete the keys of an inline dict from the first
member that fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from millis_api.dicts import (
    AgentConfigDict,
    AgentConfigOverrideDict,
    AssistantMessageDict,
    ToolMessageDict,
    UserMessageDict,
)
from millis_api.models import AgentConfig, AgentConfigOverride, AssistantMessage, ToolMessage, UserMessage

Message: TypeAlias = (
    UserMessageDict
    | AssistantMessageDict
    | ToolMessageDict
    | Mapping[str, Any]
    | UserMessage
    | AssistantMessage
    | ToolMessage
)
"""One message: a dict or a generated model. Annotate a dict with `UserMessageDict`, `AssistantMessageDict` or
`ToolMessageDict` to have its keys checked."""

Messages: TypeAlias = str | Iterable[Message]
"""The messages of a chat: the user's message as a str, or the whole history."""

Config: TypeAlias = (
    AgentConfigOverrideDict | AgentConfigDict | Mapping[str, Any] | AgentConfigOverride | AgentConfig
)
"""An agent config: a dict or a generated model. Annotate a dict with `AgentConfigOverrideDict` to have its
keys checked."""
