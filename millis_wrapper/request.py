"""Arguments -> PreparedRequest, with all checks that do not need the network. No I/O."""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import attrs

from ._fork import delays_fork
from ._json import as_mapping, is_mapping
from ._paths import children
from ._text import short_repr
from .errors import ConfigurationError, UnknownFieldWarning
from .options import ensure_flag
from .results import ChatReply, DuplicatedAgent
from .retry import Operation

if TYPE_CHECKING:
    from ._types import Config, Messages


@attrs.frozen
class PreparedRequest:
    """A request: its method, its path on the host, and its JSON body."""

    operation: Operation
    method: str
    path: str
    content: bytes | None = attrs.field(default=None, repr=False)


def agent_arguments(
    *,
    agent_id: str | None,
    agent_config: Config | None,
    metadata: Mapping[str, Any] | None,
    include_metadata_in_prompt: bool | None,
    strict: bool,
) -> dict[str, Any]:
    """Return the `agent` object of a chat request. It contains only the arguments that are not None.

    Raises:
        ConfigurationError: An argument is invalid, or `strict` is set and the config has an unknown key.

    Warns:
        UnknownFieldWarning: The config has an unknown key.
    """
    if agent_id is None and agent_config is None:
        raise ConfigurationError("agent_id or agent_config: pass at least one of them")
    agent: dict[str, Any] = {}
    if agent_id is not None:
        agent["agent_id"] = validate_agent_id(agent_id)
    if agent_config is not None:
        agent["agent_config"] = config_dict(agent_config)
        _report_unknown_keys(agent["agent_config"], strict)
    if metadata is not None:
        if not isinstance(metadata, Mapping):
            raise ConfigurationError(f"metadata: must be a dict, got {type(metadata).__name__}")
        agent["metadata"] = dict(metadata)
    if include_metadata_in_prompt is not None:
        name = "include_metadata_in_prompt"
        agent[name] = ensure_flag(name, include_metadata_in_prompt)
    return agent


def prepare_chat(agent: dict[str, Any], messages: list[bytes], *, end_of_session: bool) -> PreparedRequest:
    """Return the request for a chat.

    `agent` is from `agent_arguments`, and `messages` from `write_messages`: a conversation encodes each
    message once.

    Raises:
        ConfigurationError: `end_of_session` is not a bool, or a value cannot be encoded as JSON.
    """
    body: dict[str, Any] = {"agent": agent}
    if end_of_session is not False:
        body["end_of_session"] = ensure_flag("end_of_session", end_of_session)
    content = b'%s,"messages":[%s]}' % (json_body(body)[:-1], b",".join(messages))
    return PreparedRequest("chat", "POST", "/chat/completions", content)


def prepare_duplicate(agent_id: str) -> PreparedRequest:
    """Return the request that duplicates the agent `agent_id`."""
    return PreparedRequest(
        "duplicate", "POST", f"/agents/{quote(validate_agent_id(agent_id), safe='')}/duplicate"
    )


def validate_agent_id(agent_id: str) -> str:
    """Return `agent_id`, or raise ConfigurationError if it cannot be an agent id."""
    if not isinstance(agent_id, str):
        raise ConfigurationError(f"agent_id: must be a str, got {type(agent_id).__name__}")
    # Whitespace and control characters are copied by accident. HTTP clients remove "." and ".." from the path
    # of a URL, which would then name another resource.
    if not (agent_id.strip(".") and agent_id.isprintable() and " " not in agent_id and len(agent_id) <= 200):
        raise ConfigurationError(
            f"agent_id: {short_repr(agent_id)} is not a valid agent id; pass the id of a saved agent"
            " (20 letters, digits, - and _)"
        )
    return agent_id


def write_messages(messages: Messages, *, first: int = 0, may_be_empty: bool = False) -> list[bytes]:
    """Return each message as JSON. `first` is the index of the first one in the request.

    Raises:
        ConfigurationError: A message is invalid. The error names its place, such as `messages[0].role`.
    """
    if isinstance(messages, str):
        return [json_body({"role": "user", "content": messages}, f"messages[{first}]")]
    # A single message is iterable, too: a dict or a model yields its keys.
    if as_mapping(messages) is not None or isinstance(messages, bytes) or not isinstance(messages, Iterable):
        given = type(messages).__name__
        raise ConfigurationError(f"messages: must be a str or a list of messages, got {given}")
    listed: Iterable[object] = messages
    written = [_write_message(message, f"messages[{index}]") for index, message in enumerate(listed, first)]
    if not (written or may_be_empty):
        raise ConfigurationError("messages: must not be empty; pass at least one message")
    return written


def config_dict(config: Config) -> dict[str, Any]:
    """Return `config` as a dict.

    Raises:
        ConfigurationError: It has another type, or it is a complete response of `duplicate`.
    """
    value = as_mapping(config)
    if value is None:
        hint = "; pass its .config" if isinstance(config, DuplicatedAgent) else ""
        given = type(config).__name__
        raise ConfigurationError(f"agent_config: must be a dict, model or dataclass, got {given}{hint}")
    if is_duplicate_response(value):
        raise ConfigurationError(
            "agent_config: must be a config, got a complete response of duplicate; pass its `config`"
        )
    return dict(value)


@delays_fork
def is_duplicate_response(value: Mapping[str, Any]) -> bool:
    """Return whether `value` is a complete response of `duplicate`, which contains a config."""
    if "id" not in value or not is_mapping(value.get("config")):
        return False
    from . import contract

    known = contract.component("AgentConfigOverride")["properties"]
    return not any(key in known for key in value)


def _write_message(message: object, place: str) -> bytes:
    value = as_mapping(message)
    if value is None:
        hint = "; pass its .message" if isinstance(message, ChatReply) else ""
        raise ConfigurationError(
            f"{place}: must be a dict, model or dataclass, got {type(message).__name__}{hint}"
        )
    role = value.get("role")
    if role not in ("user", "assistant", "tool"):
        hint = '; put system text into agent_config["prompt"]' if role == "system" else ""
        raise ConfigurationError(
            f'{place}.role: must be "user", "assistant" or "tool", got {short_repr(role)}{hint}'
        )
    if "content" not in value:
        raise ConfigurationError(f'{place}.content: is required ("" for a message without text)')
    if not isinstance(value["content"], str):
        given = type(value["content"]).__name__
        raise ConfigurationError(f'{place}.content: must be a str ("" for no text), got {given}')
    return json_body(value, place)


@delays_fork
def _report_unknown_keys(config: dict[str, Any], strict: bool) -> None:
    from . import contract

    # The round trip through JSON turns models inside the config into dicts.
    data = json.loads(json_body(config, "agent.agent_config"))
    for unknown in contract.unknown_keys(data, "AgentConfigOverride"):
        message = f'agent_config: unknown key "{unknown.path}"'
        if unknown.closest_match:
            message += f'; did you mean "{unknown.closest_match}"?'
        if strict:
            raise ConfigurationError(message)
        warnings.warn(message, UnknownFieldWarning, stacklevel=_depth_of_caller())


def _depth_of_caller() -> int:
    # The warning points at the caller's line, which is above all frames of this library.
    depth, frame = 0, inspect.currentframe()
    package = __name__.partition(".")[0]
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        depth, frame = depth + 1, frame.f_back
    return depth


def _encode_model(value: object) -> dict[str, Any]:
    plain = as_mapping(value)
    if plain is None:
        raise TypeError
    return dict(plain)


_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_encode_model
).encode

_DEEPEST_NAMED = 20  # steps in the path of a value that cannot be encoded


def json_body(value: object, path: str = "", depth: int = 0) -> bytes:
    """Return `value`, which may contain models, as JSON.

    Raises:
        ConfigurationError: A value cannot be encoded as JSON. The error names its place below `path`.
    """
    try:
        content = _encode(value).encode()
    except (TypeError, ValueError, RecursionError):
        content = None
    if content is None or _repeats_key(value):
        raise ConfigurationError(_problem(value, path, depth))
    return content


def _repeats_key(value: object) -> bool:
    """Return whether two keys of one dict in `value`, such as 1 and "1", become the same JSON key."""
    rest: list[Any] = [value]
    for each in rest:  # the loop adds to the list, because recursion would take as long as encoding
        plain: Mapping[Any, Any] | None = None
        if each.__class__ is dict:
            plain = each
        elif isinstance(each, list | tuple):
            rest += each
        elif not isinstance(each, str | int | float | None):
            plain = as_mapping(each)
        if plain is not None:
            strings = all(isinstance(key, str) for key in plain)
            if not strings and len({_encode({key: None}) for key in plain}) < len(plain):
                return True
            rest += plain.values()
    return False


def _problem(value: object, path: str, depth: int) -> str:
    """Return why `value` cannot be encoded as JSON; raise the error of a value inside it, if any."""
    if depth > _DEEPEST_NAMED:
        return f"{path}: is nested too deeply or contains itself"
    plain = as_mapping(value)
    for place, child in children(value if plain is None else plain, path):
        json_body(child, place, depth + 1)
    if plain is not None:
        return _problem_with_keys(plain, path)
    if isinstance(value, str):
        return f"{path}: contains half a surrogate pair, which is not valid text"
    what = repr(value) if isinstance(value, float) else f"a value of type {type(value).__name__}"
    return f"{path}: {what} cannot be encoded as JSON; use a string, number, boolean or null"


def _problem_with_keys(value: Mapping[Any, Any], path: str) -> str:
    seen = set[str]()
    for key in value:
        try:
            json_key = _encode({key: None})
            json_key.encode()
        except (TypeError, ValueError):
            return f"{path}: the key {short_repr(key)} cannot be encoded as JSON; use a string"
        if json_key in seen:
            return f"{path}: {short_repr(key)} and another key become the same JSON key; use strings as keys"
        seen.add(json_key)
    return f"{path}: is nested too deeply or contains itself"
