"""What is odd about values of a config that the contract allows: one small rule for each kind of oddity."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache, partial
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from millis_api.masking import SECRET_KEYS, mask_urls

from millis_wrapper._json import is_array, is_number, is_object
from millis_wrapper._paths import closest_match
from millis_wrapper._text import escape_control_characters
from millis_wrapper.contract import Field, fields

from ._finding import Finding
from ._placeholders import unfilled_names

Rule: TypeAlias = Callable[[Any], Finding | None]

# 1,000 seconds are a quarter of an hour, which some sessions last and nothing else does; a delay of less than
# 10 milliseconds nobody would hear.
_LIKE_MILLISECONDS = 1000
LIKE_SECONDS = 10
_LONGEST_SESSION = 24 * 3600  # seconds
_LONGEST_SHOWN = 40  # characters of a text that a message quotes

_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_FUNCTION_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]*")
# IANA's alphabet, which has no way out of the folder of time zones, and without what else lies in there.
_ZONE = re.compile(r"(?!posix|right/|localtime)[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*")
_LONGEST_ZONE = 64
_DOUBLE_BRACES = re.compile(r"\{\{\s{0,9}([^\W\d][\w.-]{0,99})\s{0,9}\}\}")
_VARIABLE = re.compile(r"\$\{[A-Za-z_]\w{0,99}\}")
_NOT_IN_URLS = re.compile(r'[ <>"\\^`|]')


@cache
def rules_by_path() -> Mapping[str, tuple[Rule, ...]]:
    """Return the rules for each field of a config, by its path with `[]` for any item of a list."""
    rules: dict[str, tuple[Rule, ...]] = {}
    for field in fields("AgentConfigOverride"):
        rules[field.path] = (*_rules_of_contract(field), *_RULES.get(field.path, ()))
        if field.path == "language":
            rules["switch_language.languages[]"] = (partial(_known, field.known, False),)
    return rules


def unfilled(text: str, names: Collection[object]) -> Iterator[Finding]:
    """Find the placeholders in `text` that no metadata key in `names` fills in, each once."""
    for name in unfilled_names(text, names):
        near = closest_match(name, (key for key in names if isinstance(key, str)))
        yield Finding(
            "",
            "warning",
            f"the metadata has no key for {{{name}}}",
            f"write {{{near}}}, or add {name} to the metadata" if near else f"add {name} to the metadata",
        )


def foreign_placeholder(form: str, text: str) -> Finding | None:
    """Find a placeholder in the form of another tool, which the service would not fill in."""
    if braces := _DOUBLE_BRACES.search(text):
        words = f"{braces[0]} is not a placeholder of the service, which uses single braces"
        return Finding("", "hint", words, f"write {{{braces[1]}}}")
    *above, key = re.split(r"[.\[\]]+", form.rstrip("[]"))
    is_id_or_secret = key.lower().endswith("id") or not SECRET_KEYS.isdisjoint((*above, key))
    if is_id_or_secret and (variable := _VARIABLE.search(text)):
        words = f"{variable[0]} looks like an environment variable, which the service does not fill in"
        return Finding("", "hint", words, "write its value")
    return None


def between_fields(config: dict[str, Any]) -> Iterator[Finding]:
    """Find fields that do not go together, each with its path."""
    owners: dict[str, str] = {}
    for key in ("tools", "millis_functions"):
        functions = config.get(key)
        for number, function in enumerate(functions if is_array(functions) else ()):
            name, place = _at(function, "name"), f"{key}[{number}]"
            if not isinstance(name, str) or not _FUNCTION_NAME.fullmatch(name):
                continue
            owner = owners.setdefault(name, place)
            if owner != place:
                words = f"{shown(name)} is the name of {owner} too, and a name calls one function only"
                yield Finding(f"{place}.name", "warning", words, "rename one of them")
    voicemail = _at(config, "flow", "voicemail")
    if _at(voicemail, "action") == "message" and not _at(voicemail, "message"):
        words = "is missing, and the voicemail action is to leave one"
        yield Finding("flow.voicemail.message", "warning", words, 'add it, or write "hangup" as the action')
    person = _at(config, "memory", "user_identifier_key")
    opted_out = _at(config, "privacy_settings", "opt_out_data_collection")
    if isinstance(person, str) and person and opted_out is True:
        words = "cannot work beside privacy_settings.opt_out_data_collection, which keeps nothing to remember"
        yield Finding("memory", "warning", words, "remove one of the two")


def shown(value: Any) -> str:
    """Return a value as a message shows it: text in quotes, without the password of a URL, shortened."""
    value = mask_urls(value) if isinstance(value, str) else value
    if isinstance(value, str) and len(value) > _LONGEST_SHOWN:
        value = value[: _LONGEST_SHOWN - 1] + "…"
    return escape_control_characters(json.dumps(value, ensure_ascii=False))


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if is_object(value) else None
    return value


def _rules_of_contract(field: Field) -> Iterable[Rule]:
    whole = "integer" in field.type.split(" or ")
    if whole:
        yield _whole
    if field.unit == "seconds":
        yield partial(
            _seconds, whole, _LONGEST_SESSION if field.path == "session_timeout.max_duration" else 0
        )
    if field.unit == "milliseconds":
        yield _milliseconds
    if field.known:
        # The contract has one set of types for all parameters; a form may ask for one more.
        form = ("email",) if field.path == "millis_functions[].data.param.type" else ()
        yield partial(_known, (*field.known, *form), field.closed_in_requests)


def _whole(value: Any) -> Finding | None:
    # To JSON Schema 500.0 is a whole number, to the service it is a float.
    if isinstance(value, float) and value.is_integer():
        words = f"must be a whole number without a decimal point, not {value}"
        return Finding("", "error", words, f"write {int(value)}")
    return None


def _seconds(whole: bool, longest: int, value: Any) -> Finding | None:
    if not is_number(value) or value < _LIKE_MILLISECONDS or value <= longest:
        return None
    long, unit = (value / 3600, "hours") if value >= 7200 else (value / 60, "minutes")
    meant = str(-(-value // 1000)) if whole else f"{value / 1000:.12g}"
    return Finding(
        "",
        "warning",
        f"{value} seconds are {long:.3g} {unit}; this field counts seconds, not milliseconds",
        f"write {meant} if milliseconds were meant" + (f", else at most {longest}" if longest else ""),
    )


def _milliseconds(value: Any) -> Finding | None:
    if not is_number(value) or not 0 < value < LIKE_SECONDS:
        return None
    return Finding(
        "",
        "warning",
        f"{value} milliseconds are next to nothing; this field counts milliseconds, not seconds",
        f"write {value * 1000} if seconds were meant",
    )


def _known(known: tuple[Any, ...], closed: bool, value: Any) -> Finding | None:
    if not isinstance(value, str) or value in known or not (value or closed):
        return None
    near = closest_match(value, known)
    listed = f" ({', '.join(known)})" if len(known) <= 5 else ""
    then = "most likely refuses it" if closed else "may know it all the same"
    return Finding(
        "",
        "warning" if closed else "hint",
        f"{shown(value)} is not among the known values{listed}; the service {then}",
        f"write {shown(near)} if that was meant" if near else None,
    )


def _within(low: float, high: float, value: Any) -> Finding | None:
    if not is_number(value) or low <= value <= high:
        return None
    percent = f"write {value / 100:.12g} if {value} percent were meant" if 1 == high < value <= 100 else None
    return Finding("", "warning", f"{value} is outside of {low} to {high}", percent)


def _time_zone(value: Any) -> Finding | None:
    if not isinstance(value, str) or not value.strip() or _is_time_zone(value):
        return None
    return Finding(
        "", "warning", f"{shown(value)} is not an IANA time zone", 'write a name such as "Europe/Berlin"'
    )


def _is_time_zone(name: str) -> bool:
    if len(name) > _LONGEST_ZONE or not _ZONE.fullmatch(name):
        return False
    from dateutil import tz

    # Of another name gettz makes a zone by a POSIX rule (`UTC+3`), or the machine's own zone.
    return isinstance(tz.gettz(name), tz.tzfile | tz.tzutc)


def _phone(none: bool, value: Any) -> Finding | None:
    if not isinstance(value, str) or _E164.fullmatch(value) or (none and not value.strip()):
        return None
    return Finding(
        "",
        "warning",
        f"{shown(value)} is not a phone number in E.164 form",
        "write + and up to 15 digits, country code first, as in +14155550100",
    )


def _function_name(value: Any) -> Finding | None:
    if not isinstance(value, str) or _FUNCTION_NAME.fullmatch(value):
        return None
    near = re.sub(r"[^a-zA-Z0-9_-]+", "_", value).strip("_-")
    near = f"_{near}" if near[:1].isdigit() or near[:1] == "-" else near
    words = "is empty" if not value else f"{shown(value)} is a name that language models refuse"
    usable = f"write {json.dumps(near)}" if near and len(near) <= 64 else "write a name"
    return Finding("", "warning", words, f"{usable}: letters, digits, _ and -, and no digit at the start")


def _url(schemes: tuple[str, str], value: Any) -> Finding | None:
    if not isinstance(value, str) or not value.strip():
        return None  # a blank text means none
    plain, secure = schemes
    host = _host(value, schemes)
    if host is None:
        return Finding(
            "",
            "warning",
            f"{shown(value)} is not a valid {plain} or {secure} URL",
            f"write it in full, as in {secure}://example.com/path",
        )
    if _is_private(host):
        words = f"the service cannot reach {shown(host)}, which is an address of your own machine or network"
        return Finding("", "warning", words, "write a public address, for instance that of a tunnel")
    return None


def _host(value: str, schemes: tuple[str, str]) -> str | None:
    """Return the host of a valid URL with one of `schemes`, or None."""
    if not value.isprintable() or _NOT_IN_URLS.search(value):
        return None
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises for one that is not a number
    except ValueError:
        return None
    return (parts.hostname or None) if parts.scheme in schemes else None


def _is_private(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.rpartition(".")[2] in ("localhost", "local", "internal")
    return not address.is_global


_webhook = partial(_url, ("http", "https"))

# What the contract says in words only.
_RULES: Mapping[str, tuple[Rule, ...]] = {
    "vad_threshold": (partial(_within, 0, 1),),
    "llm.temperature": (partial(_within, 0, 2),),
    "timezone": (_time_zone,),
    "flow.call_transfer.phone": (partial(_phone, True),),
    "flow.call_transfer.phones[].phone": (partial(_phone, False),),
    "custom_llm_websocket": (partial(_url, ("ws", "wss")),),
    "tools[].webhook": (_webhook,),
    "session_data_webhook": (_webhook,),
    "session_data_webhook.url": (_webhook,),
    "extra_prompt_webhook": (_webhook,),
    "extra_prompt_webhook.url": (_webhook,),
    "tools[].name": (_function_name,),
    "tools[].params[].name": (_function_name,),
    "millis_functions[].name": (_function_name,),
    "millis_functions[].params[].name": (_function_name,),
    "millis_functions[].data.param.name": (_function_name,),
}
