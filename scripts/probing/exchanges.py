"""What the probe sends: one plain turn, and requests that differ from it in one thing each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import attrs

Operation: TypeAlias = Literal["chat", "duplicate"]
Message: TypeAlias = Mapping[str, str]

# Of the form that the service's own have, so that it is the agent, or the key, that is not there.
NO_SUCH_AGENT = "-probe-no-such-agent"
NO_SUCH_KEY = "0" * 32

_TURN: Message = {"role": "user", "content": "Say OK."}
_SYSTEM: Message = {"role": "system", "content": "Be brief."}


@attrs.frozen(eq=False)
class Exchange:
    """One request, and what is to be found out by it.

    `key`, `agent`: whose. `config`: an `agent_config` beside the agent's id. `end_of_session`: whether it is
    the last turn. `does`: what else it may do, for the list that is shown beforehand.
    """

    name: str
    operation: Operation = "chat"
    key: Literal["yours", "yours after Bearer", "made up", "none"] = "yours"
    agent: Literal["yours", "made up"] = "yours"
    messages: tuple[Message, ...] = (_TURN,)
    config: Mapping[str, Any] | None = None
    end_of_session: bool = False
    does: str = ""

    @property
    def uses_your_key(self) -> bool:
        return self.key.startswith("yours")

    @property
    def letters(self) -> int:
        """How many letters of prompt it holds."""
        return sum(len(message["content"]) for message in self.messages) if self.operation == "chat" else 0

    def agent_id(self, yours: str) -> str:
        """Return the id that it names, `yours` being the id of the caller's agent."""
        return yours if self.agent == "yours" else NO_SUCH_AGENT

    def body(self, yours: str) -> dict[str, Any] | None:
        """Return its JSON body; None for a request without one."""
        if self.operation == "duplicate":
            return None
        agent: dict[str, Any] = {"agent_id": self.agent_id(yours)}
        if self.config is not None:
            agent["agent_config"] = self.config
        body: dict[str, Any] = {"agent": agent, "messages": list(self.messages)}
        return {**body, "end_of_session": True} if self.end_of_session else body


PLAIN = Exchange("a plain turn", does="the agent answers")
LAST = Exchange(
    "the same with end_of_session",
    end_of_session=True,
    does="the agent answers, and its session_data_webhook may be called",
)
WRONG_KEY = Exchange("the same with a made-up key", key="made up")
NO_KEY = Exchange("the same without a key", key="none")
BEARER = Exchange("the same with Bearer before the key", key="yours after Bearer")
UNKNOWN_AGENT = Exchange("the same to an agent that does not exist", agent="made up")
UNKNOWN_KEY = Exchange("the same with an unknown config key", config={"probe_unknown_key": True})
UNKNOWN_KEY_BELOW = Exchange(
    "the same with an unknown key in `flow`", config={"flow": {"probe_unknown_key": True}}
)
FLOAT_DELAY = Exchange("the same with a delay of 500.5 ms", config={"flow": {"response_delay": 500.5}})
SYSTEM_ROLE = Exchange("the same after a message of the role system", messages=(_SYSTEM, _TURN))
UNKNOWN_ORIGINAL = Exchange(
    "duplicate of an agent that does not exist", operation="duplicate", agent="made up"
)
COPY = Exchange(
    "duplicate of your agent", operation="duplicate", does="makes a copy, which is yours to delete"
)

WITHOUT_A_COPY = (
    PLAIN,
    LAST,
    WRONG_KEY,
    NO_KEY,
    BEARER,
    UNKNOWN_AGENT,
    UNKNOWN_KEY,
    UNKNOWN_KEY_BELOW,
    FLOAT_DELAY,
    SYSTEM_ROLE,
)
WITH_A_COPY = (*WITHOUT_A_COPY, UNKNOWN_ORIGINAL, COPY)


def prompt_tokens(plan: tuple[Exchange, ...]) -> int:
    """Return about how many tokens of prompt `plan` sends; four letters make one, by a common rule."""
    return math.ceil(sum(exchange.letters for exchange in plan) / 4)
