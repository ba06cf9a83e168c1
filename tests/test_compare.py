"""scripts/compare compares another OpenAPI file of the service with the contract."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from compare_runs import PUBLISHED, SMALL, compare, small
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
        status, shown, _ = compare(other, openapi=openapi)
        assert (status, shown.splitlines()[-1].split(";")[0]) == (0, "differences: 0")


def test_every_difference_is_reported_once() -> None:
    """Each line has the fact from the contract and the one from the file."""
    status, shown, _ = compare(SMALL / "changed.yaml")
    assert shown == (SMALL / "expected.txt").read_text("utf-8")
    assert status == 1
    kinds = {line.split(": ")[1] for line in shown.splitlines() if line.startswith("  ")}
    assert kinds == {
        *("added", "removed", "type", "null", "required", "default", "value set", "unknown keys refused")
    }


@pytest.mark.parametrize("edition", ["millis-3.2.yaml", "millis.json"])
def test_other_versions_of_openapi_are_supported(edition: str) -> None:
    """The contract as OpenAPI 3.2, with `itemSchema` for the events, has no differences."""
    status, shown, _ = compare(ROOT / "openapi" / "editions" / edition, openapi=ROOT / "openapi")
    assert (status, shown.splitlines()[-1].split(";")[0]) == (0, "differences: 0")


def test_a_change_in_the_events_of_a_stream_is_found_in_3_2() -> None:
    """The events are compared field by field, although 3.1 and 3.2 describe them differently."""
    other = _compare.read(ROOT / "openapi" / "editions" / "millis-3.2.yaml")
    other["components"]["schemas"]["ChunkDelta"]["properties"]["content"] = {"type": "string"}
    status, shown, _ = compare(other, openapi=ROOT / "openapi")
    lines = [line.strip() for line in shown.splitlines() if ".choices[].delta.content" in line]
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
    status, shown, _ = compare(changed_contract(path, value), openapi=tmp_path)
    assert status == 1
    assert line in shown
    assert "response.401" not in shown


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


def test_a_byte_order_mark_is_not_part_of_the_file() -> None:
    """Windows tools write a byte order mark, which is ignored."""
    assert compare("\ufeff" + json.dumps(small()))[0] == 0


def test_json_output_has_the_same_differences() -> None:
    """With --json, every difference is an object with unescaped values."""
    status, shown, _ = compare(SMALL / "changed.yaml", "--json")
    found = json.loads(shown)
    lines = [
        f"  {_compare.Difference(**{k: v for k, v in one.items() if k != 'known'})}"
        for one in found["differences"]
    ]
    expected = (SMALL / "expected.txt").read_text("utf-8").splitlines()
    assert lines == [line for line in expected if line.startswith("  ")]
    assert (status, found["stale"]) == (1, [])
    assert found["differences"][7] == {
        "endpoint": "POST /chat/completions",
        "path": "request.body.agent_config.temperature",
        "kind": "default",
        "contract": 0,
        "file": None,
        "known": None,
    }


def test_a_changed_openness_of_a_value_set_is_a_difference_in_requests() -> None:
    """A client has to know which values are refused. In responses, any value is accepted anyway."""
    other = small()
    schemas = other["components"]["schemas"]
    schemas["KnownLanguage"] = {"type": "string"}  # the contract refuses other values
    schemas["Override"]["properties"]["model"]["anyOf"].pop(1)  # and here accepts them
    schemas["Copy"]["properties"]["object"] = {"type": "string"}
    schemas["Copy"]["properties"]["id"]["enum"] = ["x"]
    status, shown, _ = compare(other)
    assert status == 1
    assert [line.strip() for line in shown.splitlines() if line.startswith("  ")] == [
        'request.body.agent_config.language: value set: has "de", "en" -> any value',
        'request.body.agent_config.model: value set: any value -> has "large", "small"',
        'response.200.body.id: value set: any value -> has "x"',
        'response.200.body.object: value set: has "agent" -> any value',
    ]


def test_a_known_difference_is_shown_with_its_reason_and_does_not_count(tmp_path: Path) -> None:
    """A listed difference has to match exactly; a listed difference that no longer exists is stale."""
    shutil.copy(SMALL / "millis.yaml", tmp_path)
    lines = ["request.path.1: type: string -> integer", "response.404: added: nothing -> response"]
    entries = [{"reason": "the service is wrong", "lines": "\n".join(lines)}]
    (tmp_path / "differences.yaml").write_text(json.dumps(entries), "utf-8")
    other = small()
    duplicate = other["paths"]["/agents/{agent_id}/duplicate"]["post"]
    duplicate["parameters"][0]["schema"]["type"] = "integer"
    status, shown, _ = compare(other, openapi=tmp_path)
    assert (status, shown.splitlines()) == (
        0,
        [
            "known: the service is wrong",
            f"  {lines[0]}",
            "stale, remove from openapi/differences.yaml:",
            f"  {lines[1]}",
            "differences: 0; known: 1; stale: 1",
        ],
    )
    found = json.loads(compare(other, "--json", openapi=tmp_path)[1])
    assert [one["known"] for one in found["differences"]] == ["the service is wrong"]
    assert found["stale"] == [lines[1]]
    duplicate["parameters"][0]["schema"]["type"] = "number"
    status, shown, _ = compare(other, openapi=tmp_path)
    assert (status, shown.splitlines()[-1]) == (1, "differences: 1; known: 0; stale: 2")


def test_every_difference_from_the_published_schema_has_a_reason() -> None:
    """Whoever changes the contract says in openapi/differences.yaml why it is not what the service published.

    If not, `scripts/compare tests/corpus/compare/published-2025-09.json` shows the lines to add or remove.
    """
    status, shown, _ = compare(PUBLISHED, openapi=ROOT / "openapi")
    assert (status, shown.splitlines()[-1].endswith("; stale: 0")) == (0, True), shown


def test_recursive_schemas_are_compared_once() -> None:
    """Recursion ends in objects, alternatives and `allOf`, and differences inside are found."""
    other = small()
    schemas = other["components"]["schemas"]
    schemas["Function"]["properties"]["name"]["type"] = "integer"
    schemas["Voice"] = {"anyOf": [{"$ref": "#/components/schemas/Voice"}, schemas["Voice"]]}
    schemas["Delay"]["allOf"] = [{"properties": {"inner": {"$ref": "#/components/schemas/Delay"}}}]
    status, shown, _ = compare(other)
    config = "request.body.agent_config"
    assert [line.strip() for line in shown.splitlines() if line.strip().startswith(config)] == [
        f"{config}.delay.inner: added: nothing -> object",
        f"{config}.tools[].name: type: string -> integer",
    ]
    assert status == 1


def without(*paths: str) -> Any:
    other = small()
    for path in paths:
        del other["paths"][path]
    return other


def test_a_missing_endpoint_is_one_difference() -> None:
    """The other endpoint is still compared."""
    for gone in ("/chat/completions", "/agents/{agent_id}/duplicate"):
        status, said, _ = compare(without(gone))
        assert status == 1
        assert said.splitlines() == [
            f"POST {gone}  (contract -> file)",
            "  endpoint: removed: endpoint -> nothing",
            "differences: 1; known: 0; stale: 0",
        ]


def with_agent_schema(schema: Any, **components: Any) -> Any:
    other = small()
    other["components"]["schemas"] |= {"ChatRequest": schema, **components}
    return other


MANY = {
    f"A{number}": {"allOf": [{"$ref": f"#/components/schemas/A{number + 1}"}] * 2} for number in range(40)
}


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (Path("no/such/file.yaml"), "cannot be read: No such file or directory"),
        (SMALL, "cannot be read: Is a directory"),
        ("{", "line 1: not valid JSON"),
        ("a: [\n", "line 2: "),
        ("", "not OpenAPI 3"),
        ("[]", "not OpenAPI 3"),
        ({"swagger": "2.0", "paths": {}}, "not OpenAPI 3"),
        ({"openapi": "3.1.0"}, "endpoint of the contract: POST /chat/completions, POST /agents"),
        ({"openapi": "3.1.0", "paths": []}, "`paths` must be an object"),
        (
            without("/chat/completions", "/agents/{agent_id}/duplicate"),
            "endpoint of the contract: POST /chat",
        ),
        (with_agent_schema({"$ref": "#/components/schemas/Gone"}), "Gone does not exist"),
        (with_agent_schema({"$ref": "other.yaml#/Chat"}), "points outside the file"),
        (with_agent_schema({"properties": []}), "`properties` must be an object"),
        (with_agent_schema({"required": True}), "`required` must be a list"),
        (with_agent_schema({"anyOf": {}}), "`anyOf` must be a list"),
        (with_agent_schema({"$ref": "#/components/schemas/A0"}, **MANY, A40={}), "expand to more than"),
        (with_agent_schema({"$ref": "#/\x1b[31m\nx"}), r"#/\x1b[31m x does not exist"),
        ('{"a":' * 100_000, "nested too deeply"),
        (
            (SMALL / "millis.yaml")
            .read_text("utf-8")
            .replace("    Delay: {", "    Delay: &d {allOf: [*d], "),
            "nested too deeply",
        ),
    ],
)
def test_an_invalid_file_is_reported_in_one_line(file: Any, words: str) -> None:
    """The status is 2, and the line names the file and the mistake."""
    status, shown, error = compare(file)
    assert (status, shown) == (2, "")
    assert words in error
    assert error.startswith("scripts/compare: ")
    assert error.count("\n") == 1
    assert "\x1b" not in error


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("differences.yaml", "lines: x", "must be a list of objects"),
        ("differences.yaml", "- reason: x", "must be a list of objects"),
        ("differences.yaml", "[", "line 1: "),
        ("millis.yaml", "openapi: 2.0.0", "not OpenAPI 3"),
        (
            "millis.yaml",
            json.dumps(with_agent_schema({"$ref": "#/components/schemas/Gone"})),
            "does not exist",
        ),
    ],
)
def test_the_message_for_a_mistake_in_our_own_files_names_the_file(
    name: str, content: str, words: str, tmp_path: Path
) -> None:
    """The contract and the list of known differences have their own messages."""
    for file in ("differences.yaml", "millis.yaml"):
        shutil.copy(SMALL / file, tmp_path)
    (tmp_path / name).write_text(content, "utf-8")
    status, shown, error = compare(SMALL / "changed.yaml", openapi=tmp_path)
    assert (status, shown, error.count("\n")) == (2, "", 1)
    assert error.startswith(f"scripts/compare: {tmp_path / name}: ")
    assert words in error


def test_control_characters_of_the_file_are_escaped() -> None:
    """Keys, constants, defaults and values cannot change the terminal."""
    odd = "\x1b[2J\n\x9b\u202e"
    other = small()
    schemas = other["components"]["schemas"]
    schemas["Voice"]["properties"][odd] = {"type": odd, "default": odd}
    schemas["User"]["properties"]["role"]["const"] = odd
    schemas["ChatRequest"]["properties"]["end_of_session"]["default"] = odd
    schemas["Copy"]["properties"]["id"] = {"type": odd, "enum": [odd]}
    other["paths"]["/chat/completions"]["post"]["responses"] |= {odd: {}, "201": {"content": {odd: {}}}}
    _, shown, _ = compare(other)
    lines = shown.splitlines()
    assert not set(shown) & set("\x1b\x9b\u202e")
    assert all(line.startswith(("  ", "POST ", "differences")) for line in lines), lines


def test_the_command_runs_from_any_folder() -> None:
    """`scripts/compare` finds its own checkout."""
    done = subprocess.run(
        [ROOT / "scripts" / "compare", PUBLISHED, "--json"], cwd="/", capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["differences"]
