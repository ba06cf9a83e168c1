"""Validate data against a component of the contract.

The result does not contain messages: the config tools write them for people, and the mock server writes the
messages of the service.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Literal, NamedTuple, TypeAlias

from millis_wrapper import contract
from millis_wrapper.errors import missing_extra

Path: TypeAlias = tuple[str | int, ...]
# The types of jsonschema omit the types of most attributes.
ValidationError: TypeAlias = Any


class Violation(NamedTuple):
    """One violation of the contract, returned by `violations`."""

    path: Path
    """Its path as keys and list indexes: `("tools", 0, "name")`. A missing key is the last step."""
    kind: Literal["missing", "extra", "type", "constant", "other"]
    """A missing required key, a key that is not allowed, a value of the wrong type, a value that differs from
    the allowed constants, or another violation that `message` describes."""
    wanted: tuple[Any, ...]
    """The allowed JSON types (`integer`) or constants, if the violation is about one."""
    value: Any
    """The invalid value; for a missing key, the object without the key."""
    message: str
    """The message of jsonschema, which may quote the value."""


def violations(value: object, component: str) -> Iterator[Violation]:
    """Yield the violations of a component of the contract in `value`, JSON data as dicts and lists.

    In a union, the violations are those of the form that `value` resembles, if only one form is possible.

    Raises:
        ConfigurationError: jsonschema (extra `contract`) is not installed.
    """
    try:
        import jsonschema
    except ImportError:
        raise missing_extra("validation against the contract", "jsonschema", "contract") from None
    validator = _validator(jsonschema.Draft202012Validator, component)
    seen: set[tuple[Path, str]] = set()
    for violation in _violations(validator.iter_errors(value), ()):
        # jsonschema reports each missing key separately without its name, so skip repeated paths.
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
        # Without a context, two forms of a oneOf match.
        elif error.validator in ("anyOf", "oneOf") and error.context:
            yield from _violations_in_union(error, path)
        elif error.validator == "const":
            yield Violation(path, "constant", (error.validator_value,), error.instance, error.message)
        elif error.validator == "type":
            yield Violation(path, "type", _expected_types(error), error.instance, error.message)
        else:
            yield Violation(path, "other", (), error.instance, error.message)


def _violations_in_union(error: ValidationError, path: Path) -> Iterator[Violation]:
    """Yield the violations of the form that the value resembles, because those of all forms would confuse."""
    forms: dict[Any, list[ValidationError]] = {}
    for each in error.context:
        forms.setdefault(each.schema_path[0], []).append(each)
    # A value resembles the form with its type, and a message the form with its role.
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
        wanted = dict.fromkeys(kind for each in misfits for kind in _expected_types(each))
        yield Violation(path, "type", tuple(wanted), error.instance, error.message)


def _is_wrong_type(error: ValidationError) -> bool:
    return bool(error.validator == "type" and not error.path)


def _is_wrong_constant(error: ValidationError) -> bool:
    return bool(error.validator == "const")


def _expected_types(error: ValidationError) -> tuple[str, ...]:
    wanted = error.validator_value
    return (wanted,) if isinstance(wanted, str) else tuple(wanted)
