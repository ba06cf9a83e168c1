"""Programs that end, that cannot start threads, or that copy a client."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable

import pytest
from clients import KEY, KINDS
from loopback import Loopback, reply

from millis_wrapper import AsyncMillis, Millis

TALK = """
import asyncio, sys
from millis_wrapper import AsyncMillis, Millis

URL, KIND = sys.argv[1:3]
millis = (
    Millis("a-key", base_url=URL)
    if KIND == "sync"
    else AsyncMillis("a-key", base_url=URL, http_client="aiohttp" if KIND == "aiohttp" else None)
)
talk = millis.chat.conversation(agent_id="-Oabc")

async def send_twice():
    async with millis:
        return (await talk.send("Hi")).ended, (await talk.send("Hi")).ended

def run():
    if KIND == "sync":
        ended = talk.send("Hi").ended, talk.send("Hi").ended
    else:
        ended = asyncio.run(send_twice())
    print(*ended, len(talk.messages), flush=True)
"""
AT_EXIT = (
    TALK
    + """
import atexit
atexit.register(run)
"""
)
IN_THREAD = (
    TALK
    + """
import threading
threading.Thread(target=lambda: (threading.main_thread().join(), run())).start()
"""
)
NO_THREADS = (
    """
import _thread, threading

def refuse(*arguments, **named):
    raise RuntimeError("can't start new thread")

_thread.start_new_thread = threading._start_new_thread = refuse
if hasattr(_thread, "start_joinable_thread"):
    _thread.start_joinable_thread = threading._start_joinable_thread = refuse
"""
    + TALK
    + "run()"
)
SUB_INTERPRETER = f"""
import sys
try:
    import _interpreters
    made = _interpreters.create("legacy")
except ImportError:
    import _xxsubinterpreters as _interpreters
    made = _interpreters.create(isolated=False)
_interpreters.run_string(made, f"import sys; sys.argv = {{sys.argv!r}}" + {TALK + "run()"!r})
"""


def run(program: str, kind: str) -> subprocess.CompletedProcess[str]:
    """Run a program that talks to an agent."""
    with Loopback(reply("Bye")) as server:
        command = [sys.executable, "-c", program, server.url, kind]
        return subprocess.run(command, capture_output=True, text=True, check=False)


@KINDS
@pytest.mark.parametrize("program", [AT_EXIT, IN_THREAD], ids=["atexit", "thread"])
def test_a_call_works_during_interpreter_shutdown(program: str, kind: str) -> None:
    """Python refuses to start a thread then. The replies are in the history."""
    done = run(program, kind)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done done 4\n", "")


@KINDS
@pytest.mark.parametrize("program", [NO_THREADS, SUB_INTERPRETER], ids=["no threads", "sub-interpreter"])
def test_a_call_works_without_new_threads(program: str, kind: str) -> None:
    """A process limit or a sub-interpreter does not cause a RuntimeError."""
    done = run(program, kind)
    # The exit status is not checked, because Python 3.12 may crash after a sub-interpreter.
    assert done.stdout == "done done 4\n", done.stderr


@pytest.mark.parametrize("kind", [Millis, AsyncMillis])
@pytest.mark.parametrize("how", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_client_cannot_be_pickled_or_copied(
    kind: type[Millis] | type[AsyncMillis], how: Callable[[object], object]
) -> None:
    """A client contains a key and connections. The message recommends a new client."""
    with pytest.raises(TypeError, match=r"pickled or copied.*new client") as caught:
        how(kind(KEY))
    assert KEY not in str(caught.value)
