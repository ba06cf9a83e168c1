"""Read the contract, alone in a folder, with tools for other languages; a part of `scripts/try_tools`.

Spectral, Redocly    report nothing with their default rules
express-openapi-validator
                     accepts every message form, every example and the mock's responses
Postman, ReadMe      send an example as the body, and show the stream's example as text
openapi-generator    generates Go, Rust and Swift clients in which every message form can be sent
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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

Run = Callable[..., str]
"""Runs a command in a folder, returns its output, and raises if it fails."""

CALL = {"id": "call_1", "type": "function", "function": {"name": "check_room", "arguments": "{}"}}
MESSAGES: tuple[dict[str, Any], ...] = (
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Good evening."},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "assistant", "content": "Yes.", "tool_calls": None},
    {"role": "tool", "content": "yes", "tool_call_id": "call_1"},
)
DELAYS: tuple[Any, ...] = (400, {"generic_delay": 400}, None)


def wrong_with_linters(folder: Path, run: Run) -> list[str]:
    """Lint the contract with the default rules of Spectral and Redocly, and return their findings."""
    alone = copy_alone(folder)
    (alone / ".spectral.yaml").write_text('extends: ["spectral:oas"]\n')
    run(alone, "npx", "--yes", SPECTRAL, "lint", "--fail-severity=hint", "millis.yaml")
    report = run(alone, "npx", "--yes", REDOCLY, "lint", "--format=json", "millis.yaml")
    problems = json.loads(report[report.index("{") :])["problems"]
    # Redocly does not look into x-event-stream, which refers to the schemas of the stream.
    return [problem["message"] for problem in problems if problem["ruleId"] != "no-unused-components"]


def wrong_with_node_tools(folder: Path, run: Run) -> list[str]:
    """Return the mistakes of a validating Express app, Postman's converter and ReadMe's parser."""
    alone = copy_alone(folder)
    stream = (EXAMPLES / "stream.txt").read_text("utf-8")
    agent = json.loads((EXAMPLES / "agent-full.json").read_text("utf-8"))
    cases = list(requests())
    given = {"requests": [case[:2] for case in cases], "stream": stream, "agent": agent}
    (folder / "requests.json").write_text(json.dumps(given))
    shutil.copy(Path(__file__).with_suffix(".mjs"), folder)
    seen = json.loads(run(folder, "node", "_try_contract.mjs", "requests.json", alone / "millis.yaml"))
    wrong = [
        f"Express responds {status} to {path} {json.dumps(body)}: {text}"
        for (path, body, expected), (status, text) in zip(cases, seen["responses"], strict=True)
        if status != expected
    ]
    first = json.loads((EXAMPLES / "chat-request-minimal.json").read_text("utf-8"))
    bodies = [body and json.loads(body) for body in seen["postman"]]
    if bodies != [first, None]:
        wrong.append(f"Postman sends {bodies}")
    if seen["example"] != stream:
        wrong.append(f"ReadMe shows {seen['example']!r} as the stream")
    return wrong


def requests() -> Iterator[tuple[str, Any, int]]:
    """Yield the path and the body of a request, and the expected status."""
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


# By generator and file: patterns that the generated types have to match. Where a form is lost, the type is a
# struct with the fields of all forms, and none of these patterns matches.
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


def wrong_with_code_generators(folder: Path, run: Run, generator: Path) -> list[str]:
    """Generate Go, Rust and Swift clients with default options, and return the wrong types."""
    wrong: list[str] = []
    for language, types in TYPES.items():
        run(folder, generator, "generate", "-i", CODEGEN, "-g", language, "-o", language)
        sources = {
            file.relative_to(folder / language).as_posix(): file.read_text("utf-8")
            for file in (folder / language).rglob("*")
            if file.suffix in (".go", ".rs", ".swift")
        }
        for name, patterns in types.items():
            [text] = [text for path, text in sources.items() if path == name or path.endswith(f"/{name}")]
            wrong += [
                f"{language}: {name} lacks {pattern}" for pattern in patterns if not re.search(pattern, text)
            ]
    declared = re.findall(r"^\t(\w+) \w+ = \"", "".join(read_go(folder / "go")), re.MULTILINE)
    wrong += [f"go: {name} is declared twice" for name in {*declared} if declared.count(name) > 1]
    return wrong


def read_go(folder: Path) -> Iterator[str]:
    for file in sorted(folder.glob("*.go")):
        yield file.read_text("utf-8")
