"""What is odd about values of a config that the contract allows: one small rule for each kind of oddity."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache, partial
from typing import Any, Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from millis_wrapper._text import shorten
from millis_wrapper.contract import Field, fields
from millis_wrapper.contract._paths import closest_match

Level: TypeAlias = Literal["error", "warning", "hint"]


class Remark(NamedTuple):
    """What there is to say of one value."""

    level: Level
    message: str
    fix: str | None = None


Rule: TypeAlias = Callable[[Any], Remark | None]

# 1,000 seconds are a quarter of an hour, which some sessions last and nothing else does; a delay of less than
# 10 milliseconds nobody would hear.
_LIKE_MILLISECONDS = 1000
LIKE_SECONDS = 10

_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
# IANA's alphabet, which has no way out of the folder of time zones, and without what else lies in there.
_ZONE = re.compile(r"(?!posix|right/|localtime)[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*")
_LONGEST_ZONE = 64
_NOT_IN_URLS = re.compile(r'[ <>"\\^`|]')
# The service's own variables, in telephone calls (the vendor's page about variables).
_PREDEFINED = ("FromPhone", "ToPhone")
_PLACEHOLDER = re.compile(r"\{([^\W\d][\w.-]*)\}(?!\})")


@cache
def rules_by_path() -> Mapping[str, tuple[Rule, ...]]:
    """Return the rules for each field of a config, by its path with `[]` for any item of a list."""
    rules: dict[str, tuple[Rule, ...]] = {}
    for field in fields("AgentConfigOverride"):
        rules[field.path] = (*_rules_of_contract(field), *_RULES.get(field.path, ()))
        if field.path == "language":
            rules["switch_language.languages[]"] = (partial(_known, field.known),)
    return rules


def unfilled(text: str, names: Collection[object]) -> Iterator[Remark]:
    """Find the placeholders in `text` that no metadata key in `names` fills in; each is told once."""
    for name in dict.fromkeys(_PLACEHOLDER.findall(text)):
        if not {name, name.partition(".")[0]} & {*names, *_PREDEFINED}:
            near = closest_match(name, (key for key in names if isinstance(key, str)))
            yield Remark(
                "warning",
                f"the metadata has no key for {{{name}}}",
                f"write {{{near}}}, or add {name} to the metadata" if near else f"add {name} to the metadata",
            )


def _rules_of_contract(field: Field) -> Iterable[Rule]:
    whole = "integer" in field.type.split(" or ")
    if whole:
        yield _whole
    if field.unit == "seconds":
        yield partial(_seconds, whole)
    if field.unit == "milliseconds":
        yield _milliseconds
    if field.known:
        yield partial(_known, field.known)


def _whole(value: Any) -> Remark | None:
    # To JSON Schema 500.0 is a whole number, to the service it is a float.
    if isinstance(value, float) and value.is_integer():
        return Remark("error", "must be a whole number, without a decimal point", f"write {int(value)}")
    return None


def _seconds(whole: bool, value: Any) -> Remark | None:
    if not _is_number(value) or value < _LIKE_MILLISECONDS:
        return None
    long, unit = (value / 3600, "hours") if value >= 7200 else (value / 60, "minutes")
    meant = -(-value // 1000) if whole else value / 1000
    return Remark(
        "warning",
        f"{value} seconds are {long:.3g} {unit}; this field counts seconds, not milliseconds",
        f"write {meant:.12g} if milliseconds were meant",
    )


def _milliseconds(value: Any) -> Remark | None:
    if not _is_number(value) or not 0 < value < LIKE_SECONDS:
        return None
    return Remark(
        "warning",
        f"{value} milliseconds are next to nothing; this field counts milliseconds, not seconds",
        f"write {value * 1000} if seconds were meant",
    )


def _known(known: tuple[Any, ...], value: Any) -> Remark | None:
    if not isinstance(value, str) or value in known:
        return None
    near = closest_match(value, known)
    listed = f" ({', '.join(known)})" if len(known) <= 5 else ""
    return Remark(
        "hint",
        f"{_shown(value)} is not among the known values{listed}; the service may know it all the same",
        f"write {near} if that was meant" if near else None,
    )


def _share(value: Any) -> Remark | None:
    if not _is_number(value) or 0 <= value <= 1:
        return None
    percent = f"write {value / 100:.12g} if {value} percent were meant" if 1 < value <= 100 else None
    return Remark("warning", f"{value} is outside of 0 to 1", percent)


def _time_zone(value: Any) -> Remark | None:
    if not isinstance(value, str) or _is_time_zone(value):
        return None
    near = _zone_like(value)
    return Remark(
        "warning",
        f"there is no time zone {_shown(value)} among IANA's",
        f"write {near}" if near else "write a name such as Europe/Berlin",
    )


def _is_time_zone(name: str) -> bool:
    if len(name) > _LONGEST_ZONE or not _ZONE.fullmatch(name):
        return False
    from dateutil import tz

    # Of a name that is none, gettz makes a zone by a POSIX rule (`UTC+3`), or the machine's own zone.
    return isinstance(tz.gettz(name), tz.tzfile | tz.tzutc)


def _zone_like(name: str) -> str | None:
    from zoneinfo import available_timezones

    # Not Etc: what others call GMT+3 is Etc/GMT-3.
    zones = {zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/")}
    cities = {zone.rpartition("/")[2].lower(): zone for zone in sorted(zones)}
    name = name[:_LONGEST_ZONE]
    return cities.get(name.lower().replace(" ", "_")) or closest_match(name, zones, 0.85)


def _phone(value: Any) -> Remark | None:
    if not isinstance(value, str) or _E164.fullmatch(value):
        return None
    digits = re.sub(r"[\s().\-/]", "", value)
    digits = "+" + digits[2:] if digits.startswith("00") else digits
    return Remark(
        "warning",
        "is no phone number in E.164 form, which is + and up to 15 digits",
        f"write {digits}"
        if _E164.fullmatch(digits)
        else "write it like +14155550100, with the country's code",
    )


def _url(schemes: tuple[str, str], none: bool, value: Any) -> Remark | None:
    if not isinstance(value, str) or _is_url(value, schemes) or (none and not value):
        return None
    plain, secure = schemes
    return Remark(
        "warning", f"is no {plain} or {secure} URL", f"write it in full, as in {secure}://example.com/path"
    )


def _is_url(value: str, schemes: tuple[str, str]) -> bool:
    if not value.isprintable() or _NOT_IN_URLS.search(value):
        return False
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises for one that is no number
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: str) -> str:
    return json.dumps(shorten(value, 40), ensure_ascii=False)


_HTTP = ("http", "https")
_WEBSOCKET = ("ws", "wss")

# What the contract says in words only. Where it says that an empty string means none, one is fine.
_RULES: Mapping[str, tuple[Rule, ...]] = {
    "vad_threshold": (_share,),
    "timezone": (_time_zone,),
    "flow.call_transfer.phone": (_phone,),
    "flow.call_transfer.phones[].phone": (_phone,),
    "custom_llm_websocket": (partial(_url, _WEBSOCKET, False),),
    "tools[].webhook": (partial(_url, _HTTP, False),),
    "session_data_webhook": (partial(_url, _HTTP, True),),
    "session_data_webhook.url": (partial(_url, _HTTP, False),),
    "extra_prompt_webhook": (partial(_url, _HTTP, True),),
    "extra_prompt_webhook.url": (partial(_url, _HTTP, False),),
}
