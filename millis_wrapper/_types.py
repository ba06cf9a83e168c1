"""The types of arguments, for annotations. The package imports this module only when a name is used.

The TypedDicts come first in each union, because editors use the first member for the keys of an inline dict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Protocol, TypeAlias

from millis_api.dicts import (
    AgentConfigDict,
    AgentConfigOverrideDict,
    AssistantMessageDict,
    ToolMessageDict,
    UserMessageDict,
)
from millis_api.models import AgentConfig, AgentConfigOverride
from millis_api.types import Model


class SupportsModelDump(Protocol):
    """An object with pydantic's `model_dump()`."""

    @property
    def model_dump(self) -> Callable[..., dict[str, Any]]:
        """Return the object's data."""
        ...


class Dataclass(Protocol):
    """An instance of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


_Data: TypeAlias = Mapping[str, Any] | SupportsModelDump | Dataclass

Message: TypeAlias = UserMessageDict | AssistantMessageDict | ToolMessageDict | Model | _Data
"""One message: a dict, a generated model, an object with `model_dump()` or a dataclass. Annotate a dict with
`UserMessageDict`, `AssistantMessageDict` or `ToolMessageDict` to have its keys checked."""

Messages: TypeAlias = str | Iterable[Message]
"""The messages of a chat: the user's message as a str, or the complete history."""

Config: TypeAlias = AgentConfigOverrideDict | AgentConfigDict | AgentConfigOverride | AgentConfig | _Data
"""An agent config: a dict, a generated model, an object with `model_dump()` or a dataclass. Annotate a dict
with `AgentConfigOverrideDict` to have its keys checked."""
