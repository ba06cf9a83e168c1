"""Check the body of a chat completion request, and translate it for the service. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ._responses import Failure

_TOOLS = "not supported, because tools belong to the agent's config; add the tool to the agent"
_LOGPROBS = "not supported by the service; remove it"
# Parameter -> the value that has no effect, and the message for any other value except null, "" and [].
UNSUPPORTED: dict[str, tuple[Any, str]] = {
    "n": (1, "must be 1; send one request for each reply"),
    "tools": ([], _TOOLS),
    "functions": ([], _TOOLS),
    "stop": ([], "not supported by the service; remove it, or cut the reply in the client"),
    "logprobs": (False, _LOGPROBS),
    "top_logprobs": (0, _LOGPROBS),
    "response_format": ({"type": "text"}, "must be text; ask for JSON in the prompt, and parse the reply"),
    "modalities": (["text"], 'must be ["text"]; the gateway handles text only'),
    "audio": (None, "not supported; the gateway handles text only"),
}
PARAMETERS = frozenset({"model", "messages", "stream", "stream_options", "metadata", *UNSUPPORTED})

_NAMES: dict[type, str] = {str: "a string", list: "a list", dict: "an object", bool: "true or false"}
_HALF_PAIR = re.compile("[\ud800-\udfff]")


def stream_arguments(body: Any, models: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of `chat.stream` for a chat completion request.

    Args:
        body: The parsed body of the request.
        models: Names that clients may use as `model`, each with the id of its agent.

    Raises:
        Failure: The body is malformed, or has a parameter that the service does not support.
    """
    _expect(dict, body, "body")
    for name, (neutral, problem) in UNSUPPORTED.items():
        if body.get(name) not in (None, "", [], neutral):
            raise Failure(400, f"{name}: {problem}", code="unsupported_parameter", param=name)
    _optional(bool, body.get("stream"), "stream")
    options: dict[str, Any] = _optional(dict, body.get("stream_options"), "stream_options") or {}
    _optional(bool, options.get("include_usage"), "stream_options.include_usage")
    model = _expect(str, body.get("model"), "model", "an agent id or a name")
    prompts: list[str] = []
    messages: list[dict[str, Any]] = []
    for number, message in enumerate(_expect(list, body.get("messages"), "messages")):
        place = f"messages[{number}]"
        if _expect(dict, message, place).get("role") in ("system", "developer"):
            prompts.append(_text(message.get("content"), f"{place}.content"))
        else:
            messages.append(_message(message, place))
    if not messages:
        raise _invalid("messages", 'must contain at least one message with the role "user"')
    # An empty system message must not replace the agent's saved prompt.
    prompt = "\n\n".join(text for text in prompts if text.strip())
    return {
        "messages": messages,
        "agent_id": models.get(model, model),
        "agent_config": {"prompt": prompt} if prompt else None,
        "metadata": _optional(dict, body.get("metadata"), "metadata"),
    }


def _message(given: dict[str, Any], place: str) -> dict[str, Any]:
    role, content = given.get("role"), given.get("content")
    if role not in ("user", "assistant", "tool"):
        known = '"system", "developer", "user", "assistant" or "tool"'
        raise _invalid(f"{place}.role", f"must be {known}, got {_described(role)}")
    if role == "assistant" and content in (None, []):
        content = ""
    message: dict[str, Any] = {"role": role, "content": _text(content, f"{place}.content")}
    if role == "tool":
        message["tool_call_id"] = _expect(str, given.get("tool_call_id"), f"{place}.tool_call_id")
    if role == "assistant":
        for key, advice in (("function_call", "use tool_calls"), ("audio", "pass its transcript as content")):
            if given.get(key) is not None:
                raise _invalid(f"{place}.{key}", f"not supported; {advice}")
        place += ".tool_calls"
        calls: list[Any] = _optional(list, given.get("tool_calls"), place) or []
        if calls:
            message["tool_calls"] = [_tool_call(call, f"{place}[{i}]") for i, call in enumerate(calls)]
    return message


def _tool_call(given: Any, place: str) -> dict[str, Any]:
    id_ = _expect(str, _expect(dict, given, place).get("id"), f"{place}.id")
    place += ".function"
    function = _expect(dict, given.get("function"), place)
    parts = {key: _expect(str, function.get(key), f"{place}.{key}") for key in ("name", "arguments")}
    return {"id": id_, "type": "function", "function": parts}


def _text(content: Any, place: str) -> str:
    """Return a message's content, a string or a list of text parts, as text."""
    if isinstance(content, str) or not content:
        return str(_expect(str, content, place, "a string or a list of text parts"))
    texts: list[str] = []
    for number, part in enumerate(_expect(list, content, place, "a string or a list of text parts")):
        kind = _expect(dict, part, f"{place}[{number}]").get("type")
        if kind != "text":
            problem = f'must be "text", got {_described(kind)}; the agent reads text only'
            raise _invalid(f"{place}[{number}].type", problem)
        texts.append(_expect(str, part.get("text"), f"{place}[{number}].text"))
    return "".join(texts)


def _expect(kind: type, value: Any, place: str, expected: str = "") -> Any:
    """Return `value`, which must be of the type `kind`."""
    if not isinstance(value, kind):
        raise _invalid(place, f"must be {expected or _NAMES[kind]}, got {_described(value)}")
    if isinstance(value, str) and _HALF_PAIR.search(value):
        # JSON can represent it, but UTF-8 cannot.
        raise _invalid(place, "contains half a surrogate pair, which is not valid text")
    return value


def _optional(kind: type, value: Any, place: str) -> Any:
    return None if value is None else _expect(kind, value, place)


def _invalid(place: str, problem: str) -> Failure:
    return Failure(400, f"{place}: {problem}", param=place)


def _described(value: Any) -> str:
    # A list or an object may be too deep or too long for a message.
    return _NAMES[type(value)] if type(value) in (list, dict) else json.dumps(value)[:60]
