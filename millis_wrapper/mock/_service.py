"""The mock: what it knows, how it answers next, and what it was asked."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio

from millis_wrapper.errors import ConfigurationError

from ._agents import Agents, new_agent_id
from ._answers import Sleep, UnderWay
from ._app import create_app
from ._faults import FAULTS, NO_FAULT, Fault, fault_named, refuse
from ._replies import Reply, ReplyFunction, echo, load_script, reply_function
from ._requests import MAX_REMEMBERED, MockRequest
from ._server import Server

if TYPE_CHECKING:
    from starlette.types import ASGIApp


class MockMillis:
    """The service in a box: both endpoints, true to the contract, on an address of this machine.

    `pace`: seconds between two pieces of a reply. `slow`: seconds that the agent which is slow takes.
    `retry_after`: seconds that a refusal asks to wait. `api_key`: the only key that is taken; None takes any.
    `sleep` (async, seconds), `clock` (seconds since the epoch) and `new_id` (ids of copies) are there for
    tests.

    `with MockMillis() as mock:` runs it at `mock.url`, in a thread, on a free port; `start` before it chooses
    the address.
    """

    def __init__(
        self,
        *,
        pace: float = 0.0,
        slow: float = 2.0,
        retry_after: int = 1,
        api_key: str | None = None,
        sleep: Sleep = anyio.sleep,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = new_agent_id,
    ) -> None:
        self.api_key = api_key
        self.sleep = sleep
        self.under_way = UnderWay()
        self.app: ASGIApp = create_app(self)
        self._settings = (pace, slow, retry_after)
        self._new_agents = partial(Agents, clock, new_id)
        self._server: Server | None = None
        self.reset()

    def reset(self) -> None:
        """Forget all that was asked, said, set and saved, and be as new."""
        self.pace, self.slow, self.retry_after = self._settings
        self.agents = self._new_agents()
        self.reply: ReplyFunction = echo
        self._requests = deque[MockRequest](maxlen=MAX_REMEMBERED)
        self._next_faults = deque[Fault]()
        self._times_refused = Counter[str]()

    @property
    def url(self) -> str:
        """Where it runs, for a client's `base_url`; raises ConfigurationError while it does not."""
        if self._server is None:
            raise ConfigurationError("the mock does not run: start() it, or use it in `with`")
        return self._server.url

    @property
    def requests(self) -> list[MockRequest]:
        """What came in, oldest first; of very many, the latest 1,000."""
        return list(self._requests)

    def reply_with(self, *replies: Reply | ReplyFunction) -> None:
        """Set what the agents say from now on.

        `replies`: texts, or the pieces of a text, said in their order and the last again and again; or one
        function, which is given the request's body as a dict and returns a text or its pieces. None of them
        is the echo of the last message. Raises ConfigurationError for anything else.
        """
        self.reply = reply_function(replies)

    def load_script(self, path: str | Path) -> None:
        """Set what the agents say from a JSON file: a list of replies as `reply_with` takes them.

        Raises ConfigurationError, naming the file.
        """
        self.reply = load_script(path)

    def fail_next(
        self, fault: int | str = 500, *, times: int = 1, retry_after: int | str | None = None
    ) -> None:
        """Have the next request that is in order fail, whatever its agent; further calls queue up.

        `fault`: an error status, or one of the magic ids (or the middle of it, such as "cut"). `times`: how
        many requests. `retry_after`: that header's value, with an error status. Raises ConfigurationError
        for a fault that does not exist.
        """
        if times < 1:
            raise ConfigurationError(f"fail_next: times must be 1 or more, not {times}")
        if isinstance(fault, str):
            if retry_after is not None:
                raise ConfigurationError("fail_next: retry_after goes with an error status such as 429")
            failing = fault_named(fault)
        elif isinstance(fault, bool) or not 300 <= fault <= 599:
            raise ConfigurationError(f"fail_next: {fault!r} is no error status")
        else:
            refusal = refuse(
                fault, "Made to fail by the mock", asks_to_wait=retry_after is not None, wait=retry_after
            )
            failing = Fault(str(fault), "", refusal)
        self._next_faults.extend([failing] * times)

    def add_agent(
        self, agent_id: str | None = None, *, name: str = "Agent", config: Mapping[str, Any] | None = None
    ) -> str:
        """Save an agent, and return its id.

        `agent_id`: None makes a new one. `config`: its config; `prompt` and `voice` are filled in where it
        has none. Raises ConfigurationError for an id that is taken or is none, and for a config that is not
        of the contract's form.
        """
        return self.agents.add(agent_id, name=name, config=config).id

    def load_agents(self, path: str | Path) -> list[str]:
        """Save the agents in a JSON file, a list of `{"id", "name", "config"}`, and return their ids.

        Raises ConfigurationError, naming the file.
        """
        return [agent.id for agent in self.agents.load(path)]

    def start(self, *, host: str = "127.0.0.1", port: int = 0) -> Self:
        """Run it in a thread.

        Args:
            host: the address to listen at.
            port: the port; 0 is any free one.

        Raises:
            ConfigurationError: the address cannot be had, or it runs already.
        """
        if self._server is not None:
            raise ConfigurationError(f"the mock runs already, at {self.url}")
        server = Server(self.app, host, port, self.under_way.end_all)
        server.start()
        self._server = server
        return self

    def stop(self) -> None:
        """End it, and the answers under way; nothing happens when it does not run."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def remember(self, request: MockRequest) -> None:
        """Take note of a request that came in."""
        self._requests.append(request)

    def next_fault(self, agent_id: str | None) -> Fault:
        """Return how the request that is now being answered has to go wrong."""
        if self._next_faults:
            return self._next_faults.popleft()
        fault = FAULTS.get(agent_id or "", NO_FAULT)
        if fault.times is not None:
            self._times_refused[fault.name] += 1
            if self._times_refused[fault.name] > fault.times:
                return NO_FAULT
        return fault

    def __enter__(self) -> Self:
        return self if self._server is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
