"""The id of a copy is not lost, whatever fails in the process after the response has arrived."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest
from loopback import Loopback, copied, http
from paths import EXAMPLES

CALL = """
import sys
from millis_wrapper import Millis
millis = Millis("a-key-of-some-length", base_url=sys.argv[1])
print(millis.agents.duplicate("-Oabc").id)
"""

ASYNC_CALL = """
import asyncio, sys
from millis_wrapper import AsyncMillis
async def main():
    async with AsyncMillis("a-key-of-some-length", base_url=sys.argv[1], http_client=ENGINE) as millis:
        print((await millis.agents.duplicate("-Oabc")).id)
asyncio.run(main())
"""
PROGRAMS = pytest.mark.parametrize(
    "code",
    [CALL, "ENGINE = None" + ASYNC_CALL, "ENGINE = 'aiohttp'" + ASYNC_CALL],
    ids=["sync", "async", "aiohttp"],
)

# After the response headers, no file can be opened, so that an import would fail.
FULL = """
import os, resource, sys
import httpcore
import millis_wrapper._http as _http
start_body = _http.start_body
def full(*arguments):
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    start_body(*arguments)
_http.start_body = full
"""


@PROGRAMS
@pytest.mark.parametrize("warnings", [[], ["-W", "error"], ["-OO"]], ids=["", "-W error", "-OO"])
def test_a_copy_is_returned_in_a_new_process(code: str, warnings: list[str]) -> None:
    """A warning that a late import issues does not become an error after the request."""
    with Loopback(copied("-Ocopy")) as server:
        command = [sys.executable, *warnings, "-c", code, server.url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "-Ocopy\n"), done.stderr
    assert len(server.requests) == 1


@PROGRAMS
def test_a_copy_is_returned_when_no_file_can_be_opened(code: str) -> None:
    """The client imports nothing after the request, so it needs no file descriptor."""
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 3
    body = (EXAMPLES / "agent-full.json").read_bytes()
    agent_id = json.loads(body)["id"]
    with Loopback([http(200, body)]) as server:
        command = [sys.executable, "-c", FULL + code, server.url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == f"{agent_id}\n", done.stderr
