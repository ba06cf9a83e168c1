# Generated from millis_wrapper/_async/agents.py by scripts/regenerate: edit that file, not this one.

"""Saved agents: `millis.agents`."""

from __future__ import annotations

from millis_wrapper.options import Timeout, as_timeout
from millis_wrapper.request import prepare_duplicate
from millis_wrapper.response import prepare_reading, read_duplicated_agent
from millis_wrapper.results import DuplicatedAgent

from .transport import Transport


class Agents:
    """Saved agents: `millis.agents`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def duplicate(self, agent_id: str, *, timeout: float | Timeout | None = None) -> DuplicatedAgent:
        """Make a copy of an agent with its whole config, and return it.

        Each request that arrives makes a copy, so it is sent again only when it provably did not arrive, or
        was refused with 429.

        Args:
            agent_id: the id of the agent to copy.
            timeout: seconds for each wait, or a Timeout; None means the client's.

        Raises:
            ConfigurationError: an argument is wrong; nothing was sent.
            APIStatusError: the service answered with an error status (NotFoundError for an unknown agent).
            APIConnectionError: there was no whole answer; `maybe_processed` says whether a copy may exist.
            UnexpectedResponseError: the answer holds no id.
        """
        prepared = prepare_duplicate(agent_id)
        prepare_reading()
        timeout = as_timeout(timeout, self._transport.timeout)
        # The body gets no name here: the frames of an error show what has one, and it may echo the key.
        return read_duplicated_agent(
            *self._transport.read(prepared, timeout), redact=self._transport.options.key.redact
        )
