"""Read the meaning of one server-sent event, without I/O and without state; `ReplyBuilder` keeps the state.

Chunks have OpenAI's form, as seen on the wire. An event means text, tool calls, a finish reason, usage, an
error, the end of the stream, a known keep-alive, or `NotUnderstood`. No event is skipped silently: whatever
might hold a part of the reply and is not understood makes the reply fail.
"""

from __future__ import annotations

import re
from typing import Any

from ._json import is_array, is_object, read_json, read_json_row, repeats_key
from ._meanings import (
    Choice,
    Chunk,
    EndMark,
    KeepAlive,
    Meaning,
    NotUnderstood,
    ReportedError,
    Several,
    StrayLine,
    Text,
    Token,
    Unfinished,
)
from ._text import holds_surrogate
from .results import ChatChunk
from .sse import ServerSentEvent

END_MARK = "[DONE]"

# Servers send these to keep a connection open, as an event's name, as its data, or as the type in it.
_KEEP_ALIVE = re.compile(r"ping|pong|heart[-_ ]?beat|keep[-_ ]?alive|noop|open|connected", re.IGNORECASE)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?Z|[+-]\d\d:?\d\d)?", re.ASCII)
# Metadata that an object may hold in place of choices, none of which is part of a chunk's envelope.
_SESSION_KEYS = frozenset(
    {"agent_id", "call_id", "conversation_id", "request_id", "session", "session_id", "time", "timestamp"}
)
# Plain text hardly ever contains these keys; a chunk that lost its beginning, or was encoded twice, does.
_CHUNK_KEY = re.compile(r'"(choices|delta|content|finish_reason|error)\\*"\s*:')
# The standard's form of a field. An unknown field is ignored; any other line was not meant as a field.
_FIELD_LINE = re.compile(r"[A-Za-z][\w.-]*\s*(:.*)?", re.DOTALL)
# Keys under which other chunks and other APIs send text.
_TEXT_KEYS = frozenset(
    {"answer", "content", "delta", "generated_text", "message", "output", "output_text", "refusal"}
    | {"response", "text", "token", "transcript"}
)
# Keys whose repetition in one object would hide a part of the reply: a JSON parser keeps only the last one.
_UNIQUE_KEYS = ("choices", "delta", "content")
# Roles of messages that the agent does not speak. The contract does not limit the other roles.
_OTHER_ROLES = ("developer", "function", "system", "tool", "user")
# Keys under which other APIs send the arguments or the name of a tool call.
_CALL_KEYS = ("args", "arguments", "custom", "input", "name", "parameters")
# Keys of a choice that hold more than its delta does.
_UNCOMMON_KEYS = frozenset({"error", "function_call", "message", "text", "tool_calls"})
# Keys that hold something other than text that is spoken. Alone, they are not a reply.
_UNSPOKEN_KEYS = frozenset(
    {"annotations", "logprobs", "reasoning", "reasoning_content", "reasoning_details", "thinking"}
    | {"token_ids"}
)
# The other keys of a choice and of a delta that are known. An unknown key may hold text of the reply.
_CHOICE_KEYS = frozenset(
    {"content_filter_offsets", "content_filter_results", "delta", "error", "finish_reason", "index"}
    | {"message", "native_finish_reason", "seed", "stop_reason", "text"}
)
_DELTA_KEYS = frozenset({"content", "name", "role", "tool_calls"})


def read_event(event: ServerSentEvent) -> Meaning:
    """Return the meaning of `event`."""
    source = event.data
    if not event.event:
        return _read_stray_line(source)
    if source.strip() == END_MARK:
        return EndMark()
    value = read_json(source)
    if value.__class__ is not dict:
        return _read_other(event, value)
    # A repeated key can hide text only if there is a second "content", so one count is enough here.
    chunk = _read_common(value, event.event) if source.count('"content"') == 1 else None
    if chunk is not None:
        return chunk
    if any(source.count(key) > 1 for key in _UNIQUE_KEYS) and repeats_key(source, _UNIQUE_KEYS):
        return NotUnderstood(value, event.event)
    return read_object(value, event.event)


def read_last_event(event: ServerSentEvent) -> Meaning:
    """Return the meaning of the event that the end of the body cut off.

    A JSON object or string that was cut in half cannot be parsed, so one that parses is complete. Plain text
    does not show whether it is complete, and half a number is a number.
    """
    is_complete = isinstance(read_json(event.data), dict | str) or event.data.strip() == END_MARK
    return read_event(event) if is_complete or not event.event else Unfinished()


def read_object(data: dict[str, Any], event: str) -> Chunk | KeepAlive | ReportedError | NotUnderstood:
    """Return the meaning of a JSON object."""
    if event == "error" or reports_error(data):
        return ReportedError(data)
    if "choices" not in data:
        return _read_keep_alive(data, event) or NotUnderstood(data, event)
    choices: Any = [] if data["choices"] is None else data["choices"]
    if not is_array(choices):
        return NotUnderstood(data, event)
    usage = data["usage"] if is_object(data.get("usage")) else None
    read = [_read_choice(choice, has_usage=usage is not None) for choice in choices]
    understood = tuple(choice for choice in read if choice is not None)
    says_something = any(choice.text or choice.complete_text or choice.tool_calls for choice in understood)
    elsewhere = data.get("tool_calls") or any(map(data.get, _TEXT_KEYS))
    if len(understood) < len(choices) or (elsewhere and not says_something):
        return NotUnderstood(data, event)
    parts = [(choice, _CHOICE_KEYS) for choice in choices]
    parts += [(choice.get(key), _DELTA_KEYS) for choice in choices for key in ("delta", "message")]
    is_unspoken = any(map(data.get, _UNSPOKEN_KEYS)) or any(_has_more(*part) for part in parts)
    return Chunk(data, event, understood, usage, is_unspoken)


def reports_error(data: dict[str, Any]) -> bool:
    """Return whether a JSON object reports an error."""
    if data.get("errors") or data.get("error"):
        return True
    if "choices" not in data:
        return (
            "error" in data or bool(data.get("detail")) or "error" in (data.get("object"), data.get("type"))
        )
    # Some services send {"error": null} beside choices although the request succeeded.
    choices: Any = data["choices"]
    return is_array(choices) and any(
        is_object(choice) and (choice.get("error") or choice.get("finish_reason") == "error")
        for choice in choices
    )


def _read_common(data: dict[str, Any], event: str) -> ChatChunk | None:
    """Return the chunk of the common form, or None.

    This function runs for each event, so it checks only the conditions of the short path.
    """
    choices: Any = data.get("choices")
    if choices.__class__ is not list or len(choices) != 1:
        return None
    choice = choices[0]
    if choice.__class__ is not dict:
        return None
    delta = choice.get("delta")
    if delta.__class__ is not dict or len(delta) != 1:
        return None
    text = delta.get("content")
    if (
        text.__class__ is str
        and text
        and (text.isascii() or not holds_surrogate(text))
        and not choice.get("index")
        and choice.get("finish_reason") is None
        and data.get("usage") is None
        and "error" not in data
        and _UNCOMMON_KEYS.isdisjoint(choice)
        and event != "error"
    ):
        return ChatChunk(text, data, event)
    return None


def _read_choice(choice: object, *, has_usage: bool) -> Choice | None:
    """Return one choice; None if it may hold a part of the reply that cannot be understood."""
    if not is_object(choice) or choice.get("tool_calls") or choice.get("function_call"):
        return None
    message, text = choice.get("message"), choice.get("text")
    if message is None and text is not None:
        message = {"content": text}
    elif text:
        return None
    # The last chunks of a reply have no delta to send: null is one there, and nowhere else.
    is_last = bool(choice.get("finish_reason")) or has_usage
    if message is None and choice.get("delta") is None and not ("delta" in choice and is_last):
        return None
    delta_read, message_read = _read_part(choice.get("delta")), _read_part(message)
    if delta_read is None or message_read is None:
        return None
    (text, calls), (complete_text, more_calls) = delta_read, message_read
    if not (text or complete_text or calls or more_calls) and _has_unknown_text(choice, _CHOICE_KEYS):
        return None
    index, reason = choice.get("index"), choice.get("finish_reason")
    return Choice(
        None if index is None else str(index).removesuffix(".0"),
        text,
        None if message is None else complete_text,
        calls + more_calls,
        reason if isinstance(reason, str) and reason else None,
    )


def _read_part(part: object) -> tuple[str, list[dict[str, Any]]] | None:
    """Return the text and the tool calls of a delta or a message; None if that is not clear."""
    if part is None:
        return "", []
    if not is_object(part) or part.get("function_call") or part.get("role") in _OTHER_ROLES:
        return None
    content = _read_content(part.get("content"))
    calls: Any = part.get("tool_calls") or []
    if content is None or not is_array(calls) or not all(map(_is_tool_call, calls)):
        return None
    # Another key may repeat the text; any other text beside it would be lost.
    if any(part.get(key) not in (None, "", content) for key in _TEXT_KEYS & part.keys() - {"content"}):
        return None
    if not (content or calls) and _has_unknown_text(part, _DELTA_KEYS):
        return None
    return content, calls


def _read_content(content: object) -> str | None:
    """Return the text of `content`: a string, null, or a list of text parts; None if it is something else."""
    if content is None or isinstance(content, str):
        return content or ""
    texts: list[str] = []
    for part in content if is_array(content) else ():
        text = part.get("text") if is_object(part) and part.get("type", "text") == "text" else part
        if not isinstance(text, str):
            return None
        texts.append(text)
    return "".join(texts) if texts else None


def _is_tool_call(call: object) -> bool:
    """Return whether a tool-call delta has a form that `ToolCalls` can add up."""
    if not is_object(call) or not isinstance(call.get("type"), str | None):
        return False
    function: Any = call.get("function")
    if function is None:
        return not _has_unknown_text(call, frozenset({"id", "index", "type"}))
    call_id, index = call.get("id"), call.get("index")
    return (
        is_object(function)
        and not any(call.get(key) for key in _CALL_KEYS)
        and not any(function.get(key) for key in _CALL_KEYS if key not in ("name", "arguments"))
        and isinstance(function.get("name"), str | None)
        and isinstance(function.get("arguments"), str | dict | None)
        and isinstance(call_id, str | int | None)
        and not isinstance(call_id, bool)
        and not isinstance(index, list | dict)
    )


def _has_unknown_text(data: dict[str, Any], known: frozenset[str]) -> bool:
    """Return whether a key that is not `known` has a value that can hold text."""
    known = known | _UNSPOKEN_KEYS
    return any(
        value and isinstance(value, str | list | dict) for key, value in data.items() if key not in known
    )


def _has_more(data: object, known: frozenset[str]) -> bool:
    """Return whether a key that is not `known` has a value other than true, false, null and 0."""
    return is_object(data) and any(
        value and value is not True for key, value in data.items() if key not in known
    )


def _read_keep_alive(data: dict[str, Any], event: str) -> KeepAlive | None:
    """Return a KeepAlive for an object without `choices` that adds nothing to a reply; otherwise None."""
    if _KEEP_ALIVE.fullmatch(event):
        return KeepAlive(data, event)
    if not data or any(isinstance(value, list | dict) for value in data.values()):
        return None
    names = (data.get("type"), data.get("object"), data.get("event"))
    is_named = any(isinstance(name, str) and _KEEP_ALIVE.fullmatch(name) for name in names)
    known = _SESSION_KEYS | {"type", "object", "event"} if is_named else _SESSION_KEYS
    if data.keys() <= known or (is_named and not _has_unknown_text(data, known)):
        return KeepAlive(data, event)
    if event in ("message", *_TEXT_KEYS) or _TEXT_KEYS & data.keys() or _has_unknown_text(data, frozenset()):
        return None
    return KeepAlive(data, event, is_known=False)


def _read_other(event: ServerSentEvent, value: Any) -> Meaning:
    """Return the meaning of an event whose data is not one JSON object."""
    data, name = event.data, event.event
    text = data.strip()
    if name == "error":
        return ReportedError(data)
    if text.startswith("{") or (text.startswith("[") and value != []):
        return _read_row(event, text)
    content = value if isinstance(value, str) else data
    # JSON inside of a JSON string is not meant to be spoken.
    if _CHUNK_KEY.search(text) or (isinstance(value, str) and isinstance(read_json(value), dict | list)):
        return NotUnderstood(data, name)
    if _KEEP_ALIVE.fullmatch(name):
        return KeepAlive(data, name)
    if value is None or value in ([], "") or not text or text.startswith(":"):
        return Token(data, name, content, counts_alone=False)
    if isinstance(value, int | float) or _KEEP_ALIVE.fullmatch(text) or _TIMESTAMP.fullmatch(text):
        return Token(data, name, content, counts_alone=True)
    return Text(data, name, content)


def _read_row(event: ServerSentEvent, text: str) -> Several:
    """Return the meaning of an event with several JSON objects, or with an array of them."""
    values, rest = read_json_row(text)
    if len(values) == 1 and is_array(values[0]):
        values = values[0]
    meanings: list[Meaning] = [read_object(value, event.event) for value in values if is_object(value)]
    if not meanings or len(meanings) < len(values) or rest not in ("", END_MARK):
        meanings.append(NotUnderstood(event.data, event.event))
    elif rest == END_MARK:
        meanings.append(EndMark())
    return Several(tuple(meanings))


def _read_stray_line(line: str) -> ReportedError | StrayLine | Several:
    """Return the meaning of a line that the standard ignores."""
    name, colon, value = line.partition(":")
    if colon and name.strip() == "error":
        return Several(()) if value.strip() in ("", "null") else ReportedError(value.strip())
    if line.strip() and (_CHUNK_KEY.search(value) or not _FIELD_LINE.fullmatch(line)):
        return StrayLine()
    return Several(())
