"""Ways in which a service can depart from the contract, and how scripts/probe tells of each."""

from __future__ import annotations

from typing import Any

from probe_runs import (
    AGENT,
    BEARER,
    BELOW,
    CHUNKS,
    CREATED,
    DUPLICATE,
    END,
    FLOAT,
    LAST,
    LIMITS,
    MISSING,
    NAME,
    NO_AGENT,
    NO_ORIGINAL,
    PLAIN_TURN,
    REQUEST_ID,
    SYSTEM,
    UNKNOWN,
    UNSET,
    WRONG,
    Departure,
)
from starlette.responses import JSONResponse, Response

from scripts.probing.exchanges import NO_SUCH_KEY


def events(*data: str) -> Response:
    return Response("".join(f"data: {each}\n\n" for each in data), 200, {}, "text/event-stream")


def accepted() -> Response:
    return events('{"choices":[{"delta":{"content":"OK"}}]}', "[DONE]")


def copy(**changes: Any) -> Response:
    config = {"prompt": "Be brief.", "voice": {"provider": "openai", "voice_id": "alloy"}}
    whole = {"id": "-Ocopy", "name": "Front desk (copy)", "config": config, "created_at": 1735689600000}
    return JSONResponse({**whole, **changes})


def refused(status: int, body: Any = None, **headers: str) -> Response:
    if body is None:
        return Response(b"", status, headers)
    return JSONResponse(body, status, headers)


# Each: what differs, which question finds it, a part of what the service is reported to say, and of the edit.
DEPARTURES: dict[str, tuple[Departure, set[str], str, str]] = {
    "a wrong key is taken": (
        lambda asked: accepted() if asked.key == NO_SUCH_KEY else None,
        {WRONG},
        "200 with text/event-stream",
        "`components.securitySchemes`: say that the key is not looked at",
    ),
    "a wrong key is a 422": (
        lambda asked: refused(422, {"detail": []}) if asked.key == NO_SUCH_KEY else None,
        {WRONG},
        "422 with application/json",
        "`paths./chat/completions.post.responses`: list `'422'`",
    ),
    "a wrong key is a redirect": (
        lambda asked: refused(302, location="/login") if asked.key == NO_SUCH_KEY else None,
        {WRONG},
        "302 without a body",
        "list `'302'`",
    ),
    "a wrong key has no body": (
        lambda asked: refused(401) if asked.key == NO_SUCH_KEY else None,
        {WRONG},
        "401 without a body",
        "`paths./chat/completions.post.responses.default`: say that the body may be empty",
    ),
    "a wrong key has a page": (
        lambda asked: Response("<p>No</p>", 401, {}, "text/html") if asked.key == NO_SUCH_KEY else None,
        {WRONG},
        "401 with text/html",
        "add text/html to `content`",
    ),
    "a wrong key has an error of another form": (
        lambda asked: refused(401, {"detail": {"code": 7}, "code": 7}) if asked.key == NO_SUCH_KEY else None,
        {WRONG},
        "`ErrorResponse` has `code` (integer)",
        "`ErrorResponse` at `detail`: allow `type: object`",
    ),
    "no key is needed": (
        lambda asked: accepted() if asked.key is None else None,
        {MISSING},
        "200",
        "`security`: add `{}`",
    ),
    "Bearer is taken": (
        lambda asked: accepted() if (asked.key or "").startswith("Bearer") else None,
        {BEARER},
        "200",
        "`components.securitySchemes`: say that the key may have `Bearer` before it",
    ),
    "an unknown agent answers": (
        lambda asked: accepted() if asked.body and asked.body["agent"]["agent_id"] != AGENT else None,
        {NO_AGENT},
        "200",
        "say that an unknown agent answers too",
    ),
    "an unknown config key is taken": (
        lambda asked: accepted() if asked.config == {"probe_unknown_key": True} else None,
        {UNKNOWN},
        "200",
        "`components.schemas.AgentConfigOverride`: drop `additionalProperties: false`",
    ),
    "an unknown config key is a 400": (
        lambda asked: refused(400, {"detail": "No"}) if asked.config == {"probe_unknown_key": True} else None,
        {UNKNOWN},
        "400 with application/json: `detail` (string)",
        "list `'400'`",
    ),
    "an unknown key below is refused": (
        lambda asked: (
            refused(422, {"detail": []}) if asked.config == {"flow": {"probe_unknown_key": True}} else None
        ),
        {BELOW},
        "422",
        "`additionalProperties: false`",
    ),
    "a float delay is taken": (
        lambda asked: accepted() if asked.config == {"flow": {"response_delay": 500.5}} else None,
        {FLOAT},
        "200",
        "`components.schemas.Flow` at `response_delay`: `type: number`",
    ),
    "a 422 has a text": (
        lambda asked: (
            refused(422, {"detail": "No"}) if asked.config == {"flow": {"response_delay": 500.5}} else None
        ),
        {FLOAT},
        "422 with application/json: `detail` (string)",
        "`HTTPValidationError` at `detail`: allow `type: string`",
    ),
    "the role system is taken": (
        lambda asked: accepted() if "system" in asked.roles else None,
        {SYSTEM},
        "200",
        "`components.schemas.ChatMessage`: add a message of the role `system`",
    ),
    "end_of_session has no reply": (
        lambda asked: refused(204) if asked.body and "end_of_session" in asked.body else None,
        {LAST},
        "204 without a body",
        "list `'204'`",
    ),
    "end_of_session has no text and no end mark": (
        lambda asked: events('{"choices":[]}') if asked.body and "end_of_session" in asked.body else None,
        {LAST},
        "there is no text; the stream does not close with `[DONE]`",
        "`ChatCompletionRequest.end_of_session`: say that with it chunks have no `choices[].delta`",
    ),
    "end_of_session has a reason": (
        lambda asked: (
            events('{"choices":[{"delta":{"content":"OK"},"finish_reason":"stop"}]}', "[DONE]")
            if asked.body and "end_of_session" in asked.body
            else None
        ),
        {LAST},
        "chunks have `choices[].finish_reason`",
        "say that with it chunks have `choices[].finish_reason`",
    ),
    "a plain turn is answered with text in a stream": (
        lambda asked: (
            events('{"choices":[{"delta":{"content":"OK"}}]}', "Fine", "[DONE]") if asked.is_plain else None
        ),
        {END},
        "it closes with `[DONE]`; it has data that is no JSON",
        "say that it has data that is no JSON",
    ),
    "events come after the end mark": (
        lambda asked: events("[DONE]", "{}") if asked.is_plain else None,
        {END, CHUNKS, LAST},
        "events come after [DONE]",
        "events come after [DONE]",
    ),
    "a plain turn is answered with JSON": (
        lambda asked: JSONResponse({"choices": []}) if asked.is_plain else None,
        {PLAIN_TURN},
        "it is no text/event-stream",
        "add application/json to `content`",
    ),
    "a request id": (
        lambda asked: (
            refused(401, {"detail": "No"}, **{"X-Request-ID": "r-1"}) if asked.key is None else None
        ),
        {REQUEST_ID},
        "`x-request-id`",
        "add `x-request-id` to `headers`",
    ),
    "limits": (
        lambda asked: (
            refused(401, {"detail": "No"}, **{"X-RateLimit-Limit": "9"}) if asked.key is None else None
        ),
        {LIMITS},
        "`x-ratelimit-limit`",
        "add `x-ratelimit-limit` to `headers`",
    ),
    "a duplicate of nothing has a body": (
        lambda asked: refused(404, {"detail": "No"}) if "no-such-agent" in asked.path else None,
        {NO_ORIGINAL},
        "there is a body",
        "`paths./agents/{agent_id}/duplicate.post.responses.404`: add `content`",
    ),
    "a copy is a 201": (
        lambda asked: refused(201, {"id": "-Ocopy"}) if asked.is_copy else None,
        {DUPLICATE},
        "201",
        "list `'201'`",
    ),
    "created_at in seconds": (
        lambda asked: copy(created_at=1735689600) if asked.is_copy else None,
        {CREATED},
        "integer, seconds",
        "`x-unit: seconds`, and the example",
    ),
    "created_at is a float": (
        lambda asked: copy(created_at=1735689600000.5) if asked.is_copy else None,
        {CREATED, DUPLICATE},
        "number, milliseconds",
        "`type: number`, `x-unit: milliseconds`",
    ),
    "created_at of no unit": (
        lambda asked: copy(created_at=10**400) if asked.is_copy else None,
        {CREATED},
        "integer",
        "`type: integer`",
    ),
    "a name before": (
        lambda asked: copy(name="Copy of Front desk") if asked.is_copy else None,
        {NAME},
        'it begins with "copy of"',
        'at `name`, and the example: it begins with "copy of"',
    ),
    "the same name": (
        lambda asked: copy(name="Front desk") if asked.is_copy else None,
        {NAME},
        'it does not have the word "copy"',
        'it does not have the word "copy"',
    ),
    "null for what is not set": (
        lambda asked: (
            copy(config={"prompt": "p", "voice": {"provider": "a", "voice_id": "b"}, "llm": None})
            if asked.is_copy
            else None
        ),
        {UNSET},
        "null: `llm`",
        "`components.schemas.AgentConfig`, and the example: unset keys are absent or null",
    ),
    "a config without a prompt": (
        lambda asked: copy(config={}) if asked.is_copy else None,
        {DUPLICATE},
        "`DuplicateAgentResponse` at `config.prompt` is missing",
        "at `config.voice`: not `required`",
    ),
}
