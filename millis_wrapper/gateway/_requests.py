"""Check the body of a chat completion request, and translate it for the service. No I/O."""

from __future__ import annotations

import json
import re
from typing import Any, TypeGuard

import attrs

from ._errors import Failure, RequestError

_USED = frozenset({"model", "messages", "stream", "stream_options", "metadata"})

_TOOLS = "not supported, because tools belong to the agent's config; add the tool to the agent"
# Parameter -> the values that have no effect, and the message for any other value.
UNSUPPORTED: dict[str, tuple[tuple[Any, ...], str]] = {
    "n": ((None, 1), "must be 1; send one request for each reply"),
    "tools": ((None, []), _TOOLS),
    "functions": ((None, []), _TOOLS),
    "stop": ((None, "", []), "not supported by the service; remove it, or cut the reply in the client"),
    "logprobs": ((None, False), "not supported by the service; remove it"),
    "top_logprobs": ((None, 0), "not supported by the service; remove it"),
    "response_format": (
        (None, {"type": "text"}),
        'must be {"type": "text"}; ask for JSON in the agent\'s prompt, and parse the text of the reply',
    ),
    "modalities": ((None, [], ["text"]), 'must be ["text"]; the gateway handles text only'),
    "audio": ((None,), "not supported; the gateway handles text only"),
}

_TYPES: dict[str, type] = {"a string": str, "a list": list, "an object": dict, "true or false": bool}
_FUNCTION_KEYS = ("name", "arguments")
_HALF_PAIR = re.compile("[\ud800-\udfff]")


@attrs.frozen
class ChatCall:
    """The parts of a chat completion request that the service supports."""

    model: str
    messages: list[dict[str, Any]]
    prompt: str | None
    """The system and developer messages, joined by blank lines."""
    metadata: dict[str, Any] | None
    stream: bool
    include_usage: bool
    ignored: tuple[str, ...]
    """The parameters that have no effect."""


def read_chat(body: object) -> ChatCall:
    """Parse the body of a chat completion request.

    Raises:
        RequestError: The body is malformed, or has a parameter that the service does not support.
    """
    given: dict[str, Any] = _expect("an object", body, "body")
    for name, (neutral, problem) in UNSUPPORTED.items():
        if given.get(name) not in neutral:
            raise RequestError(Failure(400, f"{name}: {problem}", param=name, code="unsupported_parameter"))
    model = _expect("a string", given.get("model"), "model", "an agent id or a name")
    options: dict[str, Any] = _optional("an object", given.get("stream_options"), "stream_options") or {}
    include_usage = options.get("include_usage")
    messages, prompt = _parse_messages(given.get("messages"))
    return ChatCall(
        model=model,
        messages=messages,
        prompt=prompt,
        metadata=_optional("an object", given.get("metadata"), "metadata"),
        stream=bool(_optional("true or false", given.get("stream"), "stream")),
        include_usage=bool(_optional("true or false", include_usage, "stream_options.include_usage")),
        ignored=tuple(name for name in given if name not in _USED and name not in UNSUPPORTED),
    )


def _parse_messages(given: object) -> tuple[list[dict[str, Any]], str | None]:
    prompts: list[str] = []
    messages: list[dict[str, Any]] = []
    for number, message in enumerate(_expect("a list", given, "messages")):
        place = f"messages[{number}]"
        role = _expect("an object", message, place).get("role")
        if role == "system" or role == "developer":
            prompts.append(_text_at(message.get("content"), f"{place}.content"))
        else:
            messages.append(_parse_message(message, role, place))
    if not messages:
        raise _invalid("messages", 'must contain at least one message with the role "user"')
    # An empty system message must not replace the agent's saved prompt.
    return messages, "\n\n".join(text for text in prompts if text.strip()) or None


def _parse_message(message: dict[str, Any], role: object, place: str) -> dict[str, Any]:
    content = message.get("content")
    if role == "user":
        return {"role": role, "content": _text_at(content, f"{place}.content")}
    if role == "tool":
        call_id = _expect("a string", message.get("tool_call_id"), f"{place}.tool_call_id")
        return {"role": role, "content": _text_at(content, f"{place}.content"), "tool_call_id": call_id}
    if role != "assistant":
        known = '"system", "developer", "user", "assistant" or "tool"'
        raise _invalid(f"{place}.role", f"must be {known}, got {_described(role)}")
    for key, advice in (("function_call", "use tool_calls"), ("audio", "pass its transcript as content")):
        if message.get(key) is not None:
            raise _invalid(f"{place}.{key}", f"not supported; {advice}")
    text = "" if content in (None, []) else _text_at(content, f"{place}.content")
    place = f"{place}.tool_calls"
    calls: list[Any] = _optional("a list", message.get("tool_calls"), place) or []
    parsed = [_tool_call(call, f"{place}[{number}]") for number, call in enumerate(calls)]
    return {"role": role, "content": text, **({"tool_calls": parsed} if parsed else {})}


def _tool_call(call: Any, place: str) -> dict[str, Any]:
    function = call.get("function") if _is_object(call) else None
    if not _is_object(function):
        raise _invalid(place, 'must be {"id", "type": "function", "function"}')
    parts = {key: _expect("a string", function.get(key), f"{place}.function.{key}") for key in _FUNCTION_KEYS}
    return {"id": _expect("a string", call.get("id"), f"{place}.id"), "type": "function", "function": parts}


def _text_at(content: Any, place: str) -> str:
    """Return a message's content as text: a string, or a list of text parts."""
    if _is_array(content) and content:
        return "".join(_text_of_part(part, f"{place}[{number}]") for number, part in enumerate(content))
    text: str = _expect("a string", content, place, "a string or a list of text parts")
    return text


def _text_of_part(part: Any, place: str) -> str:
    kind = part.get("type") if _is_object(part) else None
    if kind != "text":
        raise _invalid(f"{place}.type", f'must be "text", got {_described(kind)}; the agent reads text only')
    text: str = _expect("a string", part.get("text"), f"{place}.text")
    return text


def _expect(kind: str, value: Any, place: str, expected: str = "") -> Any:
    """Return `value`, which has to be of the JSON type `kind`."""
    if not isinstance(value, _TYPES[kind]):
        raise _invalid(place, f"must be {expected or kind}, got {_described(value)}")
    if isinstance(value, str) and _HALF_PAIR.search(value):
        # JSON can represent it, but UTF-8 cannot.
        raise _invalid(place, "contains half of a surrogate pair, which cannot be encoded as text")
    return value


def _optional(kind: str, value: Any, place: str) -> Any:
    return None if value is None else _expect(kind, value, place)


def _invalid(place: str, problem: str) -> RequestError:
    return RequestError(Failure(400, f"{place}: {problem}", param=place))


def _described(value: object) -> str:
    # A list or an object may be too deep or too long for a message.
    if _is_object(value) or _is_array(value):
        return "an object" if _is_object(value) else "a list"
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_array(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
