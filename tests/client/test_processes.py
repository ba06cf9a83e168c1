"""Forks, threads, interpreter shutdown and pickling (promise 8 of the design)."""

from __future__ import annotations

import copy
import inspect
import os
import pickle
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import httpx
import pytest
from clients import ENGINES, KEY, Engine
from loopback import (
    DONE,
    END,
    PATIENCE,
    STREAM,
    Loopback,
    Received,
    SecureLoopback,
    Step,
    pause,
    reply,
    said,
)

from millis_wrapper import AsyncMillis, ConfigurationError, Millis, request
from millis_wrapper._fork import delays_fork
from millis_wrapper._sync import client
from millis_wrapper.response import prepare_reading

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

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


def exit_status(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_after_a_fork_each_process_gets_its_own_replies() -> None:
    """A client that was used before a fork, for example by gunicorn, does not mix up replies."""
    with Echo([]) as server, Millis(KEY, base_url=server.url) as millis:

        def talk(name: str) -> None:
            for number in range(ROUNDS):
                text = f"{name} {number}"
                assert millis.chat.send(text, agent_id="-Oabc").text == text

        talk("before")
        children = [in_child(partial(talk, f"child {number}")) for number in range(CHILDREN)]
        talk("parent")
        assert [exit_status(pid) for pid in children] == [0] * CHILDREN
        talk("after")
        # The children did not use or close the parent's connection.
        assert len({request.connection for request in server.requests if b"child" not in request.body}) == 1


@ENGINES
@pytest.mark.usefixtures("collected")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # ended event loops leave connections open
def test_after_a_fork_an_async_client_has_its_own_connections_in_each_process(engine: Engine) -> None:
    """A client that was used before the fork works in the child and continues to work in the parent."""
    with Echo([]) as server:
        millis = AsyncMillis(KEY, base_url=server.url, http_client=engine)

        async def talk(name: str) -> None:
            for number in range(ROUNDS):
                text = f"{name} {number}"
                assert (await millis.chat.send(text, agent_id="-Oabc")).text == text

        anyio.run(talk, "before")
        children = [in_child(lambda: anyio.run(talk, "child")) for _ in range(CHILDREN)]
        anyio.run(talk, "parent")
        assert [exit_status(pid) for pid in children] == [0] * CHILDREN


def test_a_child_cannot_read_a_stream_of_its_parent() -> None:
    """If both processes read the socket, each would get only half of the data. The parent continues."""
    may_continue = threading.Event()
    with (
        Loopback([STREAM + said("Hel"), pause(may_continue), said("lo") + DONE + END]) as server,
        Millis(KEY, base_url=server.url) as millis,
        millis.chat.stream("Hi", agent_id="-Oabc") as stream,
    ):
        texts = stream.text_stream
        assert next(texts) == "Hel"

        def child() -> None:
            with pytest.raises(ConfigurationError, match="another process"):
                next(iter(stream))
            stream.close()

        assert exit_status(in_child(child)) == 0
        may_continue.set()
        assert list(texts) == ["lo"]


def test_a_fork_while_another_thread_is_sending_does_not_block_the_child() -> None:
    """The child does not wait for locks that the other thread held at the fork."""
    with Echo([]) as server, Millis(KEY, base_url=server.url) as millis:
        stop = threading.Event()

        def talk() -> None:
            while not stop.is_set():
                millis.chat.send("thread", agent_id="-Oabc")

        thread = threading.Thread(target=talk)
        thread.start()

        def child() -> None:
            assert millis.chat.send("child", agent_id="-Oabc", timeout=20).text == "child"

        try:
            statuses = [exit_status(in_child(child)) for _ in range(8)]
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


def test_a_custom_client_of_the_parent_is_rejected_in_the_child() -> None:
    """Millis cannot replace the connections of a custom client, so the message recommends a new client."""
    with (
        Echo([]) as server,
        httpx.Client() as theirs,
        Millis(KEY, base_url=server.url, http_client=theirs) as millis,
    ):
        millis.chat.send("before", agent_id="-Oabc")

        def child() -> None:
            with pytest.raises(ConfigurationError, match=r"^http_client: .*child"):
                millis.chat.send("child", agent_id="-Oabc")

        assert exit_status(in_child(child)) == 0
        assert millis.chat.send("after", agent_id="-Oabc").text == "after"
    assert len(server.requests) == 2


LATE = """
import atexit, sys, threading
from millis_wrapper import Millis

millis = Millis("a-key", base_url=sys.argv[1])
talk = millis.chat.conversation(agent_id="-Oabc")

def late():
    print(talk.send("late").ended, len(talk.messages))

if sys.argv[2] == "atexit":
    atexit.register(late)
else:
    threading.Thread(target=lambda: (threading.main_thread().join(), late())).start()
"""


@pytest.mark.parametrize("when", ["atexit", "thread"])
def test_a_call_works_during_interpreter_shutdown(when: str) -> None:
    """Python refuses to start a thread then. The reply is in the history."""
    with Loopback(reply("Bye")) as server:
        command = [sys.executable, "-c", LATE, server.url, when]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done 2\n", "")


NO_THREADS = """
import _thread, sys, threading

def refuse(*arguments, **named):
    raise RuntimeError("can't start new thread")

_thread.start_new_thread = threading._start_new_thread = refuse
if hasattr(_thread, "start_joinable_thread"):
    _thread.start_joinable_thread = threading._start_joinable_thread = refuse
from millis_wrapper import Millis

talk = Millis("a-key", base_url=sys.argv[1]).chat.conversation(agent_id="-Oabc")
print(talk.send("Hi").ended, talk.send("Hi").ended, len(talk.messages))
"""

SUB_INTERPRETER = """
import sys
try:
    import _interpreters
    made = _interpreters.create("legacy")
except ImportError:
    import _xxsubinterpreters as _interpreters
    made = _interpreters.create(isolated=False)
_interpreters.run_string(made, f'''
from millis_wrapper import Millis
talk = Millis("a-key", base_url={sys.argv[1]!r}).chat.conversation(agent_id="-Oabc")
print(talk.send("Hi").ended, talk.send("Hi").ended, len(talk.messages), flush=True)
''')
"""


@pytest.mark.parametrize("program", [NO_THREADS, SUB_INTERPRETER], ids=["no threads", "sub-interpreter"])
def test_a_call_works_without_new_threads(program: str) -> None:
    """A process limit or a sub-interpreter does not cause a RuntimeError."""
    with Loopback(reply("Bye")) as server:
        command = [sys.executable, "-c", program, server.url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    # The exit status is not checked, because Python 3.12 may crash after a sub-interpreter.
    assert done.stdout == "done done 4\n", done.stderr


class SecureEcho(SecureLoopback, Echo):
    """An `Echo` behind TLS."""


def test_a_child_does_not_close_the_tls_connection_of_its_parent(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that closes the client or exits does not send close_notify, so the parent can continue."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with SecureEcho(certificate, []) as server, Millis(KEY, base_url=server.url) as millis:
        assert millis.chat.send("before", agent_id="-Oabc").text == "before"

        def talk_and_close() -> None:
            assert millis.chat.send("child", agent_id="-Oabc").text == "child"
            millis.close()

        for child in (talk_and_close, millis.close, lambda: None):
            assert exit_status(in_child(child)) == 0
            assert millis.chat.send("after", agent_id="-Oabc").text == "after"
        parents = {request.connection for request in server.requests if b"child" not in request.body}
    assert len(parents) == 1


@pytest.mark.parametrize("kind", [Millis, AsyncMillis])
@pytest.mark.parametrize("how", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_client_cannot_be_pickled_or_copied(
    kind: type[Millis] | type[AsyncMillis], how: Callable[[object], object]
) -> None:
    """A client contains a key and connections. The message recommends a new client."""
    with pytest.raises(TypeError, match=r"pickled or copied.*new client") as caught:
        how(kind(KEY))
    assert KEY not in str(caught.value)
