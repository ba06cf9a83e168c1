"""Data held against a component of the contract: where it violates the schema, and how.

The words are left to the caller: the config tools speak to a person, the mock speaks as the service does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Literal, NamedTuple, TypeAlias

from millis_wrapper import contract
from millis_wrapper.errors import missing_extra

Path: TypeAlias = tuple[str | int, ...]
# jsonschema's own types leave it unknown what most of their attributes are.
ValidationError: TypeAlias = Any


class Violation(NamedTuple):
    """One path at which data does not fit the contract, found by `violations`."""

    path: Path
    """The way to it, by keys and list indexes: `("tools", 0, "name")`. A missing key counts as the path."""
    kind: Literal["missing", "extra", "type", "constant", "other"]
    """A required key that is not there, a key that is refused, a value of another type, a value that is not
    the one allowed, or something else that `words` says."""
    wanted: tuple[Any, ...]
    """The JSON types (`integer`) or the constants that would have been right, where that is the violation."""
    value: Any
    """What is there; for a missing key, the object that lacks it."""
    words: str
    """The violation in jsonschema's words, which may quote the value."""


def violations(value: object, component: str) -> Iterator[Violation]:
    """Find where `value`, as JSON data of dicts and lists, does not fit the component of the contract.

    Where one of several forms may stand, the violations are those of the one form that was meant, if that is
    clear.

    Raises:
        ConfigurationError: jsonschema (extra `contract`) is not installed.
    """
    try:
        import jsonschema
    except ImportError:
        raise missing_extra("holding data against the contract", "jsonschema", "contract") from None
    validator = _validator(jsonschema.Draft202012Validator, component)
    seen: set[tuple[Path, str]] = set()
    for violation in _violations(validator.iter_errors(value), ()):
        # jsonschema reports missing keys once for each, and does not say which one it is.
        if (violation.path, violation.kind) not in seen:
            seen.add((violation.path, violation.kind))
            yield violation


@cache
def _validator(cls: Any, component: str) -> Any:
    return cls({"$ref": f"#/components/schemas/{component}", "components": contract.load()["components"]})


def _violations(errors: Iterable[ValidationError], above: Path) -> Iterator[Violation]:
    for error in errors:
        path = (*above, *error.path)
        if error.validator == "required":
            for key in error.validator_value:
                if key not in error.instance:
                    yield Violation((*path, key), "missing", (), error.instance, error.message)
        elif error.validator == "additionalProperties":
            for key, value in error.instance.items():
                if key not in error.schema.get("properties", {}):
                    yield Violation((*path, key), "extra", (), value, error.message)
        elif (
            error.validator in ("anyOf", "oneOf") and error.context
        ):  # a oneOf fails without it if two forms fit
            yield from _violations_in_union(error, path)
        elif error.validator == "const":
            yield Violation(path, "constant", (error.validator_value,), error.instance, error.message)
        elif error.validator == "type":
            yield Violation(path, "type", _types(error), error.instance, error.message)
        else:
            yield Violation(path, "other", (), error.instance, error.message)


def _violations_in_union(error: ValidationError, path: Path) -> Iterator[Violation]:
    """Yield the violations of the one form that the value was meant to have; those of all forms confuse."""
    forms: dict[Any, list[ValidationError]] = {}
    for each in error.context:
        forms.setdefault(each.schema_path[0], []).append(each)
    # A value of the right type was meant as that form, and a message of the right role as that message.
    right_type = [form for form in forms.values() if not any(map(_is_wrong_type, form))]
    right_kind = [form for form in right_type if not any(map(_is_wrong_constant, form))]
    if right_kind:
        fewest, *_ = sorted(right_kind, key=len)
        yield from _violations(fewest, path)
    elif right_type:
        wrong = [each for form in right_type for each in form if _is_wrong_constant(each)]
        constants = tuple(each.validator_value for each in wrong)
        yield Violation((*path, *wrong[0].path), "constant", constants, wrong[0].instance, wrong[0].message)
    else:
        misfits = [each for each in error.context if _is_wrong_type(each)]
        wanted = dict.fromkeys(kind for each in misfits for kind in _types(each))
        yield Violation(path, "type", tuple(wanted), error.instance, error.message)


def _is_wrong_type(error: ValidationError) -> bool:
    return bool(error.validator == "type" and not error.path)


def _is_wrong_constant(error: ValidationError) -> bool:
    return bool(error.validator == "const")


def _types(error: ValidationError) -> tuple[str, ...]:
    wanted = error.validator_value
    return (wanted,) if isinstance(wanted, str) else tuple(wanted)
