"""The whole client, from bytes to text, beside the same by hand and beside other SDKs where they are
installed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import httpx
import httpx_sse

from millis_wrapper import Millis

from .measure import Ratio, compare

EVENTS = 20_000
_CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
_EVENT = "data: " + json.dumps({**_CHUNK, "choices": [{"index": 0, "delta": {"content": "word "}}]}) + "\n\n"
BODY = (_EVENT * EVENTS + "data: [DONE]\n\n").encode()
TEXT_LENGTH = 5 * EVENTS


class Pieces(httpx.SyncByteStream):
    """A body that comes in pieces of `size` bytes, without a network in between."""

    def __init__(self, size: int) -> None:
        self._pieces = [BODY[start : start + size] for start in range(0, len(BODY), size)]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)


def run(rounds: int) -> list[Ratio]:
    found: list[Ratio] = []
    for size, words in ((4096, "4 KiB pieces"), (len(_EVENT), "one event a piece")):
        pieces = Pieces(size)
        http = httpx.Client(transport=httpx.MockTransport(_answering(pieces)))
        ours, by_hand = _ours(http), _by_hand(http)
        title = f"bytes to text, {words}: millis-wrapper over httpx-sse and json"
        found.append(compare(title, ours, "httpx-sse", by_hand, rounds=rounds, target=1.0))
        if (openai := _openai(http)) is not None:
            title = f"bytes to text, {words}: millis-wrapper over openai"
            found.append(compare(title, ours, "openai", openai, rounds=max(3, rounds // 3), target=10.0))
        if (anthropic := _anthropic(http)) is not None:
            title = f"bytes to events, {words}: millis-wrapper (to text) over anthropic's decoder"
            found.append(compare(title, ours, "anthropic", anthropic, rounds=max(3, rounds // 3)))
    return found


def _answering(pieces: Pieces) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=pieces)

    return answer


def _ours(http: httpx.Client) -> Callable[[], None]:
    millis = Millis("key", http_client=http)

    def run() -> None:
        with millis.chat.stream("Hello", agent_id="-O") as stream:
            assert sum(map(len, stream.text_stream)) == TEXT_LENGTH

    return run


def _by_hand(http: httpx.Client) -> Callable[[], None]:
    def run() -> None:
        length = 0
        with httpx_sse.connect_sse(http, "POST", "https://service/") as source:
            for event in source.iter_sse():
                if event.data == "[DONE]":
                    break
                length += len(json.loads(event.data)["choices"][0]["delta"]["content"])
        assert length == TEXT_LENGTH

    return run


def _openai(http: httpx.Client) -> Callable[[], None] | None:
    openai = _installed("openai")
    if openai is None:
        return None
    client = openai.OpenAI(api_key="key", base_url="https://service/", http_client=http)

    def run() -> None:
        length = 0
        messages = [{"role": "user", "content": "Hello"}]
        for chunk in client.chat.completions.create(model="m", messages=messages, stream=True):
            length += len(chunk.choices[0].delta.content or "")
        assert length == TEXT_LENGTH

    return run


def _anthropic(http: httpx.Client) -> Callable[[], None] | None:
    streaming = _installed("anthropic._streaming")
    if streaming is None:
        return None

    def run() -> None:
        with http.stream("POST", "https://service/") as response:
            events = streaming.SSEDecoder().iter_bytes(response.iter_bytes())
            assert len(list(events)) == EVENTS + 1

    return run


def _installed(name: str) -> Any:
    # Compared with only where they are installed, so that no type checker knows them.
    try:
        return import_module(name)
    except ImportError:
        return None
