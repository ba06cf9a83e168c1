"""Hypothesis strategies for the responses of a broken, hostile or newer service."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

KEY = "k3Y" * 10

numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([10**400, -(10**400), 1e300, 10**11, 10**11 + 1, 2**63, 2**31]),
)
texts = st.text(max_size=20) | st.sampled_from(
    [
        "",
        "[DONE]",
        "\ud83d",
        "\ude00",
        "\x1b[2J",
        "\u202e",
        KEY,
        "null",
        "error",
        "body",
        "2025-01-01T00:00:00Z",
        "1735689600000",
    ]
)
keys = texts | st.sampled_from(
    [
        *("choices", "delta", "content", "index", "finish_reason", "usage", "tool_calls", "function", "name"),
        *("arguments", "id", "type", "error", "message", "detail", "loc", "msg", "config", "created_at"),
        *("voice", "flow", "tools", "llm", "text"),
    ]
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(keys, children, max_size=3),
    max_leaves=6,
)


def chunk_like(content: Any, finish_reason: Any, calls: Any, rest: dict[str, Any]) -> dict[str, Any]:
    delta = {"content": content, "tool_calls": calls}
    return {**rest, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


call_deltas = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "index": st.sampled_from([0, 1, None, "x", 1.5]),
            "id": texts,
            "function": st.fixed_dictionaries({}, optional={"name": texts, "arguments": texts}) | values,
        },
    )
    | values,
    max_size=3,
)
chunks = st.builds(
    chunk_like,
    texts | values,
    texts | values,
    call_deltas | values,
    st.dictionaries(keys, values, max_size=2),
)


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def join_path(*parts: bytes) -> bytes:
    return b"".join(parts)


def cut_off(data: bytes, at: int) -> bytes:
    return data[: at % (len(data) + 1)]


json_bytes = st.builds(as_json, values)
truncated_json = st.builds(cut_off, json_bytes, st.integers(0, 1000))
malformed_bytes = st.sampled_from(
    [
        b"[" * 5000,
        b'{"a":' * 5000,
        b"9" * 5000,
        b'{"detail":' + b"9" * 5000 + b"}",
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
    ]
)
bodies = st.binary(max_size=200) | json_bytes | truncated_json | malformed_bytes | st.just(KEY.encode())

field_names = st.sampled_from(
    [b"data: ", b"data:", b"data", b"event: ", b"event: error", b"id: ", b"retry: ", b": ", b""]
)
payloads = st.builds(as_json, chunks) | bodies | st.sampled_from([b"[DONE]", b'"[DONE]"', b"", b"error"])
line_ends = st.sampled_from([b"\n", b"\n\n", b"\r\n\r\n", b"\r", b""])
lines = st.builds(join_path, field_names, payloads, line_ends)
events = st.builds(join_path, st.just(b"data: "), st.builds(as_json, chunks), st.just(b"\n\n"))
streams = st.lists(events | lines, max_size=5).map(b"".join)
duplicate_bodies = bodies | st.builds(join_path, st.just(b'{"id":"x","config":'), json_bytes, st.just(b"}"))
