"""An answer held against the contract: where it does not fit, and how the contract would have to change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from millis_wrapper._json import NOT_JSON, read_json
from millis_wrapper.contract import load, unknown_keys
from millis_wrapper.contract._validation import Fault, Place, faults

from . import promises
from .exchanges import Exchange
from .shapes import found, named, seen, type_name
from .wire import Answer

_FEW = 8  # keys that are told of in the table
_MOST = 12  # misfits that are told of one answer
_MEDIA_TYPE = re.compile(r"(application|text)/[a-z0-9.+-]{1,40}")


class Misfit(NamedTuple):
    """What does not fit, in words, and the edit of the contract that would make it fit."""

    words: str
    edit: str


def described(exchange: Exchange, answer: Answer) -> str:
    """Return an answer's status, the kind of its body and, if they are few, its keys, in words."""
    if not answer.body:
        return f"{answer.status} without a body"
    keys = body_shape(exchange, answer)
    shown = f": {shape_words(keys)}" if 0 < len(keys) <= _FEW else ""
    return f"{answer.status} with {_media_type(answer)}{shown}"


def misfits(exchange: Exchange, answer: Answer, other_way: str) -> list[Misfit]:
    """Find where `answer` to `exchange` is not what the contract says of it.

    `other_way` is the edit for a success where the contract has a refusal, or the other way round.
    """
    operation, statuses = exchange.operation, promises.expected(exchange)
    if not promises.status_fits(operation, statuses, answer.status):
        went_the_other_way = (answer.status < 300) != ("200" in statuses)
        edit = other_way if went_the_other_way else _list_it(exchange, answer)
        return [Misfit(f"the status is {answer.status}", edit)]
    return list(_body_misfits(exchange, answer))


def settled(exchange: Exchange, answer: Answer) -> str:
    """Return the edit that puts an answer's status into the contract where it is only one of many others."""
    return _list_it(exchange, answer) if promises.OTHER in promises.expected(exchange) else ""


def _list_it(exchange: Exchange, answer: Answer) -> str:
    return f"`{promises.place(exchange.operation)}`: list `'{answer.status}'`"


def _body_misfits(exchange: Exchange, answer: Answer) -> Iterator[Misfit]:
    status = promises.listed_as(exchange.operation, answer.status)
    place = f"`{promises.place(exchange.operation)}.{status}`"
    wanted = promises.body_of(exchange.operation, status)
    if wanted is None:
        if answer.body:
            yield Misfit("there is a body", f"{place}: add `content` ({_media_type(answer)})")
        return
    media_type, component = wanted
    if not answer.body:
        yield Misfit("there is no body", f"{place}: say that the body may be empty")
    elif answer.media_type != media_type:
        yield Misfit(f"it is no {media_type}", f"{place}: add {_media_type(answer)} to `content`")
    elif component and read_json(answer.body) is NOT_JSON:
        yield Misfit("the body is no JSON", f"{place}: say that the body may be no JSON")
    elif component:
        yield from value_misfits([read_json(answer.body)], component)


def value_misfits(values: Iterable[Any], component: str) -> list[Misfit]:
    """Find where any of `values` is not of the form of `component`, keys that it does not know included."""
    all_of_them = [misfit for value in values for misfit in _value_misfits(value, component)]
    return list(dict.fromkeys(all_of_them))[:_MOST]


def _value_misfits(value: Any, component: str) -> Iterator[Misfit]:
    for fault in faults(value, component):
        yield _of_fault(fault, component)
    for unknown in unknown_keys(value, component):
        path = re.sub(r"\[\d+\]", "[]", unknown.path)
        types = " or ".join(sorted({type_name(each) for each in found(value, path)})) or "any value"
        holder = path.removesuffix(unknown.key).rstrip(".") if path.endswith(unknown.key) else ""
        where = f"`{component}`" + (f" at `{holder}`" if holder else "")
        yield Misfit(
            f"{where} has {named(unknown.key)} ({types})",
            f"{where}: add {named(unknown.key)}, `type: {types}`, `x-origin: [observed]`",
        )


def _of_fault(fault: Fault, component: str) -> Misfit:
    where = f"`{component}`" + (f" at `{_path(fault.place)}`" if fault.place else "")
    if fault.kind == "missing":
        return Misfit(f"{where} is missing", f"{where}: not `required`")
    if fault.kind == "type":
        kind = type_name(fault.value)
        return Misfit(f"{where} is of the type {kind}", f"{where}: allow `type: {kind}`")
    return Misfit(f"{where} has a value of its own", f"{where}: describe the values it may have")


def _path(place: Place) -> str:
    """Return a place without the keys of maps, which could be anybody's text."""
    known = {
        key for schema in load()["components"]["schemas"].values() for key in schema.get("properties", {})
    }
    steps = ("[]" if isinstance(step, int) else f".{step}" if step in known else ".*" for step in place)
    return "".join(steps).removeprefix(".")


def body_shape(exchange: Exchange, answer: Answer) -> dict[str, str]:
    """Return the keys of the contract that a JSON answer has, with their types; none for any other answer."""
    wanted = promises.body_of(exchange.operation, promises.listed_as(exchange.operation, answer.status))
    value = read_json(answer.body)
    return seen([value], wanted[1]) if wanted and wanted[1] else {}


def shape_words(shape: dict[str, str]) -> str:
    """Return keys and their types in words."""
    return ", ".join(f"`{path}` ({types})" for path, types in shape.items())


def _media_type(answer: Answer) -> str:
    return answer.media_type if _MEDIA_TYPE.fullmatch(answer.media_type) else "a media type of its own"
