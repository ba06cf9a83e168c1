"""The answer of `duplicate` -> `DuplicatedAgent`. No I/O; reads what can be read, and keeps the rest."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

from ._json import NO_JSON, is_object, read_json
from .errors import UnexpectedResponseError
from .response import COPY_MAY_EXIST, body_start, reason_in

if TYPE_CHECKING:
    from millis_api.models import AgentConfig

# The contract says integer and is silent on the unit. As seconds this is the year 5138, as milliseconds
# 1973: told by size.
_LARGEST_SECONDS = 1e11
# Longer than a date without hyphens (20250101); dateutil would find years, days and hours in it.
_COUNT = re.compile(r"\d{9,20}", re.ASCII)


@attrs.frozen
class DuplicatedAgent:
    """The copy that `duplicate` made.

    `id` is the copy's id; `name` its name; `created_at` an aware datetime in UTC; `config` its whole
    config, `config.to_dict()` being exactly what came; each but `id` is None where the answer held nothing
    readable. `raw` is the answer's JSON as it came.
    """

    id: str
    name: str | None
    created_at: datetime | None
    config: AgentConfig | None
    raw: dict[str, Any]


def read_duplicated_agent(body: bytes, *, hide: Callable[[bytes], bytes] = bytes) -> DuplicatedAgent:
    """Return the agent that the body of a success describes; `hide` takes the key out of what goes into an
    error.

    Raises UnexpectedResponseError when there is no id in it; anything else that is odd is left to `raw`.
    """
    raw = read_json(body, deepest=None)
    if raw is NO_JSON:
        raise _unexpected("is not JSON", hide(body))
    if not is_object(raw):
        raise _unexpected("is no JSON object", hide(body))
    agent_id = _id(raw.get("id"))
    if agent_id is None:
        raise _unexpected("holds no id", hide(body))
    name = raw.get("name")
    return DuplicatedAgent(
        id=agent_id,
        name=name if isinstance(name, str) else None,
        created_at=read_moment(raw.get("created_at")),
        # Read once more, so that what is done to the config leaves `raw` as it came.
        config=_config(read_json(body, deepest=None).get("config")),
        raw=raw,
    )


def read_moment(value: Any) -> datetime | None:
    """Return the moment that `value` names as an aware datetime in UTC, or None.

    A number, also one written as text, counts from the epoch, in milliseconds above 1e11 and in seconds
    below; other text is read as ISO 8601, in UTC unless it says otherwise.
    """
    try:
        if isinstance(value, str) and _COUNT.fullmatch(value):
            value = int(value)
        if isinstance(value, str):
            from dateutil import parser

            moment = parser.isoparse(value)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if abs(value) > _LARGEST_SECONDS else value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def _id(value: Any) -> str | None:
    # A number would be odd, but it is an id; true and 1.5 are none.
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def _config(value: Any) -> AgentConfig | None:
    if not is_object(value):
        return None
    from millis_api.models import AgentConfig

    return AgentConfig.from_dict(value)


def _unexpected(what: str, body: bytes) -> UnexpectedResponseError:
    words = f"the answer to duplicate {what} ({reason_in(body)}); {COPY_MAY_EXIST}"
    return UnexpectedResponseError(words, body=body_start(body))
