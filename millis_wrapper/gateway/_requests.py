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
    if not _is_object(body):
        raise _invalid("body", f"must be a JSON object, got {_described(body)}")
    for name, (neutral, problem) in UNSUPPORTED.items():
        if body.get(name) not in neutral:
            raise RequestError(Failure(400, f"{name}: {problem}", param=name, code="unsupported_parameter"))
    model = body.get("model")
    if not isinstance(model, str):
        raise _invalid("model", f"must be an agent id or a name, got {_described(model)}")
    options = _optional_object(body, "stream_options")
    include_usage = _flag(options.get("include_usage"), "stream_options.include_usage")
    messages, prompt = _parse_messages(body.get("messages"))
    metadata = None if body.get("metadata") is None else _optional_object(body, "metadata")
    ignored = tuple(name for name in body if name not in _USED and name not in UNSUPPORTED)
    stream = _flag(body.get("stream"), "stream")
    return ChatCall(model, messages, prompt, metadata, stream, include_usage, ignored)


def _parse_messages(given: object) -> tuple[list[dict[str, Any]], str | None]:
    if not _is_array(given):
        raise _invalid("messages", f"must be a list of messages, got {_described(given)}")
    prompts: list[str] = []
    messages: list[dict[str, Any]] = []
    for number, message in enumerate(given):
        place = f"messages[{number}]"
        if not _is_object(message):
            raise _invalid(place, f"must be an object, got {_described(message)}")
        role = message.get("role")
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
        call_id = _string_at(message.get("tool_call_id"), f"{place}.tool_call_id")
        return {"role": role, "content": _text_at(content, f"{place}.content"), "tool_call_id": call_id}
    if role != "assistant":
        known = '"system", "developer", "user", "assistant" or "tool"'
        raise _invalid(f"{place}.role", f"must be {known}, got {_described(role)}")
    for key, advice in (("function_call", "use tool_calls"), ("audio", "pass its transcript as content")):
        if message.get(key) is not None:
            raise _invalid(f"{place}.{key}", f"not supported; {advice}")
    parsed: dict[str, Any] = {
        "role": role,
        "content": "" if content in (None, []) else _text_at(content, f"{place}.content"),
    }
    if calls := message.get("tool_calls"):
        place = f"{place}.tool_calls"
        if not _is_array(calls):
            raise _invalid(place, f"must be a list, got {_described(calls)}")
        parsed["tool_calls"] = [_tool_call(call, f"{place}[{number}]") for number, call in enumerate(calls)]
    return parsed


def _tool_call(call: object, place: str) -> dict[str, Any]:
    function = call.get("function") if _is_object(call) else None
    if not (_is_object(call) and _is_object(function)):
        raise _invalid(place, 'must be {"id", "type": "function", "function"}')
    name = _string_at(function.get("name"), f"{place}.function.name")
    arguments = _string_at(function.get("arguments"), f"{place}.function.arguments")
    call_id = _string_at(call.get("id"), f"{place}.id")
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _text_at(content: object, place: str) -> str:
    """Return a message's content as text: a string, or a list of text parts."""
    if isinstance(content, str):
        return _string_at(content, place)
    if not _is_array(content) or not content:
        raise _invalid(place, f"must be a string or a list of text parts, got {_described(content)}")
    return "".join(_text_of_part(part, f"{place}[{number}]") for number, part in enumerate(content))


def _text_of_part(part: object, place: str) -> str:
    kind = part.get("type") if _is_object(part) else None
    if not _is_object(part) or kind != "text":
        raise _invalid(f"{place}.type", f'must be "text", got {_described(kind)}; the agent reads text only')
    return _string_at(part.get("text"), f"{place}.text")


def _invalid(place: str, problem: str) -> RequestError:
    return RequestError(Failure(400, f"{place}: {problem}", param=place))


def _string_at(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise _invalid(place, f"must be a string, got {_described(value)}")
    if _HALF_PAIR.search(value):
        # JSON can represent it, but UTF-8 cannot.
        raise _invalid(place, "contains half of a surrogate pair, which cannot be encoded as text")
    return value


def _flag(value: object, place: str) -> bool:
    if value is not None and not isinstance(value, bool):
        raise _invalid(place, f"must be true or false, got {_described(value)}")
    return bool(value)


def _optional_object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if value is not None and not _is_object(value):
        raise _invalid(name, f"must be an object, got {_described(value)}")
    return value or {}


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
