"""Saved agents: `millis.agents`."""

from __future__ import annotations

from millis_wrapper.options import Timeout, as_timeout
from millis_wrapper.request import prepare_duplicate
from millis_wrapper.response import prepare_reading, read_duplicated_agent
from millis_wrapper.results import DuplicatedAgent

from .transport import AsyncTransport


class AsyncAgents:
    """Saved agents: `millis.agents`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def duplicate(self, agent_id: str, *, timeout: float | Timeout | None = None) -> DuplicatedAgent:
        """Duplicate an agent with its whole config and return the copy.

        Every request that reaches the service creates a copy. The client therefore retries only if the
        request provably did not reach the service, or the service refused it with 429.

        Args:
            agent_id: The ID of the agent to duplicate.
            timeout: Seconds for each wait, or a Timeout. The default is the client's timeout.

        Raises:
            ConfigurationError: An argument is invalid; nothing was sent.
            APIStatusError: The service returned an error status (NotFoundError for an unknown agent).
            APIConnectionError: No complete response arrived; `maybe_processed` is True if a copy may exist.
            UnexpectedResponseError: The response has no agent ID.
        """
        prepared = prepare_duplicate(agent_id)
        prepare_reading()
        timeout = as_timeout(timeout, self._transport.timeout)
        # The body may echo the key, so no local variable, which a traceback would show, holds it.
        return read_duplicated_agent(
            *await self._transport.read(prepared, timeout), redact=self._transport.options.key.redact
        )
