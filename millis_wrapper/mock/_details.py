"""What is wrong with a request, in the service's words: the `detail` of FastAPI's 422."""

from __future__ import annotations

from itertools import islice
from typing import Any

from millis_wrapper.contract._validation import Violation, violations

MAX_DETAILS = 50  # of one request; a list of a million wrong items is wrong enough after these

# JSON Schema's type -> pydantic's words and its code for the violation.
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
    """Return an item for each violation of `body` as a `component` of the contract."""
    return [_detail(violation) for violation in islice(violations(body, component), MAX_DETAILS)]


def _detail(violation: Violation) -> dict[str, Any]:
    msg, kind = _words(violation)
    return {"loc": ["body", *violation.path], "msg": msg, "type": kind}


def _words(violation: Violation) -> tuple[str, str]:
    if violation.kind == "missing":
        return "Field required", "missing"
    if violation.kind == "extra":
        return "Extra inputs are not permitted", "extra_forbidden"
    if violation.kind == "constant":
        *others, last = map(repr, violation.wanted)
        listed = f"{', '.join(others)} or {last}" if others else last
        return f"Input should be {listed}", "literal_error"
    if violation.kind == "type":
        fraction = "integer" in violation.wanted and isinstance(violation.value, float)
        return _FRACTION if fraction else _TYPES[violation.wanted[0]]
    return violation.words, "value_error"
