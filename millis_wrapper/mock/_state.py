"""The agents, replies, scenarios and recorded requests of a mock server."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias

import anyio

from millis_wrapper._text import short_repr
from millis_wrapper.errors import ConfigurationError

from ._agents import Agents, new_agent_id
from ._replies import Reply, ReplyFunction, echo, load_script, reply_function
from ._requests import MAX_REMEMBERED, MockRequest
from ._scenarios import AS_DOCUMENTED, SCENARIOS, Scenario, refuse, scenario_named

Sleep: TypeAlias = Callable[[float], Awaitable[None]]


class State:
    """The state of a mock server, which `MockMillis` runs."""

    def __init__(
        self,
        *,
        pace: float = 0.0,
        slow: float = 2.0,
        retry_after: int = 1,
        api_key: str | None = None,
        cors: bool = False,
        sleep: Sleep = anyio.sleep,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = new_agent_id,
    ) -> None:
        self.api_key = api_key
        self.cors = cors
        self.sleep = sleep
        self.is_command = False  # whether messages should name options instead of methods
        self._settings = (pace, slow, retry_after)
        self.agents = Agents(clock, new_id)
        self._new_agents = partial(Agents, clock, new_id)
        self.reset()

    def reset(self) -> None:
        """Restore the state of a new mock server, except for copies.

        Copies are kept because a pytest fixture with a wider scope may have made one for several tests.
        """
        self.pace, self.slow, self.retry_after = self._settings
        self.agents = self._new_agents(self.agents.copies)
        self.reply: ReplyFunction = echo
        self._requests = deque[MockRequest](maxlen=MAX_REMEMBERED)
        self._next_scenarios = deque[Scenario]()
        self._times_refused = Counter[str]()

    @property
    def requests(self) -> list[MockRequest]:
        """The latest 1,000 received requests, oldest first."""
        return list(self._requests)

    def reply_with(self, *replies: Reply | ReplyFunction) -> None:
        """Set the replies of the agents.

        Args:
            replies: The replies, in order; the last one repeats. A reply is a string, a `ChatReply` (its tool
                calls, finish_reason and usage are streamed, too), or a list of strings and of chunks as
                dicts, which are sent unchanged. A single function is called with each request body, a dict,
                and returns a reply. Without arguments, the agents echo the last message.

        Raises:
            ConfigurationError: A reply is invalid.
        """
        self.reply = reply_function(replies)

    def load_script(self, path: str | Path) -> None:
        """Set the replies of the agents from a JSON file.

        Args:
            path: A file with a list of replies in the form of `reply_with`. `ChatReply.to_dict()` represents
                a ChatReply.

        Raises:
            ConfigurationError: The file is missing or malformed, or a reply is invalid.
        """
        self.reply = load_script(path)

    def fail_next(
        self, scenario: int | str = 500, *, times: int = 1, retry_after: int | str | None = None
    ) -> None:
        """Make the next valid request fail, for any agent. Several calls add up.

        Args:
            scenario: An error status code, or the name or agent id of a failure scenario, such as "cut".
            times: The number of requests that fail.
            retry_after: The value of the Retry-After header, in seconds or as an HTTP date. It can be
                combined only with a status code.

        Raises:
            ConfigurationError: An argument is invalid. For an unknown scenario, the message lists all names.
        """
        # `True` is an int in Python, but a mistake here.
        if type(times) is not int or times < 1:
            raise ConfigurationError(f"times: must be an integer, 1 or more, got {short_repr(times)}")
        if type(retry_after) not in (int, str, type(None)):
            raise ConfigurationError(
                f"retry_after: must be seconds or an HTTP date, got {short_repr(retry_after)}"
            )
        if isinstance(scenario, str):
            if retry_after is not None:
                raise ConfigurationError("retry_after: can be combined only with an error status such as 429")
            failing = scenario_named(scenario)
        elif type(scenario) is int and 300 <= scenario <= 599:
            detail, asks_to_wait = "Failure requested with fail_next", retry_after is not None
            refusal = refuse(scenario, detail, asks_to_wait=asks_to_wait, wait=retry_after)
            failing = Scenario(str(scenario), "", refusal=refusal)
        else:
            raise ConfigurationError(
                "scenario: must be an error status (300 to 599) or a scenario's name,"
                f" got {short_repr(scenario)}"
            )
        self._next_scenarios.extend([failing] * times)

    def add_agent(
        self, agent_id: str | None = None, *, name: str = "Agent", config: Mapping[str, object] | None = None
    ) -> str:
        """Save an agent and return its id.

        Args:
            agent_id: The id. None generates one.
            name: The name.
            config: The config. Defaults for `prompt` and `voice` are added if they are missing.

        Raises:
            ConfigurationError: The id exists or is invalid, or the config does not match the contract.
        """
        return self.agents.add(agent_id, name=name, config=config).id

    def load_agents(self, path: str | Path) -> list[str]:
        """Save the agents of a JSON file and return their ids.

        Args:
            path: A file with a list of `{"id": ..., "name": ..., "config": {...}}`.

        Raises:
            ConfigurationError: The file is missing or malformed, or an agent is invalid. The message names
                both.
        """
        return [agent.id for agent in self.agents.load(path)]

    def remember(self, request: MockRequest) -> None:
        """Record a received request."""
        self._requests.append(request)

    def next_scenario(self, agent_id: str | None) -> Scenario:
        """Return the scenario for the current request, and count it."""
        if self._next_scenarios:
            return self._next_scenarios.popleft()
        scenario = SCENARIOS.get(agent_id or "", AS_DOCUMENTED)
        if scenario.times is not None:
            self._times_refused[scenario.name] += 1
            if self._times_refused[scenario.name] > scenario.times:
                return AS_DOCUMENTED
        return scenario
