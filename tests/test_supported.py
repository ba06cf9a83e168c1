"""scripts/regenerate rejects a contract for which it would write wrong code or an incomplete page."""

from __future__ import annotations

import json
from typing import Any

import pytest
from schemas import CORPUS, changed_contract, document, put, read_json

from scripts import _supported

pytestmark = pytest.mark.untraced

VOICE = "components schemas Voice properties"
ACCENT = f"{VOICE} accent"
SPOKEN = "components.schemas.Voice.properties.accent"
MODEL_PATH = "components.schemas.Voice.properties.model"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (ACCENT, {"type": "object"}, f"{SPOKEN}: an object needs its own component"),
        (ACCENT, {"type": ["object", "null"]}, f"{SPOKEN}: an object needs its own component"),
        (
            "paths /chat/completions post parameters",
            [{"$ref": "#/components/parameters/Region"}],
            "paths./chat/completions.post.parameters[0]: #/components/parameters/Region does not exist",
        ),
        ("paths /chat/completions post responses", 1, "paths./chat/completions.post"),
        ("info", {}, "info: not valid OpenAPI 3.1: "),
        (
            ACCENT,
            {"anyOf": [{"properties": {"a": {"type": "object"}}}, {"type": "null"}]},
            f"{SPOKEN}.anyOf[0].properties.a: an object needs its own component; move it to",
        ),
        (
            ACCENT,
            {"type": "array", "items": {"type": "object"}},
            f"{SPOKEN}.items: an object needs its own component",
        ),
        (
            ACCENT,
            {"type": "string", "enum": ["a"]},
            f"{SPOKEN}: a value set needs its own component (Known",
        ),
        (ACCENT, {"allOf": [{"type": "string"}]}, f"{SPOKEN}: allOf is not supported; list all fields"),
        (ACCENT, {"type": "string", "format": "date-time"}, f"{SPOKEN}: format date-time is not supported"),
        (
            ACCENT,
            {"$ref": "#/components/schemas/Voise"},
            f"{SPOKEN}: #/components/schemas/Voise does not exist",
        ),
        (ACCENT, {"$ref": "other.yaml#/Voice"}, f"{SPOKEN}: a reference must stay in this file"),
        (
            f"{VOICE} model x-orgin",
            ["inferred"],
            f"{MODEL_PATH}: x-orgin is not a known extension; did you mean x-origin?",
        ),
        (
            "paths /chat/completions post x-zzz",
            1,
            "paths./chat/completions.post: x-zzz is not a known extension; list it in x-extensions",
        ),
        (
            "paths /chat/completions post requestBody content text/plain",
            {"schema": {"type": "string"}},
            "paths./chat/completions.post.requestBody: several media types are not supported; keep one",
        ),
        (
            "paths /chat/completions post responses 418",
            {
                "description": "x",
                "content": {"application/json": {"schema": {"type": "object", "properties": {}}}},
            },
            "paths./chat/completions.post.responses.418.content.application/json.schema: an object needs",
        ),
    ],
)
def test_the_message_for_an_unsupported_construct_names_the_place_and_the_fix(
    path: str, value: Any, message: str
) -> None:
    """A valid contract that would give wrong code or a wrong page is rejected in one line."""
    found = _supported.problems(changed_contract(path, value))
    assert len(found) <= 2  # an object in an object is two
    assert any(line.startswith(message) for line in found), found


REFUSED = read_json(CORPUS / "contract" / "refused_changes.json")


@pytest.mark.parametrize("case", REFUSED, ids=[case["change"] for case in REFUSED])
def test_a_change_that_would_give_wrong_code_or_an_incomplete_page_is_rejected(
    case: dict[str, Any],
) -> None:
    """Each change in refused_changes.json is rejected in one to three lines that name the place."""
    found = _supported.problems(changed_contract(case["at"], case["value"]))
    assert 1 <= len(found) <= 3
    assert any(case["message"] in line for line in found), found
    assert all(len(line) < 240 and line.isprintable() for line in found)


def test_renaming_a_component_that_the_wrapper_uses_is_rejected() -> None:
    """The contract would be valid, but the wrapper could not read it."""
    renamed = json.loads(json.dumps(document()).replace('schemas/AgentConfig"', 'schemas/BotConfig"'))
    config = renamed["components"]["schemas"].pop("AgentConfig")
    renamed["components"]["schemas"]["BotConfig"] = config | {"title": "BotConfig"}
    [line] = _supported.problems(renamed)
    assert "AgentConfig is missing" in line


def test_names_may_begin_with_x_dash() -> None:
    """Keys of the service, headers and statuses may have any name."""
    contract = changed_contract(f"{VOICE} x-name", {"type": "string"})
    put(contract, "components responses TooManyRequests headers x-limit", {"schema": {"type": "string"}})
    put(contract, f"{VOICE} value", {"type": "string"})
    assert _supported.problems(contract) == []
    put(contract, f"{VOICE} value", {"type": "object"})
    assert len(_supported.problems(contract)) == 1


def test_properties_may_be_named_like_openapi_keywords() -> None:
    """A property named `example` is not an example of a property named `schema`."""
    contract = changed_contract(f"{VOICE} schema", {"type": "string"})
    for name in ("example", "examples", "content"):
        put(contract, f"{VOICE} {name}", {"type": "integer"})
    assert _supported.problems(contract) == []
