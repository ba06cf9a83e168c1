"""openapi/millis.yaml against the vendor's two pages, the other known facts, and the examples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemas import (
    CORPUS,
    EXAMPLES,
    ROOT,
    document,
    keys,
    objects,
    read_json,
    validator,
    validator_of,
)

from millis_wrapper.contract import Contract, Field
from scripts._document import examples, operations, resolve, table
from scripts._editions import edition_codegen

SHOWN = {
    "chat-request-full.json": ["ChatCompletionRequest"],
    "chat-request-minimal.json": ["ChatCompletionRequest"],
    "chat-request-second-turn.json": ["ChatCompletionRequest"],
    "chat-request-other-forms.json": ["ChatCompletionRequest"],
    "agent-full.json": ["DuplicateAgentResponse"],
    "agent-minimal.json": ["DuplicateAgentResponse"],
    "agent-nulls.json": ["DuplicateAgentResponse"],
    "validation-error.json": ["HTTPValidationError"],
    "error.json": ["ErrorResponse"],
    "stream.txt": ["ChatCompletionChunk", "ChatStreamEnd"],
    "stream-error.txt": ["ChatCompletionChunk", "ChatStreamError"],
}
PAGES = {"chat-page": "chat-request", "duplicate-page": "duplicate-answer"}
COMPONENT_OF_PAGE = {"chat-page": "ChatCompletionRequest", "duplicate-page": "DuplicateAgentResponse"}


def components() -> dict[str, Any]:
    schemas: dict[str, Any] = document()["components"]["schemas"]
    return schemas


def properties() -> Iterator[tuple[str, Any]]:
    for name, key, prop in properties_with_owners():
        yield f"{name}.{key}", prop


def properties_with_owners() -> Iterator[tuple[str, str, Any]]:
    for name, schema in components().items():
        for key, prop in schema.get("properties", {}).items():
            yield name, key, prop


def fields(component: str) -> list[Field]:
    return list(Contract(document()).fields(component))


def cases(name: str) -> list[Any]:
    found = read_json(CORPUS / "contract" / f"{name}.json")
    return [pytest.param(case["component"], case["value"], id=case["why"]) for case in found]


def events(name: str) -> list[str]:
    lines = (EXAMPLES / name).read_text("utf-8").splitlines()
    return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]


def test_it_is_valid_openapi() -> None:
    """The document is OpenAPI 3.1."""
    OpenAPIV31SpecValidator(document()).validate()


@pytest.mark.parametrize(("page", "count"), [("chat-page", 108), ("duplicate-page", 111)])
def test_every_path_of_the_pages_is_in_the_contract(page: str, count: int) -> None:
    """Each JSON path that a page shows is a field, and says that this page shows it; no other field does."""
    shown = keys(read_json(CORPUS / "pages" / f"{PAGES[page]}.json"))
    assert len(shown) == count
    assert {field.path for field in fields(COMPONENT_OF_PAGE[page]) if page in field.origin} == shown


def test_no_field_and_no_value_is_lost_unseen() -> None:
    """The table of all fields and values is what the contract has now: a lost one is a line of the diff."""
    committed = (CORPUS / "contract" / "fields.tsv").read_text("utf-8").splitlines()
    made = table(document()).splitlines()
    lost = [line for line in committed if line not in made]
    new = [line for line in made if line not in committed]
    assert (lost, new) == ([], []), "run scripts/regenerate, and look at the lines that go from fields.tsv"


def test_the_two_configs_share_everything_but_what_tells_them_apart() -> None:
    """The partial config of a request and the config of an answer have the very same fields but two."""
    override, answer = components()["AgentConfigOverride"], components()["AgentConfig"]
    assert override["additionalProperties"] is False
    assert "required" not in override
    assert answer["required"] == ["prompt", "voice"]
    assert answer["additionalProperties"] is True
    assert [*override["properties"]] == [*answer["properties"]]
    different = [key for key, prop in override["properties"].items() if prop != answer["properties"][key]]
    assert different == ["prompt", "voice"]
    for key in different:  # only null, which an answer has not
        partial, whole = override["properties"][key], answer["properties"][key]
        assert {name: partial[name] for name in partial if name not in ("type", "anyOf")} == {
            name: whole[name] for name in whole if name not in ("type", "$ref")
        }
    assert override["properties"]["prompt"]["type"] == ["string", "null"]
    assert answer["properties"]["prompt"]["type"] == "string"
    assert override["properties"]["voice"]["anyOf"] == [
        {"$ref": answer["properties"]["voice"]["$ref"]},
        {"type": "null"},
    ]


def test_no_part_is_written_as_an_alias() -> None:
    """Readers that do not know the anchors of YAML read the contract too."""
    events = yaml.parse((ROOT / "openapi" / "millis.yaml").read_text("utf-8"), yaml.SafeLoader)
    assert not [event for event in events if isinstance(event, yaml.AliasEvent)]


@pytest.mark.parametrize(("name", "prop"), list(properties()))
def test_every_property_is_described_and_says_where_it_is_known_from(name: str, prop: Any) -> None:
    """Each property has a description that says something, and origins that the contract explains."""
    assert prop["description"].endswith(".")
    assert len(prop["description"]) >= 20
    assert prop["x-origin"]
    assert set(prop["x-origin"]) <= set(document()["x-sources"])
    for aspect, source in prop.get("x-origin-of", {}).items():
        assert aspect in {"type", "unit", "default", "values", "range", "format", "meaning"}
        assert source.partition(", ")[0] in document()["x-sources"]


def test_every_component_is_described() -> None:
    """Each component says what it is, and its title is its name, which viewers show and generators use."""
    for name, schema in components().items():
        assert schema["description"].endswith(".")
        assert len(schema["description"]) >= 20
        assert schema["title"] == name


def test_no_property_repeats_what_its_component_says() -> None:
    """A property that holds a component says what it is there; what the component is stands there."""
    for name, prop in properties():
        for one in objects(prop):
            if "$ref" in one:
                component = components()[one["$ref"].rpartition("/")[2]]
                assert prop["description"] != component["description"], name


def test_each_object_says_whether_it_takes_unknown_keys() -> None:
    """All do but the top level of a partial config, and the maps, whose values have a type."""
    closed = {
        name
        for name, schema in components().items()
        if schema.get("type") == "object" and schema["additionalProperties"] is not True
    }
    assert closed == {"AgentConfigOverride", "HeaderMap", "Credentials", "KeywordWeights"}


def test_each_integer_says_its_size() -> None:
    """Languages with integers of a fixed size know which one to use."""
    integers = [one for one in objects(document()) if one.get("type") in ("integer", ["integer", "null"])]
    assert integers
    assert {one.get("format") for one in integers} == {"int32", "int64"}


def test_no_range_is_claimed_that_no_source_has() -> None:
    """No number has a minimum or maximum: no source names one, and `-1` for "none" is common."""
    assert not [one for one in objects(components()) if {"minimum", "maximum"} & set(one)]


def test_every_component_is_used() -> None:
    """Nothing is defined that neither an endpoint nor another used component refers to."""
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


def test_no_component_has_the_name_of_a_type_of_the_browser_or_of_a_language() -> None:
    """Code made in another language uses its own `Headers` and `Error` beside the components."""
    taken = """Any Array Blob Body Boolean Buffer Date Dict Document Enum Error Event EventSource Exception
    Field File FormData Function Headers Int Integer Iterator List Literal Location Map Message MessageEvent
    Model None Node Null Number Object Option Optional Path Promise Record Request Response Result Self Set
    String Struct Symbol Type Union Unset URL Vec Void"""
    assert not {name.lower() for name in components()} & {name.lower() for name in taken.split()}


def test_no_component_has_the_name_that_generators_give_to_a_union() -> None:
    """Generators call a union within a property by owner and property, over a component of that name."""
    schemas = components()
    unions = {
        f"{name}{key}": prop["anyOf"] for name, key, prop in properties_with_owners() if "anyOf" in prop
    }
    for made, union in unions.items():
        name = made.replace("_", "").lower()
        owners = {component for component in schemas if component.lower() == name}
        # A union of one component and null is no new type.
        assert all(
            [one for one in union if one != {"type": "null"}] == [{"$ref": f"#/components/schemas/{owner}"}]
            for owner in owners
        )


def test_no_value_is_listed_twice() -> None:
    """Each value set holds each value once; the languages are the 128 that are known."""
    sets = {name: schema["enum"] for name, schema in components().items() if "enum" in schema}
    assert all(len(set(values)) == len(values) for values in sets.values())
    assert len(sets["KnownLanguage"]) == 128


def test_every_value_set_is_open() -> None:
    """Wherever known values are listed, any other string is valid too."""
    sets = {f"#/components/schemas/{name}" for name, schema in components().items() if "enum" in schema}
    used = [one for one in objects(document()) if one.get("$ref") in sets]
    unions = [one["anyOf"] for one in objects(document()) if "anyOf" in one]
    open_sets = [union for union in unions if any(one.get("$ref") in sets for one in union)]
    assert all({"type": "string"} in union for union in open_sets)
    assert len(open_sets) == len(used)


def test_no_default_of_the_service_becomes_one_of_the_client() -> None:
    """Only the fixed role of a message has a `default`, which is what a generated client sends by itself."""
    with_default = {name: prop for name, prop in properties() if "default" in prop}
    assert all(prop["default"] == prop["const"] for prop in with_default.values())
    assert set(with_default) == {"UserMessage.role", "AssistantMessage.role", "ToolMessage.role"}


def test_servers_key_and_answers() -> None:
    """Both hosts, the raw key in `authorization`, and the answers that are known for each endpoint."""
    servers = [server["url"] for server in document()["servers"]]
    assert servers == ["https://api-west.millis.ai", "https://api-eu-west.millis.ai"]
    (scheme,) = document()["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "authorization")
    answers = {path: operation["responses"] for _, path, operation, _ in operations(document())}
    failures = {*("401", "403", "422", "429", "500", "502", "503", "504", "default")}
    assert set(answers["/chat/completions"]) == {"200", *failures}
    assert set(answers["/agents/{agent_id}/duplicate"]) == {"200", "404", *failures}
    assert "content" not in answers["/agents/{agent_id}/duplicate"]["404"]
    assert "requestBody" not in document()["paths"]["/agents/{agent_id}/duplicate"]["post"]


def test_the_stream_is_described_as_data() -> None:
    """The event stream is tied to the schemas of its chunk, its error and its end, which need not come."""
    answer = document()["paths"]["/chat/completions"]["post"]["responses"]["200"]
    (stream,) = answer["content"].values()
    tied = {
        role: ref["$ref"].rpartition("/")[2]
        for role, ref in stream["x-event-stream"].items()
        if role != "end-required"
    }
    assert tied == {"chunk": "ChatCompletionChunk", "error": "ChatStreamError", "end": "ChatStreamEnd"}
    assert stream["x-event-stream"]["end-required"] is False
    assert all(name in answer["description"] for name in tied.values())


@pytest.mark.parametrize("name", SHOWN)
def test_examples_fit_their_component(name: str) -> None:
    """Each example is valid data of the component that it shows."""
    shown = SHOWN[name]
    if name.endswith(".json"):
        (component,) = shown
        validator(component).validate(read_json(EXAMPLES / name))
        return
    data = [event if event == "[DONE]" else json.loads(event) for event in events(name)]
    assert data
    assert all(any(validator(component).is_valid(one) for component in shown) for one in data)
    assert all(any(validator(component).is_valid(one) for one in data) for component in shown)


@pytest.mark.parametrize("page", PAGES)
def test_the_full_examples_are_the_pages(page: str) -> None:
    """The full examples are what the vendor's pages show, nothing more and nothing less."""
    full = {"chat-page": "chat-request-full.json", "duplicate-page": "agent-full.json"}[page]
    assert read_json(EXAMPLES / full) == read_json(CORPUS / "pages" / f"{PAGES[page]}.json")


def test_the_example_files_of_the_tests_are_the_examples_of_the_contract() -> None:
    """Each example has a name of its own and is a file of tests/corpus/examples, unchanged."""
    found = [(name, value) for _, name, value in examples(document())]
    files = {path.stem: path for path in EXAMPLES.iterdir()}
    assert sorted(files) == sorted(name for name, _ in found)
    assert {path.name for path in files.values()} == set(SHOWN)
    for name, value in found:
        text = files[name].read_text("utf-8")
        assert (text if isinstance(value, str) else json.loads(text)) == value


def test_no_published_form_of_the_contract_refers_to_another_file() -> None:
    """Each file that is handed out stands alone, also where a tool does not follow `externalValue`."""
    for file in (ROOT / "openapi" / "millis.yaml", *(ROOT / "openapi" / "editions").iterdir()):
        for one in objects(yaml.safe_load(file.read_text("utf-8"))):
            assert "externalValue" not in one, file
            assert str(one.get("$ref", "#/")).startswith("#/"), file


def test_every_body_has_an_example_that_fits() -> None:
    """Each request and response body has an example, and the example is valid."""
    bodies = [
        one for one in objects(document()) if any("/" in media_type for media_type in one.get("content", ()))
    ]
    found = 0
    for body in bodies:
        for media_type, content in body["content"].items():
            for example in content["examples"].values():
                found += 1
                value = resolve(document(), example)["value"]
                if media_type != "text/event-stream":
                    validator_of(content["schema"]).validate(value)
    assert found >= 20
    assert all("examples" in content for body in bodies for content in body["content"].values())


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


@pytest.mark.parametrize("name", [name for name in SHOWN if name.endswith(".json")])
def test_the_edition_for_code_generators_accepts_what_the_contract_accepts(name: str) -> None:
    """Exactly one form of each union fits the examples, although `oneOf` is stricter than `anyOf`."""
    edition = edition_codegen(document())
    (component,) = SHOWN[name]
    validator_of({"$ref": f"#/components/schemas/{component}"}, edition).validate(read_json(EXAMPLES / name))


@pytest.mark.parametrize(("name", "prop"), [*properties(), *components().items()])
def test_examples_of_fields_fit_them(name: str, prop: Any) -> None:
    """What stands beside a field as an example is a value that it takes."""
    for example in prop.get("examples", ()):
        validator_of(prop).validate(example)


@pytest.mark.parametrize(("component", "value"), cases("accepted"))
def test_odd_but_good_data_is_accepted(component: str, value: Any) -> None:
    """Data of a form that is known, or must be survived, is valid."""
    validator(component).validate(value)


@pytest.mark.parametrize(("component", "value"), cases("refused"))
def test_wrong_data_is_refused(component: str, value: Any) -> None:
    """Data that the service refuses, or that is not what it promises, is not valid."""
    assert not validator(component).is_valid(value)


def test_the_reference_links_to_places_that_exist() -> None:
    """Each link within REFERENCE.md leads to one heading, and each field has a row."""
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
