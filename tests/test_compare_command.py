"""The output, the messages and the exit status of scripts/compare."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from compare_runs import PUBLISHED, SMALL, compare, small, without
from schemas import ROOT

from scripts import _compare

pytestmark = pytest.mark.untraced


def test_a_byte_order_mark_is_not_part_of_the_file() -> None:
    """Windows tools write a byte order mark, which is ignored."""
    assert compare("\ufeff" + json.dumps(small()))[0] == 0


def test_json_output_has_the_same_differences() -> None:
    """With --json, every difference is an object with unescaped values."""
    status, out, _ = compare(SMALL / "changed.yaml", "--json")
    found = json.loads(out)
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


def test_a_known_difference_is_shown_with_its_reason_and_does_not_count(tmp_path: Path) -> None:
    """A listed difference has to match exactly; a listed difference that no longer exists is stale."""
    shutil.copy(SMALL / "millis.yaml", tmp_path)
    lines = ["request.path.1: type: string -> integer", "response.404: added: nothing -> response"]
    entries = [{"reason": "the service is wrong", "lines": "\n".join(lines)}]
    (tmp_path / "differences.yaml").write_text(json.dumps(entries), "utf-8")
    other = small()
    duplicate = other["paths"]["/agents/{agent_id}/duplicate"]["post"]
    duplicate["parameters"][0]["schema"]["type"] = "integer"
    status, out, _ = compare(other, openapi=tmp_path)
    assert (status, out.splitlines()) == (
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
    status, out, _ = compare(other, openapi=tmp_path)
    assert (status, out.splitlines()[-1]) == (1, "differences: 1; known: 0; stale: 2")


def with_agent_schema(schema: Any, **components: Any) -> Any:
    other = small()
    other["components"]["schemas"] |= {"ChatRequest": schema, **components}
    return other


MANY = {
    f"A{number}": {"allOf": [{"$ref": f"#/components/schemas/A{number + 1}"}] * 2} for number in range(40)
}


@pytest.mark.parametrize(
    ("file", "key_word"),
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
def test_an_invalid_file_is_reported_in_one_line(file: Any, key_word: str) -> None:
    """The status is 2, and the line names the file and the mistake."""
    status, out, error = compare(file)
    assert (status, out) == (2, "")
    assert key_word in error
    assert error.startswith("scripts/compare: ")
    assert error.count("\n") == 1
    assert "\x1b" not in error


@pytest.mark.parametrize(
    ("name", "content", "key_word"),
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
    name: str, content: str, key_word: str, tmp_path: Path
) -> None:
    """The contract and the list of known differences have their own messages."""
    for file in ("differences.yaml", "millis.yaml"):
        shutil.copy(SMALL / file, tmp_path)
    (tmp_path / name).write_text(content, "utf-8")
    status, out, error = compare(SMALL / "changed.yaml", openapi=tmp_path)
    assert (status, out, error.count("\n")) == (2, "", 1)
    assert error.startswith(f"scripts/compare: {tmp_path / name}: ")
    assert key_word in error


def test_control_characters_of_the_file_are_escaped() -> None:
    """Keys, constants, defaults and values cannot change the terminal."""
    control = "\x1b[2J\n\x9b\u202e"
    other = small()
    schemas = other["components"]["schemas"]
    schemas["Voice"]["properties"][control] = {"type": control, "default": control}
    schemas["User"]["properties"]["role"]["const"] = control
    schemas["ChatRequest"]["properties"]["end_of_session"]["default"] = control
    schemas["Copy"]["properties"]["id"] = {"type": control, "enum": [control]}
    other["paths"]["/chat/completions"]["post"]["responses"] |= {
        control: {},
        "201": {"content": {control: {}}},
    }
    _, out, _ = compare(other)
    lines = out.splitlines()
    assert not set(out) & set("\x1b\x9b\u202e")
    assert all(line.startswith(("  ", "POST ", "differences")) for line in lines), lines


def test_the_command_runs_from_any_folder() -> None:
    """`scripts/compare` finds its own checkout."""
    done = subprocess.run(
        [ROOT / "scripts" / "compare", PUBLISHED, "--json"], cwd="/", capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["differences"]
