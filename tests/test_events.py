from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator
from typing import Any

import paths
import pytest
from chat_streams import event, play

from millis_wrapper._json import is_array, is_object
from millis_wrapper.errors import StreamInterruptedError
from millis_wrapper.results import ChatReply

COMPLETE_STREAMS: dict[str, list[Any]] = json.loads(
    (paths.CORPUS / "complete_streams.json").read_text("utf-8")
)
MARK = "x"
# Values of another type, another number or another nesting. Strings in them are MARK.
VALUES: list[Any] = [
    *(True, False, 0, 1, -1, 6, 0.005, 12.5, 10**30, MARK, "", [], {}, [1], [None], [True]),
    *([MARK], [[MARK]], {MARK: MARK}, {MARK: 1}, {"text": MARK}, {"content": MARK}, {"value": MARK}),
    *({"text": {"value": MARK}}, {"type": "text", "text": {"value": MARK}}, [{"text": MARK}], [{"text": 6}]),
    *([{"type": "text", "text": MARK}], [{"type": "output_text", "text": MARK}], [{"delta": MARK}]),
    *([{"delta": {"content": MARK}}], [[{"delta": {"content": MARK}}]], {"0": {"delta": {"content": MARK}}}),
    *({"delta": {"content": MARK}}, {"choices": [{"delta": {"content": MARK}}]}, {"message": MARK}),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield the path and the value of every place inside a JSON value."""
    yield path, value
    steps: Iterable[Any] = ()
    if is_object(value):
        steps = value.items()
    elif is_array(value):
        steps = enumerate(value)
    for step, child in steps:
        yield from places(child, (*path, step))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    changed = copy.deepcopy(value)
    holder = changed
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = new
    return changed


def changes(data: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield every change of one value of an event: its path, its kind and the changed event."""
    for path, value in places(data):
        where = ".".join("#" if isinstance(step, int) else step for step in path)
        wrapped: list[Any] = [[value], [[value]], {"value": value}, {"text": value}, json.dumps(value)]
        for new in [*VALUES, *wrapped]:
            # At the root, numbers, true, false, null, [] and "" are known keep-alives.
            kind = type(new).__name__
            if path or isinstance(new, dict) or (new and isinstance(new, str | list)):
                yield where, kind, put(data, path, new)
        if path:
            if path[-1] != "delta":  # the contract allows null, which contains no text
                yield where, "null", put(data, path, None)
            without = copy.deepcopy(data)
            holder = without
            for step in path[:-1]:
                holder = holder[step]
            del holder[path[-1]]
            yield where, "missing", without


def by_hand(events: list[Any]) -> str | None:
    """Return the text that a simple loop reads, or None if the loop raises."""
    texts: list[str] = []
    try:
        for data in events:
            if data["choices"]:
                texts.append(data["choices"][0]["delta"].get("content") or "")
        return "".join(texts)
    except (AttributeError, IndexError, KeyError, TypeError):
        return None


def text_of(events: list[Any]) -> str | None:
    """Return the text of a complete reply, or None if the reply is incomplete."""
    reply = play([*map(event, events), b"data: [DONE]\n\n"]).reply
    return None if reply is None else reply.text


@pytest.mark.parametrize("name", COMPLETE_STREAMS)
def test_a_changed_value_never_makes_a_complete_reply_with_less_text(name: str) -> None:
    """For every changed value in a valid stream, a complete reply has at least the text of a simple loop."""
    good = COMPLETE_STREAMS[name]
    complete = text_of(good)
    assert complete is not None
    assert complete == by_hand(good)
    tried: set[tuple[str, str]] = set()
    lost: set[tuple[str, str]] = set()
    for number, data in enumerate(good):
        own_text = by_hand([data])
        for where, how, changed in changes(data):
            events = [*good[:number], changed, *good[number + 1 :]]
            text = text_of(events)
            tried.add((where, how))
            expected = by_hand(events)
            if text is None or text in (complete, expected):
                continue
            # The loop raises, but the builder understood the changed value, for example as text parts.
            if expected is None and (MARK in text or (own_text and own_text in text)):
                continue
            lost.add((where, how))
    assert not lost
    assert len(tried) >= 20


UNUSUAL_STREAMS: list[dict[str, Any]] = json.loads((paths.CORPUS / "unusual_streams.json").read_text("utf-8"))


@pytest.mark.parametrize("case", UNUSUAL_STREAMS, ids=[case["name"] for case in UNUSUAL_STREAMS])
def test_a_stream_of_another_form_is_understood_completely_or_fails(case: dict[str, Any]) -> None:
    """The reply has the complete text of the stream or fails; with `text: null` it has to fail."""
    outcome = play([case["stream"].encode("utf-8", "surrogatepass")])
    assert outcome.reply is None or outcome.reply.text == case["text"]


UNSPOKEN: list[dict[str, Any]] = [
    *({"delta": {key: "Hm."}} for key in ("reasoning", "reasoning_content", "thinking")),
    *({"delta": {key: [{"text": "Hm."}]}} for key in ("reasoning_details", "annotations")),
    {"delta": {"role": "assistant", "content": None, "reasoning": "Hm."}},
    {"delta": {}, "reasoning_content": "Hm."},
    {"delta": {}, "logprobs": {"content": [{"token": "Hm"}]}},
    {"delta": {}, "token_ids": [7, 8]},
    {"delta": {"value": 6}},
    {"delta": {}, "value": 6},
    {"message": {"content": "", "reasoning": "Hm."}},
]
HI = {"choices": [{"delta": {"content": "Hi"}}]}
CALL = {
    "choices": [{"delta": {"tool_calls": [{"id": "a", "function": {"name": "look", "arguments": "{}"}}]}}]
}


@pytest.mark.parametrize(
    "only",
    [
        *(event({"choices": [choice]}) for choice in UNSPOKEN),
        event({"choices": [], "reasoning": "Hm."}),
        b'event: status\ndata: {"value": 6}\n\n',
    ],
    ids=str,
)
@pytest.mark.parametrize("reason", [None, "stop", "length"])
def test_a_reply_of_only_other_content_is_incomplete(only: bytes, reason: str | None) -> None:
    """Reasoning, log probabilities or numbers are only allowed beside text or a tool call."""
    last = event({"choices": [{"delta": {}, "finish_reason": reason}]})
    error = play([only, last, b"data: [DONE]\n\n"]).error
    assert isinstance(error, StreamInterruptedError)
    assert "neither text" in str(error)
    assert error.reply == ChatReply(finish_reason=reason)
    for spoken in (HI, CALL):
        for stream in ([only, event(spoken)], [event(spoken), only]):
            assert play([*stream, last, b"data: [DONE]\n\n"]).error is None


@pytest.mark.parametrize(
    "silent",
    [
        event({"choices": [{"delta": {"role": "assistant", "name": "Ada", "content": ""}, "seed": 7}]}),
        event({"choices": [{"delta": {}, "content_filter_results": {"hate": {"filtered": True}}}]}),
        event({"choices": [], "usage": {"completion_tokens": 0}}),
        event({"session_id": "s"}),
        b"event: ping\ndata: {}\n\n",
        b"data: null\n\n",
        b"",
    ],
    ids=str,
)
def test_an_empty_reply_is_complete(silent: bytes) -> None:
    """A stream with only keep-alives, roles, filters or usage before `[DONE]` is a reply without text."""
    reply = play([silent, b"data: [DONE]\n\n"]).reply
    assert reply is not None
    assert (reply.text, reply.ended) == ("", "done")
