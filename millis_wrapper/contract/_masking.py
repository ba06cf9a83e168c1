"""Mask the secrets in data that the contract describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from millis_api.masking import MASK, MAX_DEPTH, is_secret_key, mask_unknown, mask_values

from millis_wrapper._json import is_mapping, is_sequence

from ._contract import Contract, Schema


def mask_secrets(contract: Contract, value: object, component: str) -> Any:
    """Return a copy of `value` in which secrets are masked; see `contract.mask_secrets`."""
    return _masked(contract, value, [contract.component(component)], 0)


def _masked(contract: Contract, value: Any, schemas: Sequence[Schema], depth: int) -> Any:
    if hasattr(value, "to_dict"):  # a generated model
        value = value.to_dict()
    leaves = [leaf for schema in schemas for _, leaf in contract.leaves(schema)]
    if any(one.get("x-secret") is True for one in (*schemas, *leaves)):
        return mask_values(value, depth)
    # An object where the contract has a list of objects is masked like an item of the list, and a list
    # where it has an object like several of that object.
    items = [leaf["items"] for leaf in leaves if "items" in leaf]
    if is_mapping(value):
        leaves += [leaf for item in items for _, leaf in contract.leaves(item)]
        return _masked_object(contract, value, leaves, depth + 1) if depth < MAX_DEPTH else MASK
    if is_sequence(value):
        schemas = [*items, *leaves]
        return [_masked(contract, item, schemas, depth + 1) for item in value] if depth < MAX_DEPTH else MASK
    return mask_unknown(value)


def _masked_object(
    contract: Contract, value: Mapping[Any, Any], objects: Sequence[Schema], depth: int
) -> dict[Any, Any]:
    return {key: _masked_child(contract, str(key), child, objects, depth) for key, child in value.items()}


def _masked_child(contract: Contract, key: str, value: Any, objects: Sequence[Schema], depth: int) -> Any:
    known = [one["properties"][key] for one in objects if key in one.get("properties", {})]
    values = [one["additionalProperties"] for one in objects if is_mapping(one.get("additionalProperties"))]
    if not known and not values and is_secret_key(key):
        return mask_values(value, depth)
    return _masked(contract, value, known or values, depth)
