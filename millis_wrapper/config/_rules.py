"""Rules for values that the contract allows but that are likely mistakes."""

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

# Only sessions last 1,000 seconds (17 minutes) or more, so such a value is probably in milliseconds. Delays
# under 10 milliseconds cannot be heard, so such a value is probably in seconds.
_LIKE_MILLISECONDS = 1000
LIKE_SECONDS = 10
_LONGEST_SESSION = 24 * 3600  # seconds
_LONGEST_QUOTE = 40  # characters of a string in a message

_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_FUNCTION_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]*")
# The characters of IANA names, which cannot leave the folder of time zones, without the other files in there.
_ZONE = re.compile(r"(?!posix|right/|localtime)[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*")
_LONGEST_ZONE = 64
_DOUBLE_BRACES = re.compile(r"\{\{\s{0,9}([^\W\d][\w.-]{0,99})\s{0,9}\}\}")
_VARIABLE = re.compile(r"\$\{[A-Za-z_]\w{0,99}\}")
_NOT_IN_URLS = re.compile(r'[ <>"\\^`|]')


@cache
def rules_by_path() -> Mapping[str, tuple[Rule, ...]]:
    """Return the rules for every field of a config by the path of the field, such as `tools[].name`."""
    rules: dict[str, tuple[Rule, ...]] = {}
    for field in fields("AgentConfigOverride"):
        rules[field.path] = (*_rules_of_contract(field), *_RULES.get(field.path, ()))
        if field.path == "language":
            rules["switch_language.languages[]"] = (partial(_check_known, field.known, False),)
    return rules


def unfilled_placeholders(text: str, names: Collection[object]) -> Iterator[Finding]:
    """Yield a warning for every placeholder in `text` without a metadata key in `names`."""
    for name in unfilled_names(text, names):
        near = closest_match(name, (key for key in names if isinstance(key, str)))
        yield Finding(
            "",
            "warning",
            f"the placeholder {{{name}}} is missing from the metadata",
            f"did you mean {{{near}}}?" if near else f"add {quoted(name)} to the metadata",
        )


def unsupported_placeholder(field: str, text: str) -> Finding | None:
    """Return a hint for a placeholder in the syntax of another tool, which the service does not replace."""
    if braces := _DOUBLE_BRACES.search(text):
        message = f"{braces[0]} is not a placeholder; the service uses single braces"
        return Finding("", "hint", message, f"write {{{braces[1]}}}")
    *above, key = re.split(r"[.\[\]]+", field.rstrip("[]"))
    is_id_or_secret = key.lower().endswith("id") or not SECRET_KEYS.isdisjoint((*above, key))
    if is_id_or_secret and (variable := _VARIABLE.search(text)):
        message = f"{variable[0]} looks like an environment variable, which the service does not replace"
        return Finding("", "hint", message, "write the value of the variable")
    return None


def between_fields(config: dict[str, Any]) -> Iterator[Finding]:
    """Yield a warning for every field that conflicts with another one."""
    owners: dict[str, str] = {}
    for key in ("tools", "millis_functions"):
        functions = config.get(key)
        for number, function in enumerate(functions if is_array(functions) else ()):
            name, place = _get(function, "name"), f"{key}[{number}]"
            if not isinstance(name, str) or not _FUNCTION_NAME.fullmatch(name):
                continue
            owner = owners.setdefault(name, place)
            if owner != place:
                message = f"{quoted(name)} is also the name of {owner}; function names must be unique"
                yield Finding(f"{place}.name", "warning", message, "rename one of them")
    voicemail = _get(config, "flow", "voicemail")
    if _get(voicemail, "action") == "message" and not _get(voicemail, "message"):
        message = 'is required because flow.voicemail.action is "message"'
        yield Finding("flow.voicemail.message", "warning", message, 'add it or set the action to "hangup"')
    user_key = _get(config, "memory", "user_identifier_key")
    opted_out = _get(config, "privacy_settings", "opt_out_data_collection")
    if isinstance(user_key, str) and user_key and opted_out is True:
        message = "has no effect while privacy_settings.opt_out_data_collection is true, as no data is kept"
        yield Finding("memory", "warning", message, "remove one of the two")


def quoted(value: Any) -> str:
    """Return a value for a message: as JSON, shortened, and without the password of a URL."""
    value = mask_urls(value) if isinstance(value, str) else value
    if isinstance(value, str) and len(value) > _LONGEST_QUOTE:
        value = value[: _LONGEST_QUOTE - 1] + "…"
    return escape_control_characters(json.dumps(value, ensure_ascii=False))


def _get(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if is_object(value) else None
    return value


def _rules_of_contract(field: Field) -> Iterable[Rule]:
    is_integer = "integer" in field.type.split(" or ")
    if is_integer:
        yield _check_integer
    if field.unit == "seconds":
        longest = _LONGEST_SESSION if field.path == "session_timeout.max_duration" else 0
        yield partial(_check_seconds, is_integer, longest)
    if field.unit == "milliseconds":
        yield _check_milliseconds
    if field.known:
        # The contract has one set of types for all parameters, but a form accepts one more.
        more = ("email",) if field.path == "millis_functions[].data.param.type" else ()
        yield partial(_check_known, (*field.known, *more), field.closed_in_requests)


def _check_integer(value: Any) -> Finding | None:
    # 500.0 is an integer in JSON Schema, but not for the service.
    if isinstance(value, float) and value.is_integer():
        message = f"must be an integer without a decimal point, got {value}"
        return Finding("", "error", message, f"write {int(value)}")
    return None


def _check_seconds(is_integer: bool, longest: int, value: Any) -> Finding | None:
    if not is_number(value) or value < _LIKE_MILLISECONDS or value <= longest:
        return None
    converted, unit = (value / 3600, "hours") if value >= 7200 else (value / 60, "minutes")
    meant = str(-(-value // 1000)) if is_integer else f"{value / 1000:.12g}"
    return Finding(
        "",
        "warning",
        f"{value} s is {converted:.3g} {unit}; this field is in seconds, not milliseconds",
        f"write {meant} if you meant milliseconds" + (f", otherwise at most {longest}" if longest else ""),
    )


def _check_milliseconds(value: Any) -> Finding | None:
    if not is_number(value) or not 0 < value < LIKE_SECONDS:
        return None
    return Finding(
        "",
        "warning",
        f"{value} ms is very short; this field is in milliseconds, not seconds",
        f"write {value * 1000} if you meant seconds",
    )


def _check_known(known: tuple[Any, ...], closed: bool, value: Any) -> Finding | None:
    if not isinstance(value, str) or value in known or not (value or closed):
        return None
    near = closest_match(value, known)
    listed = f" ({', '.join(known)})" if len(known) <= 5 else ""
    consequence = "probably refuses it" if closed else "may accept it"
    return Finding(
        "",
        "warning" if closed else "hint",
        f"{quoted(value)} is not a known value{listed}; the service {consequence}",
        f"did you mean {quoted(near)}?" if near else None,
    )


def _check_range(low: float, high: float, value: Any) -> Finding | None:
    if not is_number(value) or low <= value <= high:
        return None
    fix = f"write {value / 100:.12g} if you meant {value} percent" if 1 == high < value <= 100 else None
    return Finding("", "warning", f"{value} is outside the range {low} to {high}", fix)


def _check_time_zone(value: Any) -> Finding | None:
    if not isinstance(value, str) or not value.strip() or _is_time_zone(value):
        return None
    return Finding(
        "", "warning", f"{quoted(value)} is not an IANA time zone", 'use a name such as "Europe/Berlin"'
    )


def _is_time_zone(name: str) -> bool:
    if len(name) > _LONGEST_ZONE or not _ZONE.fullmatch(name):
        return False
    from dateutil import tz

    # For other names, gettz returns a zone by a POSIX rule (`UTC+3`) or the local zone.
    return isinstance(tz.gettz(name), tz.tzfile | tz.tzutc)


def _check_phone(may_be_blank: bool, value: Any) -> Finding | None:
    if not isinstance(value, str) or _E164.fullmatch(value) or (may_be_blank and not value.strip()):
        return None
    return Finding(
        "",
        "warning",
        f"{quoted(value)} is not a phone number in E.164 format",
        "write +, the country code and the number, at most 15 digits, as in +14155550100",
    )


def _check_function_name(value: Any) -> Finding | None:
    if not isinstance(value, str) or _FUNCTION_NAME.fullmatch(value):
        return None
    near = re.sub(r"[^a-zA-Z0-9_-]+", "_", mask_urls(value)).strip("_-")
    near = f"_{near}" if near[:1].isdigit() or near[:1] == "-" else near
    message = f"{quoted(value)} is not a name that language models accept" if value else "is empty"
    fix = f"write {json.dumps(near)}" if near and len(near) <= 64 else "write a name"
    return Finding("", "warning", message, f"{fix}; use only letters, digits, _ and -, and no digit first")


def _check_url(schemes: tuple[str, str], value: Any) -> Finding | None:
    if not isinstance(value, str) or not value.strip():
        return None  # A blank string counts as unset.
    plain, secure = schemes
    host = _host(value, schemes)
    if host is None:
        return Finding(
            "",
            "warning",
            f"{quoted(value)} is not a valid {plain} or {secure} URL",
            f"write the full URL, such as {secure}://example.com/path",
        )
    if _is_private(host):
        message = f"the service cannot reach {quoted(host)}, an address of your own machine or network"
        return Finding("", "warning", message, "use a public address, for example that of a tunnel")
    return None


def _host(value: str, schemes: tuple[str, str]) -> str | None:
    """Return the host of a valid URL with one of `schemes`, or None."""
    if not value.isprintable() or _NOT_IN_URLS.search(value):
        return None
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises if it is not a number
    except ValueError:
        return None
    return (parts.hostname or None) if parts.scheme in schemes else None


def _is_private(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.rpartition(".")[2] in ("localhost", "local", "internal")
    return not address.is_global


_check_webhook = partial(_check_url, ("http", "https"))

# Rules that the contract describes only in prose.
_RULES: Mapping[str, tuple[Rule, ...]] = {
    "vad_threshold": (partial(_check_range, 0, 1),),
    "llm.temperature": (partial(_check_range, 0, 2),),
    "timezone": (_check_time_zone,),
    "flow.call_transfer.phone": (partial(_check_phone, True),),
    "flow.call_transfer.phones[].phone": (partial(_check_phone, False),),
    "custom_llm_websocket": (partial(_check_url, ("ws", "wss")),),
    "tools[].webhook": (_check_webhook,),
    "session_data_webhook": (_check_webhook,),
    "session_data_webhook.url": (_check_webhook,),
    "extra_prompt_webhook": (_check_webhook,),
    "extra_prompt_webhook.url": (_check_webhook,),
    "tools[].name": (_check_function_name,),
    "tools[].params[].name": (_check_function_name,),
    "millis_functions[].name": (_check_function_name,),
    "millis_functions[].params[].name": (_check_function_name,),
    "millis_functions[].data.param.name": (_check_function_name,),
}
