"""The schemas of openapi/millis.yaml accept its examples and other valid data, and refuse invalid data."""

from __future__ import annotations

import json
from typing import Any

import pytest
from schemas import (
    CORPUS,
    EXAMPLES,
    document,
    read_json,
    validator,
    validator_of,
)

from scripts._document import examples, nodes
from scripts._editions import edition_codegen
from scripts._examples import invalid_examples

COMPONENTS = {
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


def cases(name: str) -> list[Any]:
    found = read_json(CORPUS / "contract" / f"{name}.json")
    return [pytest.param(case["component"], case["value"], id=case["why"]) for case in found]


def events(name: str) -> list[str]:
    lines = (EXAMPLES / name).read_text("utf-8").splitlines()
    return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_example_is_valid_data_of_its_component(name: str) -> None:
    """The schema of the component accepts it."""
    names = COMPONENTS[name]
    if name.endswith(".json"):
        (component,) = names
        validator(component).validate(read_json(EXAMPLES / name))
        return
    data = [event if event == "[DONE]" else json.loads(event) for event in events(name)]
    assert data
    assert all(any(validator(component).is_valid(one) for component in names) for one in data)
    assert all(any(validator(component).is_valid(one) for one in data) for component in names)


@pytest.mark.parametrize(
    ("example", "page"), [("chat-request-full", "chat-request"), ("agent-full", "duplicate-response")]
)
def test_the_full_examples_equal_the_vendors_pages(example: str, page: str) -> None:
    """They have the same keys and values."""
    assert read_json(EXAMPLES / f"{example}.json") == read_json(CORPUS / "pages" / f"{page}.json")


def test_the_example_files_equal_the_examples_of_the_contract() -> None:
    """Every example has a unique name and is a file in tests/corpus/examples."""
    found = [(name, value) for _, name, value in examples(document())]
    files = {path.stem: path for path in EXAMPLES.iterdir()}
    assert sorted(files) == sorted(name for name, _ in found)
    assert {path.name for path in files.values()} == set(COMPONENTS)
    for name, value in found:
        text = files[name].read_text("utf-8")
        assert (text if isinstance(value, str) else json.loads(text)) == value


def test_every_body_has_an_example() -> None:
    """This includes request bodies and response bodies."""
    contents = [node for path, node in nodes(document(), "") if ".content." in path and "schema" in node]
    assert len(contents) >= 15
    assert all(content["examples"] for content in contents)


def test_every_example_is_valid() -> None:
    """Fields, parameters, bodies and the events of streams have examples that match their schema."""
    assert list(invalid_examples(document())) == []


@pytest.mark.parametrize("name", [name for name in COMPONENTS if name.endswith(".json")])
def test_the_edition_for_code_generators_accepts_the_same_examples(name: str) -> None:
    """Exactly one form of each union matches, because `oneOf` is stricter than `anyOf`."""
    edition = edition_codegen(document())
    (component,) = COMPONENTS[name]
    validator_of({"$ref": f"#/components/schemas/{component}"}, edition).validate(read_json(EXAMPLES / name))


@pytest.mark.parametrize(("component", "value"), cases("accepted"))
def test_unusual_but_valid_data_is_accepted(component: str, value: Any) -> None:
    """The data has a known form, or one that clients have to accept."""
    validator(component).validate(value)


@pytest.mark.parametrize(("component", "value"), cases("refused"))
def test_invalid_data_is_refused(component: str, value: Any) -> None:
    """The service refuses such requests and never sends such responses."""
    assert not validator(component).is_valid(value)
