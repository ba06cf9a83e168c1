"""Measure speed and memory for `scripts/bench`, as ratios within one run in which the contestants take turns.

Machines differ and are shared. So the benchmarks compare processor time (except for startup and latency), and
only one figure is an absolute time.
"""

from __future__ import annotations

import argparse
import codecs
import json
import math
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import httpx
import httpx_sse

import millis_wrapper
from millis_wrapper import Conversation, Millis
from millis_wrapper.config import check_config
from millis_wrapper.sse import decode

from ._bench_rows import Row, Run, compare, take_turns
from ._bench_streams import call, latency, streams

EVENT_STREAM = {"content-type": "text/event-stream"}


def cut(stream: bytes, size: int) -> list[bytes]:
    """Return `stream` in chunks of `size` bytes."""
    return [stream[start : start + size] for start in range(0, len(stream), size)]


def sse(rounds: int) -> Iterator[Row]:
    """Speed of the SSE decoder, compared with httpx-sse 0.4.3 without the layers of httpx."""
    small = b'data: {"choices":[{"delta":{"content":"Hello"}}]}\n\n'
    typed = b"event: delta\n" + small
    large = b'data: {"text":"' + b"a" * 2**20 + b'"}\n\n'
    lines = b"".join(b"data: line %d\n" % number for number in range(100_000)) + b"\n"
    loads = [
        ("small events, 4 KiB chunks", cut(small * 10_000, 4096), 3.5),
        ("small events, one a chunk", [small] * 10_000, 2.3),
        ("1 MiB events, one a chunk", [large] * 10, 1.5),
        ("1 MiB events, 4 KiB chunks", cut(large * 10, 4096), -math.inf),
        ("events with a type, 4 KiB chunks", cut(typed * 10_000, 4096), 1.2),
        ("CRLF, 4 KiB chunks", cut(small.replace(b"\n", b"\r\n") * 10_000, 4096), -math.inf),
        ("an event of 100,000 lines", cut(lines, 4096), -math.inf),
    ]

    def ours(chunks: list[bytes]) -> None:
        deque(decode(chunks), maxlen=0)

    def theirs(chunks: list[bytes]) -> None:
        text_of = codecs.getincrementaldecoder("utf-8")("replace").decode
        texts = filter(None, map(text_of, chunks))
        response: Any = SimpleNamespace(headers=EVENT_STREAM, iter_text=lambda: texts)
        deque(httpx_sse.EventSource(response).iter_sse(), maxlen=0)

    for name, chunks, at_least in loads:
        contestants = partial(ours, chunks), partial(theirs, chunks)
        yield compare(f"sse: {name}, over httpx-sse", *contestants, rounds, at_least=at_least)


class BodyChunks(list[bytes], httpx.SyncByteStream):
    """A response body in chunks, without a network."""


def text(rounds: int) -> Iterator[Row]:
    """Speed from bytes to text, compared with a bare loop of split, json.loads and two lookups."""
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    chunk |= {"choices": [{"index": 0, "delta": {"content": "word "}}]}
    event = f"data: {json.dumps(chunk)}\n\n"
    body = (event * 20_000 + "data: [DONE]\n\n").encode()

    def ours(millis: Millis) -> None:
        with millis.chat.stream("Hello", agent_id="-O") as stream:
            assert sum(map(len, stream.text_stream)) == 100_000

    def theirs(http: httpx.Client) -> None:
        length, rest = 0, b""
        with http.stream("POST", "https://service/") as response:
            for part in response.iter_raw():
                *events, rest = (rest + part).split(b"\n\n")
                for data in events:
                    if data != b"data: [DONE]":
                        length += len(json.loads(data[6:])["choices"][0]["delta"]["content"])
        assert length == 100_000

    for name, size, target in (("4 KiB chunks", 4096, 0.9), ("one event a chunk", len(event), 0.75)):
        chunks = BodyChunks(cut(body, size))
        respond = partial(httpx.Response, 200, headers=EVENT_STREAM, stream=chunks)
        http = httpx.Client(transport=httpx.MockTransport(lambda _, respond=respond: respond()))
        contestants = partial(ours, Millis("key", http_client=http)), partial(theirs, http)
        yield compare(f"bytes to text: {name}, over a bare loop", *contestants, rounds, at_least=target)


def path(_: int) -> Iterator[Row]:
    """Count our own functions and files that one warm chat.stream of three events calls."""
    calls = own_calls()
    for name, count, at_most in (
        ("calls of our own functions", len(calls), 115),
        ("files", len({file for file, _ in calls}), 14),
    ):
        yield Row(f"path: {name} in one chat.stream of three events", [count, count], at_most=at_most)


def own_calls() -> list[tuple[str, str]]:
    """Return the file and name of each of our functions that one warm chat.stream with three events calls.

    Comprehensions do not count, because they are calls only on Python 3.11.
    """
    events = [b'data: {"choices":[{"delta":{"content":"word "}}]}\n\n'] * 3 + [b"data: [DONE]\n\n"]
    package = str(Path(millis_wrapper.__file__).parent)
    calls: list[tuple[str, str]] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(package) and not code.co_name.startswith("<"):
            calls.append((code.co_filename.removeprefix(package), code.co_qualname))

    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=EVENT_STREAM, stream=BodyChunks(events))

    http = httpx.Client(transport=httpx.MockTransport(respond))
    with http, Millis("key", http_client=http) as millis:
        for profile in (None, note):  # the first round warms up
            sys.setprofile(profile)
            with millis.chat.stream("Hello", agent_id="-O") as stream:
                assert len(list(stream.text_stream)) == 3
            sys.setprofile(None)
    return calls


def imports(rounds: int) -> Iterator[Row]:
    """Time to start in a fresh process, as a multiple of `import httpx`."""
    codes = (
        "pass",
        "import httpx",
        "import millis_wrapper",
        "from millis_wrapper import Millis; Millis('key')",
    )
    fresh = [partial(subprocess.run, [sys.executable, "-c", code], check=True) for code in codes]
    times = take_turns(rounds, *fresh, clock=time.perf_counter)
    for index, name, at_most in ((2, "import millis_wrapper", 0.15), (3, "a ready Millis(...)", 1.6)):
        # Leave out the interpreter's own startup.
        parts = [(took[index] - took[0]) / (took[1] - took[0]) for took in times]
        yield Row(f"imports: {name}, over import httpx", parts, at_most=at_most)


def turns(rounds: int) -> Iterator[Row]:
    """Cost of a turn of a long conversation before it is sent, compared with json.dumps of its body."""

    def turn(talk: Conversation) -> None:
        for _ in range(100):
            talk.stream("Hello").close()

    def dumps(body: dict[str, Any]) -> None:
        for _ in range(100):
            json.dumps(body)

    for count in (100, 1600):
        content = "A sentence of fifty letters, number "
        messages = [
            {"role": ("user", "assistant")[number % 2], "content": f"{content}{number}."}
            for number in range(count)
        ]
        talk = Millis("key").chat.conversation(agent_id="-O")
        talk.load(messages)
        body = {"agent": {"agent_id": "-O"}, "messages": [*messages, {"role": "user", "content": "Hello"}]}
        contestants = partial(dumps, body), partial(turn, talk)
        yield compare(
            f"turns: cost at {count:,} messages, over json.dumps", *contestants, rounds, at_most=1.5
        )


def config(rounds: int) -> Iterator[Row]:
    """Growth of the time of check_config with ten times the keys, or twice the depth."""

    def unknown_keys(count: int) -> Run:
        return partial(check_config, {f"unknown_key_{number}": number for number in range(count)}, "override")

    def nested(depth: int) -> Run:
        settings: dict[str, Any] = {}
        for _ in range(depth):
            settings = {"inner": settings, "values": [1, 2, 3]}
        voice = {"provider": "openai", "voice_id": "alloy", "settings": settings}
        return partial(check_config, {"voice": voice}, "override")

    many = unknown_keys(10_000)
    name = "config: growth, 10,000 unknown keys, over 1,000"
    yield compare(name, unknown_keys(1000), many, rounds, at_most=12)
    yield compare(
        "config: growth, nested 80 levels deep, over 40", nested(40), nested(80), rounds, at_most=2.5
    )
    seconds = [took for (took,) in take_turns(rounds, many)]
    yield Row("config: seconds for 10,000 unknown keys", seconds, at_most=1)


def memory(_: int) -> Iterator[Row]:
    """Growth of a fresh process between the 1st and the 200th megabyte of a stream, in MiB."""
    code = """
import resource
from collections import deque
from millis_wrapper.sse import decode

chunk = b'data: {"choices":[{"delta":{"content":"Hello, this is a word or two."}}]}\\n\\n' * 50
peaks = []
for megabytes in (1, 200):
    deque(decode(chunk for _ in range(megabytes * 1_000_000 // len(chunk))), maxlen=0)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(peaks[1] - peaks[0])
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    grown = int(done.stdout) / (2**20 if sys.platform == "darwin" else 2**10)
    yield Row("memory: growth over a stream of 200 MB, in MiB", [grown, grown], at_most=1)


GROUPS = {
    group.__name__: group
    for group in (sse, text, call, path, imports, streams, latency, turns, config, memory)
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 1 if a target is missed."""
    lines = "\n".join(f"  {name:<14}{group.__doc__}" for name, group in GROUPS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Print ratios with their quartiles; above 1 means faster, except for costs."
        f"\n\ngroups:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    groups = (*GROUPS, "all")
    parser.add_argument(
        "groups",
        nargs="*",
        choices=groups,
        default="all",
        metavar="GROUP",
        help="groups to measure (default: all)",
    )
    parser.add_argument("--rounds", type=int, default=15, help="number of rounds (default: 15)")
    given: Any = parser.parse_args(arguments)
    missed = False
    for name in GROUPS if "all" in given.groups else given.groups:
        for row in GROUPS[name](given.rounds):
            print(row, flush=True)
            missed = missed or row.is_missed
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
