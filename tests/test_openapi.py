"""openapi/millis.yaml and its editions match the vendor's two pages and the other known facts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemas import (
    CORPUS,
    ROOT,
    components,
    document,
    keys,
    objects,
    read_json,
)

from millis_wrapper.contract import Contract, Field
from scripts._document import operations, table
from scripts._editions import edition_codegen


def properties() -> Iterator[tuple[str, Any]]:
    for name, key, prop in properties_with_owners():
        yield f"{name}.{key}", prop


def properties_with_owners() -> Iterator[tuple[str, str, Any]]:
    for name, schema in components().items():
        for key, prop in schema.get("properties", {}).items():
            yield name, key, prop


def fields(component: str) -> list[Field]:
    return list(Contract(document()).fields(component))


def test_the_contract_is_valid_openapi() -> None:
    """The version is 3.1."""
    OpenAPIV31SpecValidator(document()).validate()


@pytest.mark.parametrize(
    ("page", "file", "count", "component"),
    [
        ("chat-page", "chat-request.json", 108, "ChatCompletionRequest"),
        ("duplicate-page", "duplicate-response.json", 111, "DuplicateAgentResponse"),
    ],
)
def test_the_origin_of_a_field_names_a_page_if_its_path_is_on_the_page(
    page: str, file: str, count: int, component: str
) -> None:
    """The fields whose origin names a page are exactly the JSON paths of that page."""
    paths_of_page = keys(read_json(CORPUS / "pages" / file))
    assert len(paths_of_page) == count
    assert {field.path for field in fields(component) if page in field.origin} == paths_of_page


def test_a_lost_field_or_value_is_visible_in_the_diff() -> None:
    """fields.tsv lists all current fields and values."""
    committed = (CORPUS / "contract" / "fields.tsv").read_text("utf-8").splitlines()
    made = table(document()).splitlines()
    lost = [line for line in committed if line not in made]
    new = [line for line in made if line not in committed]
    assert (lost, new) == ([], []), (
        "run scripts/regenerate, and check the lines that disappear from fields.tsv"
    )


def test_the_two_configs_differ_only_in_two_fields() -> None:
    """The config of a response and the partial config of a request have otherwise equal fields."""
    override, response = components()["AgentConfigOverride"], components()["AgentConfig"]
    assert override["additionalProperties"] is False
    assert "required" not in override
    assert response["required"] == ["prompt", "voice"]
    assert response["additionalProperties"] is True
    assert [*override["properties"]] == [*response["properties"]]
    different = [key for key, prop in override["properties"].items() if prop != response["properties"][key]]
    assert different == ["prompt", "voice"]
    for key in different:  # a response does not contain null in these fields
        partial, complete = override["properties"][key], response["properties"][key]
        assert {name: partial[name] for name in partial if name not in ("type", "anyOf")} == {
            name: complete[name] for name in complete if name not in ("type", "$ref")
        }
    assert override["properties"]["prompt"]["type"] == ["string", "null"]
    assert response["properties"]["prompt"]["type"] == "string"
    assert override["properties"]["voice"]["anyOf"] == [
        {"$ref": response["properties"]["voice"]["$ref"]},
        {"type": "null"},
    ]


def test_the_contract_has_no_yaml_aliases() -> None:
    """Parsers without support for YAML anchors can read it."""
    events = yaml.parse((ROOT / "openapi" / "millis.yaml").read_text("utf-8"), yaml.SafeLoader)
    assert not [event for event in events if isinstance(event, yaml.AliasEvent)]


@pytest.mark.parametrize(("name", "prop"), list(properties()))
def test_every_property_has_a_description_and_an_origin(name: str, prop: Any) -> None:
    """The contract explains every origin."""
    assert prop["description"].endswith(".")
    assert len(prop["description"]) >= 20
    assert prop["x-origin"]
    assert set(prop["x-origin"]) <= set(document()["x-sources"])
    for aspect, source in prop.get("x-origin-of", {}).items():
        assert aspect in {"type", "unit", "default", "values", "range", "format", "meaning"}
        assert source.partition(", ")[0] in document()["x-sources"]


def test_every_component_has_a_description_and_a_title() -> None:
    """The title is the name of the component, which viewers show and generators use."""
    for name, schema in components().items():
        assert schema["description"].endswith(".")
        assert len(schema["description"]) >= 20
        assert schema["title"] == name


def test_no_property_repeats_the_description_of_its_component() -> None:
    """The description of the property explains its role, and that of the component its meaning."""
    for name, prop in properties():
        for one in objects(prop):
            if "$ref" in one:
                component = components()[one["$ref"].rpartition("/")[2]]
                assert prop["description"] != component["description"], name


def test_every_object_declares_whether_it_accepts_unknown_keys() -> None:
    """All do, except for the top level of a partial config and maps with typed values."""
    closed = {
        name
        for name, schema in components().items()
        if schema.get("type") == "object" and schema["additionalProperties"] is not True
    }
    assert closed == {"AgentConfigOverride", "HeaderMap", "Credentials", "KeywordWeights"}


def test_every_integer_has_a_size() -> None:
    """Languages with fixed-size integers need the size."""
    integers = [one for one in objects(document()) if one.get("type") in ("integer", ["integer", "null"])]
    assert integers
    assert {one.get("format") for one in integers} == {"int32", "int64"}


def test_no_number_has_a_minimum_or_maximum() -> None:
    """The sources do not name limits, and -1 is a common value for "none"."""
    assert not [one for one in objects(components()) if {"minimum", "maximum"} & set(one)]


def test_every_component_is_used() -> None:
    """Every component is referenced by an operation or by another used component."""
    used: set[str] = set()
    waiting = [document()["paths"]]
    while waiting:
        for one in list(objects(waiting.pop())):
            kind, _, name = str(one.get("$ref", "")).removeprefix("#/components/").partition("/")
            if name and f"{kind}/{name}" not in used:
                used.add(f"{kind}/{name}")
                waiting.append(document()["components"][kind][name])
    assert used == {
        f"{kind}/{name}"
        for kind, named in document()["components"].items()
        if kind != "securitySchemes"
        for name in named
    }


def test_no_component_is_named_like_a_built_in_type() -> None:
    """Generated code may use its language's own `Headers` or `Error` beside the components."""
    taken = """Any Array Blob Body Boolean Buffer Date Dict Document Enum Error Event EventSource Exception
    Field File FormData Function Headers Int Integer Iterator List Literal Location Map Message MessageEvent
    Model None Node Null Number Object Option Optional Path Promise Record Request Response Result Self Set
    String Struct Symbol Type Union Unset URL Vec Void"""
    assert not {name.lower() for name in components()} & {name.lower() for name in taken.split()}


def test_no_component_has_the_name_that_generators_give_to_a_union() -> None:
    """Generators name a union after its object and property, and overwrite a component of that name."""
    schemas = components()
    unions = {
        f"{name}{key}": prop["anyOf"] for name, key, prop in properties_with_owners() if "anyOf" in prop
    }
    for made, union in unions.items():
        name = made.replace("_", "").lower()
        owners = {component for component in schemas if component.lower() == name}
        # A union of one component and null does not become a new type.
        assert all(
            [one for one in union if one != {"type": "null"}] == [{"$ref": f"#/components/schemas/{owner}"}]
            for owner in owners
        )


def test_no_value_is_listed_twice() -> None:
    """Every value set contains each value once, and the 128 known languages are complete."""
    sets = {name: schema["enum"] for name, schema in components().items() if "enum" in schema}
    assert all(len(set(values)) == len(values) for values in sets.values())
    assert len(sets["KnownLanguage"]) == 128


def test_every_value_set_is_open() -> None:
    """A field with known values accepts any other string."""
    sets = {f"#/components/schemas/{name}" for name, schema in components().items() if "enum" in schema}
    used = [one for one in objects(document()) if one.get("$ref") in sets]
    unions = [one["anyOf"] for one in objects(document()) if "anyOf" in one]
    open_sets = [union for union in unions if any(one.get("$ref") in sets for one in union)]
    assert all({"type": "string"} in union for union in open_sets)
    assert len(open_sets) == len(used)


def test_only_the_role_of_a_message_has_a_default() -> None:
    """Generated clients send a `default`, so other defaults are in `x-service-default`."""
    with_default = {name: prop for name, prop in properties() if "default" in prop}
    assert all(prop["default"] == prop["const"] for prop in with_default.values())
    assert set(with_default) == {"UserMessage.role", "AssistantMessage.role", "ToolMessage.role"}


def test_servers_key_and_responses() -> None:
    """The contract has both hosts, the key in `authorization`, and the known responses of each operation."""
    servers = [server["url"] for server in document()["servers"]]
    assert servers == ["https://api-west.millis.ai", "https://api-eu-west.millis.ai"]
    (scheme,) = document()["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "authorization")
    responses = {path: operation["responses"] for _, path, operation, _ in operations(document())}
    failures = {*("401", "403", "422", "429", "500", "502", "503", "504", "default")}
    assert set(responses["/chat/completions"]) == {"200", *failures}
    assert set(responses["/agents/{agent_id}/duplicate"]) == {"200", "404", *failures}
    assert "content" not in responses["/agents/{agent_id}/duplicate"]["404"]
    assert "requestBody" not in document()["paths"]["/agents/{agent_id}/duplicate"]["post"]


def test_the_stream_has_schemas_for_its_events() -> None:
    """The chunk, the error and the optional end have schemas."""
    response = document()["paths"]["/chat/completions"]["post"]["responses"]["200"]
    (stream,) = response["content"].values()
    components_of_events = {
        role: ref["$ref"].rpartition("/")[2]
        for role, ref in stream["x-event-stream"].items()
        if role != "end-required"
    }
    assert components_of_events == {
        "chunk": "ChatCompletionChunk",
        "error": "ChatStreamError",
        "end": "ChatStreamEnd",
    }
    assert stream["x-event-stream"]["end-required"] is False
    assert all(name in response["description"] for name in components_of_events.values())


def test_no_edition_of_the_contract_refers_to_another_file() -> None:
    """Tools that do not support `externalValue` can read every edition."""
    for file in (ROOT / "openapi" / "millis.yaml", *(ROOT / "openapi" / "editions").iterdir()):
        for one in objects(yaml.safe_load(file.read_text("utf-8"))):
            assert "externalValue" not in one, file
            assert str(one.get("$ref", "#/")).startswith("#/"), file


def test_the_edition_for_code_generators_has_no_any_of_and_no_open_enum() -> None:
    """Unions are `oneOf`, open sets are strings, and a constant field is an enum with one value."""
    edition = edition_codegen(document())
    OpenAPIV31SpecValidator(edition).validate()
    assert not [one for one in objects(edition) if "anyOf" in one]
    schemas = edition["components"]["schemas"]
    enums = {name: schema["enum"] for name, schema in schemas.items() if "enum" in schema}
    assert enums == {f"{role.title()}MessageRole": [role] for role in ("user", "assistant", "tool")}
    assert {*schemas} - {*enums} == {name for name, schema in components().items() if "enum" not in schema}
    provider = schemas["Voice"]["properties"]["provider"]
    assert (provider["type"], provider["x-extensible-enum"][0]) == ("string", "elevenlabs")
    assert schemas["Tool"]["properties"]["method"]["type"] == ["string", "null"]
    assert [one.get("type") for one in schemas["Flow"]["properties"]["response_delay"]["oneOf"]] == [
        "integer",
        None,
        "null",
    ]


def test_every_link_in_the_reference_has_a_target() -> None:
    """Each link in REFERENCE.md leads to one heading, and every field has a row."""
    from scripts._reference_tables import anchor

    page = (ROOT / Path("openapi/REFERENCE.md")).read_text("utf-8")
    headings = [anchor(line.lstrip("# ")) for line in page.splitlines() if line.startswith("#")]
    links = {part.partition(")")[0] for part in page.split("](")[1:]}
    assert {link for link in links if link.startswith("#")} <= set(headings)
    assert sorted(headings) == sorted(set(headings))
    assert all(
        f"| `{field.path.rpartition('.')[2]}` |" in page
        for field in fields("AgentConfig") + fields("ChatCompletionChunk")
    )
