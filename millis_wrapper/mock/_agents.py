"""The agents of the mock server: saved agents and copies."""

from __future__ import annotations

import re
import secrets
import string
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from millis_wrapper._json import is_object
from millis_wrapper._text import short_repr
from millis_wrapper.config import check_config
from millis_wrapper.config._data import copy_config
from millis_wrapper.config._load import load_list
from millis_wrapper.errors import ConfigurationError

from ._scenarios import ID_LENGTH, MAGIC_IDS

DEFAULT_AGENT_ID = "-mock-agent---------"

_ID_LETTERS = string.ascii_letters + string.digits + "-_"
_ID = re.compile(r"[A-Za-z0-9_-]+")

_DEFAULT_CONFIG: dict[str, Any] = {
    "prompt": "You are a mock agent. Repeat the last message.",
    "voice": {"provider": "elevenlabs", "voice_id": "mock-voice"},
    "flow": {"user_start_first": True},
    "llm": {"model": "gpt-4o", "temperature": 0},
    "language": "en-US",
}


@attrs.frozen
class SavedAgent:
    """A saved agent or a copy."""

    id: str
    name: str
    config: dict[str, Any]
    created_at: int
    """Milliseconds since the epoch."""


def new_agent_id() -> str:
    """Return a new id in the form of the service's ids."""
    return "-" + "".join(secrets.choice(_ID_LETTERS) for _ in range(ID_LENGTH - 1))


@attrs.define
class Agents:
    """All agents, by id."""

    clock: Callable[[], float] = time.time
    """Returns the current time, in seconds since the epoch."""
    new_id: Callable[[], str] = new_agent_id
    copies: dict[str, SavedAgent] = attrs.field(factory=dict[str, SavedAgent])
    """The copies made by `duplicate`, by id."""
    _saved: dict[str, SavedAgent] = attrs.field(init=False, factory=dict[str, SavedAgent])

    def __attrs_post_init__(self) -> None:
        for agent_id in (DEFAULT_AGENT_ID, *MAGIC_IDS):
            self._saved[agent_id] = self._new(agent_id, "Mock agent", _DEFAULT_CONFIG)

    def names(self) -> list[str]:
        """Return the ids of the saved agents, without copies and failure scenarios."""
        return [agent_id for agent_id in self._saved if agent_id not in MAGIC_IDS]

    def get(self, agent_id: str) -> SavedAgent | None:
        """Return the agent or copy with this id, or None."""
        return self._saved.get(agent_id) or self.copies.get(agent_id)

    def add(
        self, agent_id: str | None = None, *, name: str = "Agent", config: Mapping[str, Any] | None = None
    ) -> SavedAgent:
        """Save an agent and return it; see `MockMillis.add_agent`."""
        agent_id = self._free_id(agent_id)
        complete = _complete_config(agent_id, _DEFAULT_CONFIG if config is None else config)
        agent = self._saved[agent_id] = self._new(agent_id, name, complete)
        return agent

    def duplicate(self, agent: SavedAgent) -> SavedAgent:
        """Save a copy of `agent` under a new id and return the copy."""
        copy = self._new(self._free_id(None), f"{agent.name} (copy)", agent.config)
        self.copies[copy.id] = copy
        return copy

    def load(self, path: str | Path) -> list[SavedAgent]:
        """Save the agents of a JSON file; see `MockMillis.load_agents`."""
        items = load_list(path, '[{"id": "-agent", "name": "Agent", "config": {"prompt": "Be brief."}}]')
        return [self._load_one(f"{path}[{number}]", item) for number, item in enumerate(items)]

    def _load_one(self, place: str, item: object) -> SavedAgent:
        agent = item if is_object(item) else {}
        agent_id, name, config = agent.get("id"), agent.get("name", "Agent"), agent.get("config", {})
        if not isinstance(agent_id, str) or not isinstance(name, str) or not is_object(config):
            raise ConfigurationError(
                f"{place}: must be an object with id (string), name (string) and config (object)"
            )
        try:
            return self.add(agent_id, name=name, config=config)
        except ConfigurationError as error:
            raise ConfigurationError(f"{place}: {error}") from error

    def _new(self, agent_id: str, name: str, config: dict[str, Any]) -> SavedAgent:
        return SavedAgent(agent_id, name, config, created_at=int(self.clock() * 1000))

    def _free_id(self, agent_id: str | None) -> str:
        agent_id = self.new_id() if agent_id is None else agent_id
        if not _ID.fullmatch(agent_id):
            raise ConfigurationError(
                f"agent_id: may contain only letters, digits, - and _, got {short_repr(agent_id)}"
            )
        if self.get(agent_id) is not None:
            raise ConfigurationError(f"agent_id: {short_repr(agent_id)} already exists; use another id")
        return agent_id


def _complete_config(agent_id: str, config: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {key: _DEFAULT_CONFIG[key] for key in ("prompt", "voice")}
    complete = defaults | copy_config(config, f"agent {agent_id}: config")
    errors = [finding for finding in check_config(complete) if finding.level == "error"]
    if errors:
        problems = "; ".join(f"{finding.path}: {finding.message}" for finding in errors)
        raise ConfigurationError(f"agent {agent_id}: config: {problems}")
    return complete
