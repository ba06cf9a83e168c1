"""openapi/millis.yaml against the vendor's two pages, the other known facts, and the examples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemas import CORPUS, EXAMPLES, ROOT, children, document, is_object, keys, read_json, validator

from millis_wrapper.contract import Contract, Field

PAGES = {"chat-page": "chat-request", "duplicate-page": "duplicate-answer"}
COMPONENT_OF_PAGE = {"chat-page": "ChatCompletionRequest", "duplicate-page": "DuplicateAgentResponse"}
ORIGINS = {"chat-page", "duplicate-page", "published-schema", "observed", "vendor-docs", "inferred"}


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


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Each object within `value`, at every depth."""
    if is_object(value):
        yield value
    for _, child in children(value):
        yield from objects(child)


def cases(name: str) -> list[Any]:
    found = read_json(CORPUS / "contract" / f"{name}.json")
    return [pytest.param(case["component"], case["value"], id=case["why"]) for case in found]


def examples() -> dict[str, list[str]]:
    """The table of openapi/examples/README.md: the file, and the components that it shows."""
    rows = [
        line.split("|") for line in (EXAMPLES / "README.md").read_text("utf-8").splitlines() if "| `" in line
    ]
    return {row[1].strip(" `"): row[3].replace("`", "").replace(" ", "").split(",") for row in rows}


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


def test_every_field_is_as_the_facts_have_it() -> None:
    """Path, type, default, unit and origin of each field are those of the table, and none is missing."""
    lines = (CORPUS / "contract" / "fields.tsv").read_text("utf-8").splitlines()
    table = {tuple(line.split("\t")) for line in lines if not line.startswith("#")}
    assert {
        (
            component,
            field.path,
            field.type + " or null" * field.nullable,
            "required" if field.required else "-",
            "-" if field.default is None else json.dumps(field.default),
            field.unit or "-",
            field.component,
            " ".join(field.origin),
        )
        for component in sorted({line[0] for line in table})
        for field in fields(component)
        # The config and the fault of validation have rows of their own, and are not repeated elsewhere.
        if not field.path.startswith(("agent.agent_config.", "config."))
        if component != "ErrorResponse" or "[" not in field.path
    } == table


def test_the_two_configs_share_everything_but_what_tells_them_apart() -> None:
    """The partial config of a request and the config of an answer have the very same fields."""
    override, answer = components()["AgentConfigOverride"], components()["AgentConfig"]
    assert override["properties"] is answer["properties"]
    assert override["additionalProperties"] is False
    assert "required" not in override
    assert answer["required"] == ["prompt", "voice"]
    assert "additionalProperties" not in answer


@pytest.mark.parametrize(("name", "prop"), list(properties()))
def test_every_property_is_described_and_says_where_it_is_known_from(name: str, prop: Any) -> None:
    """Each property has a description, and an origin that is one of the six."""
    assert prop["description"].endswith(".")
    assert prop["x-origin"]
    assert set(prop["x-origin"]) <= ORIGINS


def test_every_component_is_described() -> None:
    """Each component says what it is, and leaves its class name to its own name."""
    assert all(
        schema["description"].endswith(".") and "title" not in schema for schema in components().values()
    )


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


def test_the_known_values_are_listed() -> None:
    """Each value set holds the values that are known, all of them, once."""
    known = read_json(CORPUS / "contract" / "value-sets.json")
    sets = {name: schema["enum"] for name, schema in components().items() if "enum" in schema}
    assert {name: sorted(values) for name, values in sets.items() if name != "KnownFinishReason"} == {
        name: sorted(values) for name, values in known.items()
    }
    assert len(set(sets["KnownLanguage"])) == len(sets["KnownLanguage"]) == 128


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
    answers = {path: item["post"]["responses"] for path, item in document()["paths"].items()}
    assert {path: set(found) for path, found in answers.items()} == {
        "/chat/completions": {"200", "422", "default"},
        "/agents/{agent_id}/duplicate": {"200", "404", "422", "default"},
    }
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
    assert [
        one["$ref"].rpartition("/")[2] for one in stream["schema"]["contentSchema"]["items"]["anyOf"]
    ] == [*tied.values()]


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.iterdir() if path.name != "README.md"))
def test_examples_fit_their_component(name: str) -> None:
    """Each file of the examples is in their table, and is what the table says."""
    shown = examples()[name]
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


def test_examples_in_the_contract_fit_it() -> None:
    """The examples that the contract itself gives are valid."""
    chat, copy = (
        document()["paths"][path]["post"] for path in ("/chat/completions", "/agents/{agent_id}/duplicate")
    )
    for example in chat["requestBody"]["content"]["application/json"]["examples"].values():
        validator("ChatCompletionRequest").validate(example["value"])
    for example in copy["responses"]["200"]["content"]["application/json"]["examples"].values():
        validator("DuplicateAgentResponse").validate(example["value"])
    (stream,) = chat["responses"]["200"]["content"]["text/event-stream"]["examples"].values()
    *chunks, end = [line.removeprefix("data: ") for line in stream["value"].splitlines() if line]
    assert end == "[DONE]"
    assert all(validator("ChatCompletionChunk").is_valid(json.loads(chunk)) for chunk in chunks)


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
    from scripts._reference import anchor

    page = (ROOT / Path("openapi/REFERENCE.md")).read_text("utf-8")
    headings = [anchor(line.lstrip("# ")) for line in page.splitlines() if line.startswith("#")]
    links = {part.partition(")")[0] for part in page.split("](")[1:]}
    assert {link for link in links if link.startswith("#")} <= set(headings)
    assert sorted(headings) == sorted(set(headings))
    assert all(
        f"| `{field.path}` |" in page for field in fields("AgentConfig") + fields("ChatCompletionChunk")
    )
