"""Forks, on all three clients (promise 8 of the design)."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
import traceback
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from adapters import AnyMillis
from clients import KINDS, Clients, run_now
from loopback import (
    DONE,
    END,
    PATIENCE,
    STREAM,
    Loopback,
    Received,
    SecureLoopback,
    Step,
    reply,
    text_event,
    until_resumed,
)

from millis_wrapper import ConfigurationError, request
from millis_wrapper._fork import delays_fork
from millis_wrapper._sync import client
from millis_wrapper.response import prepare_reading

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # Python closes the connections of ended event loops, with a ResourceWarning.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("collected"),
]

CHILDREN = 4
ROUNDS = 20


class Echo(Loopback):
    """A server that echoes the last message of each request."""

    def _response_to(self, request: Received) -> list[Step]:
        super()._response_to(request)
        return reply(request.json["messages"][-1]["content"])


def in_child(run: Callable[[], None]) -> int:
    """Fork, run `run` in the child and return the child's process id. A failure sets its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            run()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def in_child_loop(function: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> int:
    """Run a coroutine function in an event loop of a child, as `in_child` does."""
    return in_child(lambda: asyncio.run(function(*arguments)))


def exit_status(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def new_client(kind: str, url: str, **arguments: Any) -> AnyMillis:
    """Return a client that is never closed."""
    return Clients(kind, AsyncExitStack()).client(url, **arguments)


async def say(millis: AnyMillis, text: str) -> None:
    """Send `text` to an `Echo`."""
    assert (await millis.chat.send(text, agent_id="-Oabc", timeout=20)).text == text


async def say_often(millis: AnyMillis, name: str) -> None:
    for number in range(ROUNDS):
        await say(millis, f"{name} {number}")


@KINDS
def test_after_a_fork_each_process_gets_its_own_replies(kind: str) -> None:
    """A client that was used before a fork, for example by gunicorn, does not mix up replies."""
    with Echo([]) as server:
        millis = new_client(kind, server.url)
        asyncio.run(say_often(millis, "before"))
        children = [in_child_loop(say_often, millis, f"child {number}") for number in range(CHILDREN)]
        asyncio.run(say_often(millis, "parent"))
        assert [exit_status(pid) for pid in children] == [0] * CHILDREN
        asyncio.run(say_often(millis, "after"))
    # No child used or closed a connection of the parent, which has one per event loop.
    assert len(connections_of_parent(server)) == (1 if kind == "sync" else 3)


def connections_of_parent(server: Loopback) -> set[int]:
    used = {True: set[int](), False: set[int]()}
    for each in server.requests:
        used[b"child" in each.body].add(each.connection)
    assert not used[True] & used[False]
    return used[False]


@KINDS
def test_a_child_cannot_read_a_stream_of_its_parent(kind: str) -> None:
    """If both processes read the socket, each would get only half of the data. The parent continues."""

    async def use(server: Loopback) -> None:
        millis = new_client(kind, server.url)
        async with millis.chat.stream("Hi", agent_id="-Oabc") as stream:
            texts = stream.text_stream
            assert await anext(texts) == "Hel"

            def child() -> None:
                with pytest.raises(ConfigurationError, match="another process"):
                    run_now(stream.until_done())
                run_now(stream.close())

            assert exit_status(in_child(child)) == 0
            server.resume.set()
            assert [text async for text in texts] == ["lo"]

    with Loopback([STREAM + text_event("Hel"), until_resumed, text_event("lo") + DONE + END]) as server:
        asyncio.run(use(server))


@KINDS
def test_a_fork_while_another_thread_is_sending_does_not_block_the_child(kind: str) -> None:
    """The child does not wait for locks that the other thread held at the fork."""
    with Echo([]) as server:
        millis, stop = new_client(kind, server.url), threading.Event()

        async def talk() -> None:
            while not stop.is_set():
                await say(millis, "thread")

        anyio.run(anyio.sleep, 0)  # imports anyio's backend, whose import a child must not wait for
        thread = threading.Thread(target=lambda: asyncio.run(talk()))
        thread.start()
        try:
            statuses = [exit_status(in_child_loop(say, millis, "child")) for _ in range(8)]
        finally:
            stop.set()
            thread.join()
    assert statuses == [0] * 8


def test_a_fork_waits_while_another_thread_loads_modules_or_sets_up_tls() -> None:
    """A child would wait forever for a lock of the import system or of OpenSSL."""
    inside = threading.Event()
    over: list[bool] = []

    @delays_fork
    def load() -> None:
        inside.set()
        threading.Event().wait(0.1)
        over.append(True)

    thread = threading.Thread(target=load)
    thread.start()
    assert inside.wait(PATIENCE)

    def child() -> None:
        assert over == [True]
        load()  # the lock is free in the child, and is released again
        load()

    assert exit_status(in_child(child)) == 0
    thread.join()
    load()


@pytest.mark.parametrize(
    "function",
    [
        request._report_unknown_keys,  # pyright: ignore[reportPrivateUsage]
        client.load_config_checks,
        client.ensure_accepted,
        prepare_reading,
    ],
)
def test_functions_that_import_at_the_first_call_delay_a_fork(function: Callable[..., object]) -> None:
    """A fork waits until the import has finished."""
    assert inspect.unwrap(function) is not function


@KINDS
def test_a_custom_client_of_the_parent_is_rejected_in_the_child(kind: str) -> None:
    """Millis cannot replace the connections of a custom client, so the message recommends a new client."""

    async def use(server: Loopback) -> None:
        async with AsyncExitStack() as stack:
            clients = Clients(kind, stack)
            millis = clients.client(server.url, http_client=clients.httpx_client())
            await say(millis, "before")

            def child() -> None:
                with pytest.raises(ConfigurationError, match=r"^http_client: .*child"):
                    run_now(say(millis, "child"))

            assert exit_status(in_child(child)) == 0
            await say(millis, "after")

    with Echo([]) as server:
        asyncio.run(use(server))
    assert len(server.requests) == 2


class SecureEcho(SecureLoopback, Echo):
    """An `Echo` behind TLS."""


@KINDS
def test_a_child_does_not_close_the_tls_connection_of_its_parent(
    kind: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that closes the client or exits does not send close_notify, so the parent can continue."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    async def use(server: Loopback) -> None:
        millis = new_client(kind, server.url)

        async def talk_and_close() -> None:
            await say(millis, "child")
            await millis.aclose()

        await say(millis, "before")
        for child in (talk_and_close, millis.aclose, anyio.lowlevel.checkpoint):
            assert exit_status(in_child_loop(child)) == 0
            await say(millis, "after")
        await millis.aclose()

    with SecureEcho(certificate, []) as server:
        asyncio.run(use(server))
    assert len(connections_of_parent(server)) == 1
