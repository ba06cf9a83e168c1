"""What the mock knows, how it answers next, and what it was asked."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias

import anyio

from millis_wrapper._text import shorten
from millis_wrapper.errors import ConfigurationError

from ._agents import Agents, new_agent_id
from ._replies import Reply, ReplyFunction, echo, load_script, reply_function
from ._requests import MAX_REMEMBERED, MockRequest
from ._scenarios import AS_DOCUMENTED, SCENARIOS, Scenario, refuse, scenario_named

Sleep: TypeAlias = Callable[[float], Awaitable[None]]


class State:
    """The state of a mock server; `MockMillis` is what runs it."""

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
        self._settings = (pace, slow, retry_after)
        self.agents = Agents(clock, new_id)
        self._new_agents = partial(Agents, clock, new_id)
        self.reset()

    def reset(self) -> None:
        """Return to the state of a new mock server; only copies are kept.

        A pytest fixture of a wider scope may have made a copy that the next test uses.
        """
        self.pace, self.slow, self.retry_after = self._settings
        self.agents = self._new_agents(self.agents.copies)
        self.reply: ReplyFunction = echo
        self._requests = deque[MockRequest](maxlen=MAX_REMEMBERED)
        self._next_scenarios = deque[Scenario]()
        self._times_refused = Counter[str]()

    @property
    def requests(self) -> list[MockRequest]:
        """What came in, oldest first; of very many, the latest 1,000."""
        return list(self._requests)

    def reply_with(self, *replies: Reply | ReplyFunction) -> None:
        """Set what the agents say from now on.

        Args:
            replies: said in their order, the last one again and again. Each is a text, a `ChatReply` (with
                tool calls, finish_reason and usage, streamed in pieces), or the list of its pieces: texts,
                and chunks as dicts, which are sent as they are. One function alone is given each request's
                body as a dict, and returns one of these. None of them is the echo of the last message.

        Raises:
            ConfigurationError: something is not a reply.
        """
        self.reply = reply_function(replies)

    def load_script(self, path: str | Path) -> None:
        """Set what the agents say from a JSON file.

        Args:
            path: of a list of replies as `reply_with` takes them, a ChatReply as its `to_dict()`.

        Raises:
            ConfigurationError: the file cannot be read, or holds something that is not a reply.
        """
        self.reply = load_script(path)

    def fail_next(
        self, scenario: int | str = 500, *, times: int = 1, retry_after: int | str | None = None
    ) -> None:
        """Have the next valid request fail, whatever its agent; further calls queue up.

        Args:
            scenario: an error status, or the id of an agent that fails on purpose, or the middle of it, such
                as "cut".
            times: how many requests.
            retry_after: the value of that header, with an error status.

        Raises:
            ConfigurationError: an argument is wrong; the message lists what there is.
        """
        # A bool is an int too, and a mistake here.
        if type(times) is not int or times < 1:
            raise ConfigurationError(f"fail_next: times must be 1 or more, not {shorten(repr(times), 40)}")
        if type(retry_after) not in (int, str, type(None)):
            shown = shorten(repr(retry_after), 40)
            raise ConfigurationError(f"fail_next: retry_after must be seconds or an HTTP date, not {shown}")
        if isinstance(scenario, str):
            if retry_after is not None:
                raise ConfigurationError("fail_next: retry_after goes with an error status such as 429")
            failing = scenario_named(scenario)
        elif type(scenario) is int and 300 <= scenario <= 599:
            words, asks_to_wait = "Made to fail by the mock", retry_after is not None
            refusal = refuse(scenario, words, asks_to_wait=asks_to_wait, wait=retry_after)
            failing = Scenario(str(scenario), "", refusal=refusal)
        else:
            shown = shorten(repr(scenario), 40)
            raise ConfigurationError(f"fail_next: {shown} is not an error status, nor the name of a scenario")
        self._next_scenarios.extend([failing] * times)

    def add_agent(
        self, agent_id: str | None = None, *, name: str = "Agent", config: Mapping[str, object] | None = None
    ) -> str:
        """Save an agent, and return its id.

        Args:
            agent_id: its id; None makes a new one.
            name: its name.
            config: its config; `prompt` and `voice` are filled in where it has none.

        Raises:
            ConfigurationError: the id is taken or not valid, or the config does not fit the contract.
        """
        return self.agents.add(agent_id, name=name, config=config).id

    def load_agents(self, path: str | Path) -> list[str]:
        """Save the agents in a JSON file, and return their ids.

        Args:
            path: of a list of `{"id", "name", "config"}`.

        Raises:
            ConfigurationError: the file cannot be read, or an agent cannot be saved; it names both.
        """
        return [agent.id for agent in self.agents.load(path)]

    def remember(self, request: MockRequest) -> None:
        """Take note of a request that came in."""
        self._requests.append(request)

    def next_scenario(self, agent_id: str | None) -> Scenario:
        """Return how the request that is now being answered has to go wrong."""
        if self._next_scenarios:
            return self._next_scenarios.popleft()
        scenario = SCENARIOS.get(agent_id or "", AS_DOCUMENTED)
        if scenario.times is not None:
            self._times_refused[scenario.name] += 1
            if self._times_refused[scenario.name] > scenario.times:
                return AS_DOCUMENTED
        return scenario
