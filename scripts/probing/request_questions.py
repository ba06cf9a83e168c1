"""Which status and body a request gets, and which headers come along."""

from __future__ import annotations

import re

from . import fit, promises
from .exchanges import (
    BEARER,
    FLOAT_DELAY,
    NO_KEY,
    PLAIN,
    SYSTEM_ROLE,
    UNKNOWN_AGENT,
    UNKNOWN_KEY,
    UNKNOWN_KEY_BELOW,
    WRONG_KEY,
    Exchange,
)
from .judging import Question, Said
from .shapes import named
from .wire import Answer

_CONFIG = "components.schemas.AgentConfigOverride"
_SCHEME = "components.securitySchemes"


def answered(words: str, exchange: Exchange, other_way: str) -> Question:
    """Ask what answers `exchange`; `other_way` is the edit for a success in place of a refusal, or for a
    refusal in place of a success.
    """

    def judge(answers: list[Answer]) -> Said:
        (answer,) = answers
        service = fit.described(exchange, answer)
        misfits = fit.misfits(exchange, answer, other_way)
        if not misfits:
            return Said(service, True, fit.settled(exchange, answer))
        told = "; ".join(misfit.words for misfit in misfits)
        return Said(f"{service} — {told}", False, "; ".join(misfit.edit for misfit in misfits))

    return Question(
        words,
        (exchange,),
        lambda: promises.words(exchange.operation, promises.expected(exchange)),
        judge,
    )


def _header(words: str, pattern: re.Pattern[str]) -> Question:
    """Ask which of the headers that came match `pattern`."""

    def wanted() -> set[str]:
        return {name for name in promises.documented_headers() if pattern.search(name)}

    def judge(answers: list[Answer]) -> Said:
        there = {name for answer in answers for name in answer.header_names if pattern.search(name)}
        new = there - wanted()
        edit = f"the responses: add {_names(new)} to `headers`" if new else ""
        return Said(_names(there), not new, edit)

    return Question(words, None, lambda: _names(wanted()), judge)


def _names(names: set[str]) -> str:
    return ", ".join(sorted(set(map(named, names)))) or "none"


STATUSES = (
    answered(
        "What answers a plain turn?",
        PLAIN,
        "none, before it is sure that the key and the agent's id are right",
    ),
    answered("What answers a wrong key?", WRONG_KEY, f"`{_SCHEME}`: say that the key is not looked at"),
    answered("What answers a request without a key?", NO_KEY, "`security`: add `{}`, for no key at all"),
    answered(
        "Does `Bearer` before the key work too?",
        BEARER,
        f"`{_SCHEME}`: say that the key may have `Bearer` before it",
    ),
    answered(
        "What answers a turn with an unknown agent?",
        UNKNOWN_AGENT,
        f"`{promises.place('chat')}.200`: say that an unknown agent answers too",
    ),
    answered(
        "What answers an unknown config key?",
        UNKNOWN_KEY,
        f"`{_CONFIG}`: drop `additionalProperties: false`",
    ),
    answered(
        "What answers an unknown key below the top level of a config?",
        UNKNOWN_KEY_BELOW,
        "`components.schemas.Flow`, and its like: `additionalProperties: false`",
    ),
    answered(
        "What answers a delay that is no whole number?",
        FLOAT_DELAY,
        "`components.schemas.Flow` at `response_delay`: `type: number`",
    ),
    answered(
        "What answers a message of the role `system`?",
        SYSTEM_ROLE,
        "`components.schemas.ChatMessage`: add a message of the role `system`",
    ),
)
HEADERS = (
    _header(
        "Which header carries a request id?",
        re.compile(r"(request|correlation|transaction|invocation)-?id|trace|cf-ray|cf-id|vercel-id"),
    ),
    _header(
        "Which headers tell of limits?", re.compile(r"rate-?limit|retry-after|quota|concurren|idempoten")
    ),
)
