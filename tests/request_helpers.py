"""Build requests from arguments, and return the error for invalid ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from millis_wrapper.errors import ConfigurationError
from millis_wrapper.request import (
    PreparedRequest,
    agent_arguments,
    prepare_chat,
    write_messages,
)

HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]


def agent(
    *,
    agent_id: Any = None,
    agent_config: Any = None,
    metadata: Any = None,
    include_metadata_in_prompt: Any = None,
    strict: bool = False,
) -> dict[str, Any]:
    return agent_arguments(
        agent_id=agent_id,
        agent_config=agent_config,
        metadata=metadata,
        include_metadata_in_prompt=include_metadata_in_prompt,
        strict=strict,
    )


def call(messages: Any = "Hello", *, end_of_session: Any = False, **arguments: Any) -> PreparedRequest:
    return prepare_chat(agent(**arguments), write_messages(messages), end_of_session=end_of_session)


def sent(messages: Any = "Hello", **arguments: Any) -> Any:
    content = call(messages, **arguments).content
    assert content is not None
    return json.loads(content)


def refusal(what: Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        what()
    assert len(str(caught.value)) < 300
    return str(caught.value)
