"""scripts/compare compares another OpenAPI file of the service with the contract."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from compare_runs import PUBLISHED, SMALL, compare, small, without
from schemas import ROOT, changed_contract, document

from millis_wrapper._json import is_array, is_object
from scripts import _compare, _openapi

pytestmark = pytest.mark.untraced


def everywhere(change: Callable[[dict[str, Any]], dict[str, Any]], value: Any) -> Any:
    """Return a copy of JSON data with a change applied to every object, inner objects first."""
    if is_object(value):
        return change({key: everywhere(change, child) for key, child in value.items()})
    return [everywhere(change, child) for child in value] if is_array(value) else value


def renamed(contract: Any) -> Any:
    """Rename components, path parameters and operations."""

    def change(value: dict[str, Any]) -> dict[str, Any]:
        reference = value.get("$ref")
        return value if reference is None else {**value, "$ref": f"{reference}~1~0Out"}

    other = everywhere(change, contract)
    for kind, components in other["components"].items():
        other["components"][kind] = {f"{name}/~Out": one for name, one in components.items()}
    if "security" in other:
        other["security"] = [{f"{name}/~Out": [] for name in one} for one in other["security"]]
    text = json.dumps(other)
    return json.loads(text.replace("{agent_id}", "{id}").replace('"name": "agent_id"', '"name": "id"'))


def as_3_0(contract: Any) -> Any:
    """Remove features of 3.1: null as a type, constants, lists of types, keywords beside a reference."""

    def change(value: dict[str, Any]) -> dict[str, Any]:
        if "const" in value and "type" in value:
            value["enum"] = [value.pop("const")]
        types = value.get("type")
        if is_array(types):
            names = [name for name in types if name != "null"]
            value |= {"nullable": True} if "null" in types else {}
            if len(names) == 1:
                value["type"] = names[0]
            else:
                value["anyOf"] = [{"type": name} for name in names]
                del value["type"]
        null = {"type": "null"}
        if is_array(value.get("anyOf")) and null in value["anyOf"]:
            rest = [one for one in value.pop("anyOf") if one != null]
            value |= {"nullable": True, **({"allOf": rest} if len(rest) == 1 else {"oneOf": rest})}
        if "$ref" in value and len(value) > 1:
            value["allOf"] = [{"$ref": value.pop("$ref")}]
        return value

    return {**everywhere(change, contract), "openapi": "3.0.3"}


def in_pieces(contract: Any) -> Any:
    """Split every object into two that `allOf` combines."""

    def change(value: dict[str, Any]) -> dict[str, Any]:
        properties = value.get("properties")
        if value.get("type") != "object" or not is_object(properties):
            return value
        names = list(properties)
        half = {name: properties[name] for name in names[::2]}
        rest = {name: properties[name] for name in names[1::2]}
        required = value.pop("required", [])
        return {
            **value,
            "properties": half,
            "required": [name for name in required if name in half],
            "allOf": [
                {
                    "type": "object",
                    "properties": rest,
                    "required": [name for name in required if name in rest],
                }
            ],
        }

    return everywhere(change, contract)


@pytest.mark.parametrize("rewritten", [renamed, as_3_0, in_pieces])
def test_an_equivalent_file_has_no_differences(rewritten: Callable[[Any], Any]) -> None:
    """Names of components, the version of OpenAPI and the use of `allOf` do not matter."""
    for contract, openapi in ((document(), ROOT / "openapi"), (small(), SMALL)):
        other = rewritten(copy.deepcopy(contract))
        assert other != contract
        status, out, _ = compare(other, openapi=openapi)
        assert (status, out.splitlines()[-1].split(";")[0]) == (0, "differences: 0")


def test_every_difference_is_reported_once() -> None:
    """Each line has the fact from the contract and the one from the file."""
    status, out, _ = compare(SMALL / "changed.yaml")
    assert out == (SMALL / "expected.txt").read_text("utf-8")
    assert status == 1
    kinds = {line.split(": ")[1] for line in out.splitlines() if line.startswith("  ")}
    assert kinds == {
        *("added", "removed", "type", "null", "required", "default", "value set", "unknown keys refused")
    }


@pytest.mark.parametrize("edition", ["millis-3.2.yaml", "millis.json"])
def test_other_versions_of_openapi_are_supported(edition: str) -> None:
    """The contract as OpenAPI 3.2, with `itemSchema` for the events, equals the contract."""
    status, out, _ = compare(ROOT / "openapi" / "editions" / edition, openapi=ROOT / "openapi")
    assert (status, out.splitlines()[-1].split(";")[0]) == (0, "differences: 0")


def test_a_change_in_the_events_of_a_stream_is_found_in_3_2() -> None:
    """The events are compared field by field, although 3.1 and 3.2 describe them differently."""
    other = _compare.read(ROOT / "openapi" / "editions" / "millis-3.2.yaml")
    other["components"]["schemas"]["ChunkDelta"]["properties"]["content"] = {"type": "string"}
    status, out, _ = compare(other, openapi=ROOT / "openapi")
    lines = [line.strip() for line in out.splitlines() if ".choices[].delta.content" in line]
    assert (status, lines[0].partition(": ")[2]) == (1, "type: array or string -> string")


CHAT = "paths /chat/completions post"
NEW_HOST: Any = [{"url": "https://new"}]
BEARER: Any = {"type": "http", "scheme": "bearer"}
OPTIONAL: Any = [{}, {"privateKey": []}]
NO_KEY: Any = []


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("servers", NEW_HOST, "hosts: https://api-eu-west.millis.ai, https://api-west.mil"),
        (f"{CHAT} servers", NEW_HOST, "-> https://new"),
        ("components securitySchemes privateKey name", "x-key", "key: header authorization -> header x-key"),
        ("components securitySchemes privateKey in", "query", "-> query authorization"),
        ("components securitySchemes privateKey", BEARER, "-> header authorization (bearer)"),
        (f"{CHAT} security", NO_KEY, "key: header authorization -> without a key"),
        (f"{CHAT} security", OPTIONAL, "-> header authorization, without a key"),
        (f"{CHAT} deprecated", True, "endpoint: deprecated: no -> yes"),
        (
            "components schemas Flow properties user_start_first deprecated",
            True,
            "request.body.agent.agent_config.flow.user_start_first: deprecated: no -> yes",
        ),
        (
            "components schemas CallTransfer properties phone deprecated",
            False,
            "response.200.body.config.flow.call_transfer.phone: deprecated: yes -> no",
        ),
    ],
)
def test_changed_hosts_security_and_deprecations_are_reported(
    path: str, value: Any, line: str, tmp_path: Path
) -> None:
    """The report has a new host, another place of the key, and deprecated parts."""
    shutil.copy(ROOT / "openapi" / "millis.yaml", tmp_path)
    (tmp_path / "differences.yaml").write_text("[]")
    status, out, _ = compare(changed_contract(path, value), openapi=tmp_path)
    assert status == 1
    assert line in out
    assert "response.401" not in out


def test_missing_hosts_and_security_are_not_differences() -> None:
    """FastAPI omits both and declares the key as an `authorization` header parameter."""
    other = copy.deepcopy(document())
    del other["servers"], other["security"], other["components"]["securitySchemes"]
    assert compare(other, openapi=ROOT / "openapi")[0] == 0
    header = {"name": "authorization", "in": "header", "schema": {"type": "string"}}
    other["paths"]["/chat/completions"]["post"]["parameters"] = [header]
    assert compare(other, openapi=ROOT / "openapi")[0] == 0


@pytest.mark.parametrize("case", _compare.read(SMALL / "schemas.yaml"), ids=lambda case: case["why"])
def test_schemas_are_compared_by_their_meaning(case: dict[str, Any]) -> None:
    """Equivalent schemas have no differences, and similar ones do."""

    def with_body(schema: Any) -> _openapi.Document:
        body = {"required": True, "content": {"application/json": {"schema": schema}}}
        return _openapi.Document({"openapi": "3.1.0", "paths": {"/": {"post": {"requestBody": body}}}})

    found = _compare.differences(with_body(case["contract"]), with_body(case["file"]))
    assert [str(one) for one in found] == case["differences"]


def test_opening_or_closing_a_value_set_is_a_difference_in_requests() -> None:
    """A client has to know which values are refused. In responses, any value is accepted anyway."""
    other = small()
    schemas = other["components"]["schemas"]
    schemas["KnownLanguage"] = {"type": "string"}  # the contract refuses other values
    schemas["Override"]["properties"]["model"]["anyOf"].pop(1)  # the contract accepts them here
    schemas["Copy"]["properties"]["object"] = {"type": "string"}
    schemas["Copy"]["properties"]["id"]["enum"] = ["x"]
    status, out, _ = compare(other)
    assert status == 1
    assert [line.strip() for line in out.splitlines() if line.startswith("  ")] == [
        'request.body.agent_config.language: value set: has "de", "en" -> any value',
        'request.body.agent_config.model: value set: any value -> has "large", "small"',
        'response.200.body.id: value set: any value -> has "x"',
        'response.200.body.object: value set: has "agent" -> any value',
    ]


def test_every_difference_from_the_published_schema_has_a_reason() -> None:
    """openapi/differences.yaml contains each difference.

    `scripts/compare tests/corpus/compare/published-2025-09.json` prints the lines to add or remove.
    """
    status, out, _ = compare(PUBLISHED, openapi=ROOT / "openapi")
    assert (status, out.splitlines()[-1].endswith("; stale: 0")) == (0, True), out


def test_recursive_schemas_are_compared_once() -> None:
    """Recursion ends in objects, alternatives and `allOf`, and differences inside are found."""
    other = small()
    schemas = other["components"]["schemas"]
    schemas["Function"]["properties"]["name"]["type"] = "integer"
    schemas["Voice"] = {"anyOf": [{"$ref": "#/components/schemas/Voice"}, schemas["Voice"]]}
    schemas["Delay"]["allOf"] = [{"properties": {"inner": {"$ref": "#/components/schemas/Delay"}}}]
    status, out, _ = compare(other)
    config = "request.body.agent_config"
    assert [line.strip() for line in out.splitlines() if line.strip().startswith(config)] == [
        f"{config}.delay.inner: added: nothing -> object",
        f"{config}.tools[].name: type: string -> integer",
    ]
    assert status == 1


def test_a_missing_endpoint_is_one_difference() -> None:
    """The other endpoint is still compared."""
    for gone in ("/chat/completions", "/agents/{agent_id}/duplicate"):
        status, out, _ = compare(without(gone))
        assert status == 1
        assert out.splitlines() == [
            f"POST {gone}  (contract -> file)",
            "  endpoint: removed: endpoint -> nothing",
            "differences: 1; known: 0; stale: 0",
        ]
