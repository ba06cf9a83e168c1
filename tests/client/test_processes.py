"""Promise 8 across processes and threads: forks, late calls, second readers, pickles."""

from __future__ import annotations

import copy
import inspect
import json
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
from clients import ENGINES, KEY, Clients, Engine, in_thread
from loopback import (
    DONE,
    END,
    PATIENCE,
    STREAM,
    Loopback,
    Peer,
    Received,
    SecureLoopback,
    Step,
    pause,
    reply,
    said,
    until_left,
)

from millis_wrapper import AsyncMillis, ConfigurationError, Millis, StreamInterruptedError, request
from millis_wrapper._fork import delays_fork
from millis_wrapper._sync import client
from millis_wrapper.response import prepare_reading

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

CHILDREN = 4
ROUNDS = 20


class Echo(Loopback):
    """Answers each request with its last message."""

    def _answer_to(self, request: Received) -> list[Step]:
        super()._answer_to(request)
        return reply(request.json["messages"][-1]["content"])


def in_child(run: Callable[[], None]) -> int:
    """Fork, run something in the child, and return the child's process id; a failure is its exit status."""
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


def test_after_a_fork_each_process_hears_its_own_replies() -> None:
    """A client that was used before gunicorn's fork mixes up no replies, here or there."""
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
        # The parent's own connection was neither used nor closed by a child.
        assert len({request.connection for request in server.requests if b"child" not in request.body}) == 1


@ENGINES
@pytest.mark.usefixtures("collected")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # event loops that are gone leave connections open
def test_after_a_fork_an_async_client_has_its_own_connections_in_each_process(engine: Engine) -> None:
    """A client that was used before the fork works in event loops of the child, and on in the parent."""
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


def test_a_stream_of_the_parent_is_refused_in_the_child_and_goes_on_in_the_parent() -> None:
    """Two readers of one socket would get half of it each."""
    go_on = threading.Event()
    with (
        Loopback([STREAM + said("Hel"), pause(go_on), said("lo") + DONE + END]) as server,
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
        go_on.set()
        assert list(texts) == ["lo"]


def test_a_fork_while_another_thread_is_sending_hangs_no_child() -> None:
    """Whatever lock that thread holds at the fork, the child does not wait for it."""
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
    """A child would wait for ever for a lock of the import system or of OpenSSL that nobody gives back."""
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
        load()  # the lock is free in the child, and free again after that
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
def test_what_the_first_call_loads_delays_a_fork(function: Callable[..., object]) -> None:
    """Each function that imports at its first call is one that a fork waits for."""
    assert inspect.unwrap(function) is not function


def test_a_lent_client_is_refused_in_the_child() -> None:
    """Its connections are not ours to replace, so the message says what to do."""
    with (
        Echo([]) as server,
        httpx.Client() as theirs,
        Millis(KEY, base_url=server.url, http_client=theirs) as millis,
    ):
        millis.chat.send("before", agent_id="-Oabc")

        def child() -> None:
            with pytest.raises(ConfigurationError, match=r"http_client: .* make the client in the child"):
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
def test_a_call_works_while_the_interpreter_ends(when: str) -> None:
    """No helper thread is started, which Python refuses then; what was heard is in the history."""
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
def test_a_call_works_where_no_thread_can_be_started(program: str) -> None:
    """Under a limit of processes, and in a sub-interpreter, a whole reply is no RuntimeError."""
    with Loopback(reply("Bye")) as server:
        command = [sys.executable, "-c", program, server.url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    # How the interpreter ends after a sub-interpreter is its own affair: 3.12 may crash there.
    assert done.stdout == "done done 4\n", done.stderr


class SecureEcho(SecureLoopback, Echo):
    """The same behind TLS."""


def test_a_child_says_no_goodbye_on_a_tls_connection_of_its_parent(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that closes the client, or just ends, sends no close_notify: the parent goes on as before."""
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


def test_a_second_reader_in_another_thread_is_refused_and_the_first_goes_on() -> None:
    """One stream has one reader; the second one closes nothing."""
    go_on = threading.Event()
    heard: list[str] = []
    with (
        Loopback([STREAM + said("Hel"), pause(go_on), said("lo") + DONE + END]) as server,
        Millis(KEY, base_url=server.url) as millis,
        millis.chat.stream("Hi", agent_id="-Oabc") as stream,
    ):
        first = threading.Event()

        def read() -> None:
            for text in stream.text_stream:
                heard.append(text)
                first.set()

        reader = threading.Thread(target=read)
        reader.start()
        assert first.wait(5)
        for _ in range(1000):  # until it waits for the second piece
            if stream._reading.locked():  # pyright: ignore[reportPrivateUsage]
                break
            first.wait(0.005)
        with pytest.raises(ConfigurationError, match="another thread or task is reading it"):
            next(iter(stream))
        go_on.set()
        reader.join(5)
    assert heard == ["Hel", "lo"]
    assert stream.reply.ended == "done"


@pytest.mark.anyio
async def test_a_second_reader_in_another_task_is_refused_and_the_first_goes_on() -> None:
    """The same for tasks."""
    go_on = threading.Event()
    heard: list[str] = []
    with Loopback([STREAM + said("Hel"), pause(go_on), said("lo") + DONE + END]) as server:
        async with (
            AsyncMillis(KEY, base_url=server.url) as millis,
            millis.chat.stream("Hi", agent_id="-Oabc") as stream,
        ):
            first = anyio.Event()

            async def read() -> None:
                async for text in stream.text_stream:
                    heard.append(text)
                    first.set()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                await first.wait()
                await anyio.lowlevel.checkpoint()
                with pytest.raises(ConfigurationError, match="another thread or task is reading it"):
                    await stream.until_done()
                go_on.set()
    assert heard == ["Hel", "lo"]
    assert stream.reply.ended == "done"


@pytest.mark.anyio
async def test_a_conversation_keeps_what_it_heard_when_the_drain_fails(clients: Clients) -> None:
    """What `send` returns and what the history holds agree, whatever happens behind the mark."""

    def reset(peer: Peer) -> None:
        peer.reset()

    with Loopback([STREAM + said("Whole.") + DONE, reset], reply("again")) as server:
        talk = clients.client(server.url).chat.conversation(agent_id="-Oabc")
        assert (await talk.send("Hi")).text == "Whole."
        assert [message["content"] for message in talk.messages] == ["Hi", "Whole."]
        assert (await talk.send("Hi")).text == "again"
    assert json.loads(server.requests[-1].body)["messages"][1]["content"] == "Whole."


@pytest.mark.parametrize("kind", [Millis, AsyncMillis])
@pytest.mark.parametrize("how", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_client_says_what_to_do_in_place_of_a_pickle(
    kind: type[Millis] | type[AsyncMillis], how: Callable[[object], object]
) -> None:
    """It holds a key and connections, neither of which can be copied."""
    with pytest.raises(TypeError, match=r"is not pickled or copied: make a new client") as caught:
        how(kind(KEY))
    assert KEY not in str(caught.value)


@pytest.mark.anyio
async def test_a_stream_that_is_left_leaves_nothing_behind(clients: Clients) -> None:
    """The connection ends, and the error says that the reply is not whole."""
    with Loopback([STREAM + said("Hel"), until_left]) as server:
        stream = clients.client(server.url).chat.stream("Hi", agent_id="-Oabc")
        async for _ in stream.text_stream:
            break
        await stream.close()
        assert await in_thread(server.left.wait)
        with pytest.raises(StreamInterruptedError):
            await stream.get_final_reply()
