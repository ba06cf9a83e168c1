"""What is wrong with a request, in the service's words: the `detail` of FastAPI's 422."""

from __future__ import annotations

from itertools import islice
from typing import Any

from millis_wrapper.contract._validation import Fault, faults

MAX_DETAILS = 50  # of one request; a list of a million wrong items is wrong enough after these

# JSON Schema's type -> pydantic's words and its code for the fault.
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


def details_of(body: object, component: str) -> list[dict[str, Any]]:
    """Return an item for each fault of `body` as a `component` of the contract."""
    return [_detail(fault) for fault in islice(faults(body, component), MAX_DETAILS)]


def _detail(fault: Fault) -> dict[str, Any]:
    msg, kind = _words(fault)
    return {"loc": ["body", *fault.place], "msg": msg, "type": kind}


def _words(fault: Fault) -> tuple[str, str]:
    if fault.kind == "missing":
        return "Field required", "missing"
    if fault.kind == "extra":
        return "Extra inputs are not permitted", "extra_forbidden"
    if fault.kind == "constant":
        *others, last = map(repr, fault.wanted)
        listed = f"{', '.join(others)} or {last}" if others else last
        return f"Input should be {listed}", "literal_error"
    if fault.kind == "type":
        fraction = "integer" in fault.wanted and isinstance(fault.value, float)
        return _FRACTION if fraction else _TYPES[fault.wanted[0]]
    return fault.words, "value_error"
