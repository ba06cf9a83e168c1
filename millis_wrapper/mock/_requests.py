"""Parse, check and record requests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import attrs

from millis_wrapper._json import is_array, is_object
from millis_wrapper._text import join_or, shorten
from millis_wrapper.config._placeholders import fill
from millis_wrapper.contract import mask_secrets
from millis_wrapper.contract._validation import Violation, violations
from millis_wrapper.retry import Operation

MAX_REMEMBERED = 1000
MAX_DETAILS = 50  # per request, which may contain a million invalid items

# JSON Schema type -> message and code of pydantic for a value of another type.
_TYPES = {
    "string": ("Input should be a valid string", "string_type"),
    "integer": ("Input should be a valid integer", "int_type"),
    "number": ("Input should be a valid number", "float_type"),
    "boolean": ("Input should be a valid boolean", "bool_type"),
    "array": ("Input should be a valid list", "list_type"),
    "object": ("Input should be a valid dictionary", "dict_type"),
    "null": ("Input should be None", "none_required"),
}
_FRACTION = ("Input should be a valid integer, got a number with a fractional part", "int_from_float")


def _without_key(headers: Mapping[str, str]) -> dict[str, str]:
    lowercase = {name.lower(): value for name, value in headers.items()}
    return {name: "****" if name == "authorization" else value for name, value in lowercase.items()}


def _masked_repr(body: Any) -> str:
    if isinstance(body, str):  # not JSON, so its secrets cannot be found
        return f"<text of {len(body)} characters>"
    return repr(mask_secrets(body, "ChatCompletionRequest"))


@attrs.frozen
class MockRequest:
    """One received request."""

    operation: Operation
    agent_id: str | None
    """The id of the agent in the request, or None."""
    headers: dict[str, str] = attrs.field(converter=_without_key)
    """The headers, by lowercase name, with the key masked."""
    body: Any = attrs.field(default=None, repr=_masked_repr)
    """The parsed request body. Text if the body is not JSON, None if it is empty. The repr masks secrets."""
    prompt: str | None = None
    """The agent's prompt, with placeholders filled in from the metadata. None without a prompt."""
    unfilled: list[str] = attrs.field(factory=list[str])
    """Names of placeholders without a value in the prompt, the first message and the user's messages."""


class RequestBody(NamedTuple):
    """A parsed request body, or its text and the item of a 422 that describes the error."""

    value: Any
    fault: dict[str, Any] | None = None


def read_body(content: bytes, media_type: str) -> RequestBody:
    """Parse a request body the way FastAPI does: strict JSON with a JSON Content-Type."""
    if not content:
        return RequestBody(None)
    if not _is_json_type(media_type):
        label = shorten(media_type, 60) or "none"
        msg = f"Input should be a valid dictionary; the Content-Type must be application/json, got {label}"
        fault = {"loc": ["body"], "msg": msg, "type": "model_attributes_type"}
        return RequestBody(content.decode("utf-8", "replace"), fault)
    try:
        return RequestBody(json.loads(content, parse_constant=_reject_nan))
    except (ValueError, RecursionError) as error:
        fault = {"loc": ["body"], "msg": "JSON decode error", "type": "json_invalid"}
        return RequestBody(content.decode("utf-8", "replace"), {**fault, "ctx": {"error": str(error)}})


def _is_json_type(media_type: str) -> bool:
    kind, _, subtype = media_type.partition(";")[0].strip().lower().partition("/")
    return kind == "application" and (subtype == "json" or subtype.endswith("+json"))


def agent_of(body: RequestBody) -> dict[str, Any]:
    """Return the `agent` of a chat request, valid or not, or an empty dict."""
    agent = body.value.get("agent") if is_object(body.value) else None
    return agent if is_object(agent) else {}


def fill_in(body: RequestBody, saved_config: Mapping[str, Any]) -> tuple[str | None, list[str]]:
    """Return `MockRequest.prompt` and `MockRequest.unfilled` of a chat request, valid or not."""
    agent = agent_of(body)
    override, metadata = agent.get("agent_config"), agent.get("metadata")
    config = {**saved_config, **override} if is_object(override) else saved_config
    values = metadata if is_object(metadata) else {}
    unfilled: list[str] = []
    filled: list[str | None] = []
    for text in (config.get("prompt"), config.get("first_message"), *_user_texts(body)):
        result, names = fill(text, values) if isinstance(text, str) else (None, [])
        filled.append(result)
        unfilled += names
    return filled[0], list(dict.fromkeys(unfilled))


def _user_texts(body: RequestBody) -> Iterator[object]:
    messages = body.value.get("messages") if is_object(body.value) else None
    for message in messages if is_array(messages) else ():
        if is_object(message) and message.get("role") == "user":
            yield message.get("content")


def _reject_nan(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")  # Python's parser accepts it


def details_of(body: object, component: str) -> list[dict[str, Any]]:
    """Return the `detail` of FastAPI's 422: one item per violation of `component` in `body`."""
    details: list[dict[str, Any]] = []
    for violation in islice(violations(body, component), MAX_DETAILS):
        msg, kind = _message_and_code(violation)
        details.append({"loc": ["body", *violation.path], "msg": msg, "type": kind})
    return details


def _message_and_code(violation: Violation) -> tuple[str, str]:
    if violation.kind == "missing":
        return "Field required", "missing"
    if violation.kind == "extra":
        return "Extra inputs are not permitted", "extra_forbidden"
    if violation.kind == "constant":
        return f"Input should be {join_or(map(repr, violation.wanted))}", "literal_error"
    if violation.kind == "type":
        fraction = "integer" in violation.wanted and isinstance(violation.value, float)
        return _FRACTION if fraction else _TYPES[violation.wanted[0]]
    return violation.message, "value_error"
