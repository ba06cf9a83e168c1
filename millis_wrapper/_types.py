"""The types of arguments, for annotations; loaded only when somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from millis_api.models import AgentConfig, AgentConfigOverride, AssistantMessage, ToolMessage, UserMessage

Message: TypeAlias = Mapping[str, Any] | UserMessage | AssistantMessage | ToolMessage
"""One message: a dict, or a generated model. Annotate dicts with `UserMessageDict` and its like to have their
keys checked."""

Messages: TypeAlias = str | Iterable[Message]
"""What `chat` says: the user's message as a str, or the whole history."""

Config: TypeAlias = Mapping[str, Any] | AgentConfigOverride | AgentConfig
"""A config: a dict, or a generated model. Annotate dicts with `AgentConfigOverrideDict` to have their keys
checked."""
