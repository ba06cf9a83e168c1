"""One interface to every kind of client, so that one test covers all of them.

Tests use the interface of the async client. Adapters give the sync client the same async methods.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Literal

import anyio
import attrs
import httpx
import pytest
from adapters import (
    AgentsAsAsync,
    AnyAgents,
    AnyChat,
    AnyMillis,
    AnyStream,
    ChatAsAsync,
    MillisAsAsync,
)
from anyio.abc import TaskGroup

from millis_wrapper import (
    AsyncMillis,
    ChatReply,
    DuplicatedAgent,
    Millis,
    RetryPolicy,
    Timeout,
)
from millis_wrapper._async.agents import AsyncAgents
from millis_wrapper._async.client import AsyncChat
from millis_wrapper._async.transport import AsyncTransport
from millis_wrapper._http_aiohttp import AiohttpTransport
from millis_wrapper._key import Secret
from millis_wrapper._sync.agents import Agents
from millis_wrapper._sync.client import Chat
from millis_wrapper._sync.transport import Transport
from millis_wrapper.options import read_options

OPERATIONS = pytest.mark.parametrize("operation", ["chat", "duplicate"])
# For tests that start event loops or processes, in which the fixture `clients` does not work.
KINDS = pytest.mark.parametrize("kind", ["sync", "async", "aiohttp"])
# Values of `http_client` for tests that create an AsyncMillis themselves.
Engine = Literal["aiohttp"] | None
ENGINES = pytest.mark.parametrize("engine", [None, "aiohttp"], ids=["httpx", "aiohttp"])
# Seconds that a reader waits after each text. Further data and a failure arrive during the longer wait.
READERS = pytest.mark.parametrize("pause", [0.0, 0.05], ids=["fast reader", "slow reader"])
# For what only httpx's own engine has, and what only happens in an event loop. Each file that uses one of
# these says why; every other test with `clients` runs on all three clients.
ON_HTTPX = pytest.mark.parametrize("clients", ["sync", "async"], indirect=True)
IN_A_LOOP = pytest.mark.parametrize("clients", ["async", "aiohttp"], indirect=True)
KEY = "k3yOfThirtyTwoLettersAndDigits99"


@attrs.frozen
class WithoutSleep:
    """The parts of a client that tests of retries need. It records its sleeps instead of sleeping."""

    chat: AnyChat
    agents: AnyAgents
    slept: list[float]


def _on_aiohttp(
    verify: ssl.SSLContext | None = None, limits: httpx.Limits | None = None, **arguments: Any
) -> httpx.AsyncClient:
    """Return a custom httpx client on our aiohttp transport."""
    arguments.setdefault("transport", AiohttpTransport(verify or _certificates(), limits or httpx.Limits()))
    return httpx.AsyncClient(**arguments)


class Clients:
    """Create clients of one kind ("sync", "async" or "aiohttp") and close them after the test."""

    def __init__(self, kind: str, stack: AsyncExitStack) -> None:
        self.kind = kind
        self._stack = stack

    def client(self, base_url: str, **arguments: Any) -> AnyMillis:
        """Return a client created the way a user does it."""
        arguments = {"api_key": KEY, "base_url": base_url, **arguments}
        if self.kind != "sync":
            if self.kind == "aiohttp":
                arguments.setdefault("http_client", "aiohttp")
            millis: AnyMillis = AsyncMillis(**arguments)
        else:
            millis = MillisAsAsync(Millis(**arguments))
        self._stack.push_async_callback(millis.aclose)
        return millis

    def httpx_client(self, **arguments: Any) -> Any:
        """Return an httpx client of the right kind."""
        if self.kind != "sync":
            client = (_on_aiohttp if self.kind == "aiohttp" else httpx.AsyncClient)(**arguments)
            self._stack.push_async_callback(client.aclose)
            return client
        return self._stack.enter_context(httpx.Client(**arguments))

    def start(self, group: TaskGroup, run: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Run `run` in another task or, for the sync client, in another thread."""

        async def run_in_thread() -> None:
            await anyio.to_thread.run_sync(lambda: anyio.run(run))

        group.start_soon(run_in_thread if self.kind == "sync" else run)

    def without_sleep(
        self,
        base_url: str,
        *,
        timeout: Timeout | None = None,
        http_client: Any = None,
        during_wait: Callable[[], Coroutine[Any, Any, None]] | None = None,
        **policy: Any,
    ) -> WithoutSleep:
        """Return a client that records its waits between attempts, in seconds, instead of sleeping.

        Its clock advances only by the recorded waits, and its jitter is always 0. It calls `during_wait` in
        each wait.
        """
        http_client = http_client or self.httpx_client(verify=_certificates())
        settings = read_options(
            Secret(KEY), region=None, base_url=base_url, allow_http=False, headers=None, strict=False
        )
        slept: list[float] = []
        policy = {"clock": lambda: sum(slept), "jitter": lambda: 0.0, **policy}
        rules = RetryPolicy(**policy)
        limits = timeout or Timeout()
        if self.kind != "sync":

            async def async_sleep(seconds: float) -> None:
                slept.append(seconds)
                if during_wait is not None:
                    await during_wait()

            async_sender = AsyncTransport(settings, limits, rules, http_client, sleep=async_sleep)
            self._stack.push_async_callback(async_sender.close)
            return WithoutSleep(AsyncChat(async_sender), AsyncAgents(async_sender), slept)

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            if during_wait is not None:
                run_now(during_wait())

        transport = Transport(settings, limits, rules, http_client, sleep=sleep)
        self._stack.callback(transport.close)
        return WithoutSleep(ChatAsAsync(Chat(transport)), AgentsAsAsync(Agents(transport)), slept)


@functools.cache
def _certificates() -> ssl.SSLContext:
    return ssl.create_default_context()  # loading them takes longer than most tests


def run_now(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine that never waits, such as one of the adapters."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("the coroutine waits")


async def in_thread(wait: Callable[[float], bool], seconds: float = 5.0) -> bool:
    """Wait for a threading.Event without blocking the event loop."""
    return await anyio.to_thread.run_sync(wait, seconds)


async def until(condition: Callable[[], object]) -> None:
    """Wait until other tasks or threads make `condition` true."""
    for _ in range(1000):
        if condition():
            return
        await anyio.sleep(0.005)
    raise AssertionError("the condition did not become true within 5 s")


def use_proxy(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """Set the environment variables for a proxy."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, proxy)


async def read(stream: AnyStream, pause: float, received: list[str] | None = None) -> ChatReply:
    """Read `stream` to its end, with a pause in seconds after each text, and return the reply.

    The texts are added to `received`.
    """
    async with stream:
        async for text in stream.text_stream:
            if received is not None:
                received.append(text)
            await anyio.sleep(pause)
    return await stream.get_final_reply()


async def texts_of(stream: AnyStream) -> list[str]:
    return [text async for text in stream.text_stream]


async def chat(client: AnyMillis | WithoutSleep, pause: float = 0.0, **arguments: Any) -> ChatReply:
    """Stream a reply, with a pause in seconds after each text; see `READERS`."""
    return await read(client.chat.stream("Hi", agent_id="-Oabc", **arguments), pause)


async def call(
    client: AnyMillis | WithoutSleep, operation: str, **arguments: Any
) -> ChatReply | DuplicatedAgent:
    """Call `operation` ("chat" or "duplicate") with simple arguments."""
    if operation == "chat":
        return await client.chat.send("Hi", agent_id="-Oabc", **arguments)
    return await client.agents.duplicate("-Oabc", **arguments)
