"""Try the contract and the library with tools that the project does not use.

    linters               Spectral and Redocly with their default rules
    node_tools            express-openapi-validator, Postman and ReadMe: requests and examples
    openapi_generator     its Python client parses and writes each example
    code_generators       its Go, Rust and Swift clients can send every message form
    openapi_typescript, hey_api, orval
                          their output compiles under `tsc --strict`
    prism                 both endpoints work on the mock server that it creates from the contract
    browser               the page of the relay recipe sends, streams, stops and shows errors
    promptfoo             the recipe reaches an agent through the gateway
    python_tools          LangChain and deepeval do the same with the guide's code
    frozen                a program frozen with PyInstaller finds the contract and uses both endpoints
    faults                6,000 faulty and 8,000 canceled calls: none is sent twice or leaves anything behind

A full run needs Node, Chromium or Chrome, the package registries and 2 GB in
a temporary folder; Java comes with openapi-generator. It takes a few minutes. The exit status is 1 if a tool
fails.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from millis_wrapper import Millis
from scripts import _try_contract
from scripts._try_contract import CONTRACT, code_generators, linters, node_tools, openapi_generator
from scripts._try_faults import campaigns
from scripts._try_frozen import frozen
from scripts._try_gateway import promptfoo, python_tools
from scripts._try_pools import canceled_calls, threads_behind_a_dead_proxy
from scripts._try_relay import browser
from scripts._try_run import ToolError, run

NPM = (
    *("openapi-typescript@7.13.0", "@hey-api/openapi-ts@0.99.0", "orval@7.13.2", "typescript@5.9.3"),
    *("@stoplight/prism-cli@5.16.0", "@types/node@20", "puppeteer-core@24.43.1"),
    *_try_contract.NPM,
)
TSC = ("npx", "tsc", "--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "esnext")
TSC_LIBRARIES = ("--moduleResolution", "bundler", "--lib", "es2022,dom,dom.iterable")


def openapi_typescript(folder: Path) -> Iterable[str]:
    """Compile the types that openapi-typescript generates from the contract alone."""
    run(
        folder,
        "npx",
        "openapi-typescript",
        _try_contract.copy_alone(folder) / "millis.yaml",
        "-o",
        "openapi.ts",
    )
    return _compile(folder, "openapi.ts")


def hey_api(folder: Path) -> Iterable[str]:
    """Compile the client that hey-api generates."""
    run(folder, "npx", "openapi-ts", "-i", CONTRACT, "-o", "hey")
    return _compile(folder, "hey/index.ts")


def orval(folder: Path) -> Iterable[str]:
    """Compile the client that orval generates."""
    run(folder, "npx", "orval", "--input", CONTRACT, "--output", "orval.ts", "--client", "fetch")
    return _compile(folder, "orval.ts")


def _compile(folder: Path, file: str) -> Iterable[str]:
    run(folder, *TSC, *TSC_LIBRARIES, file)
    return ()


def prism(folder: Path) -> Iterable[str]:
    """Use both endpoints of the client on Prism's mock server."""
    with _prism_mock(folder) as url, Millis("k" * 32, base_url=url, max_retries=0) as client:
        reply = client.chat.send("Hello", agent_id="-OabCdEfGhIjKlMnOpQr")
        # Prism has only this example for the stream.
        if (reply.text, reply.ended) != ("Until eleven.", "done"):
            yield f"chat returned {reply!r}"
        copy = client.agents.duplicate("-OabCdEfGhIjKlMnOpQr")
        if copy.config is None or not copy.id.startswith("-"):
            yield f"duplicate returned {copy!r}"


@contextmanager
def _prism_mock(folder: Path) -> Generator[str]:
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


def faults(_: Path) -> Iterable[str]:
    """Make random calls that fail or are canceled, on each kind of client."""
    yield from campaigns(2000)
    yield from threads_behind_a_dead_proxy(16, 240)
    yield from canceled_calls(None, 4000)
    yield from canceled_calls("aiohttp", 4000)


# A tool gets a temporary folder, and returns the problems that it finds.
TOOLS: dict[str, Callable[[Path], Iterable[str]]] = {
    tool.__name__: tool
    for tool in (
        *(linters, node_tools, openapi_generator, code_generators, openapi_typescript, hey_api, orval, prism),
        *(browser, promptfoo, python_tools, frozen, faults),
    )
}
WITHOUT_NODE = {"frozen", "faults", "python_tools"}


def main() -> int:
    """Run the tools that the arguments name, or all; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/try_tools", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tools", nargs="*", metavar="TOOL", help="tools to try (default: all)")
    names = parser.parse_args().tools or [*TOOLS]
    if unknown := [name for name in names if name not in TOOLS]:
        parser.error(f"unknown tool {', '.join(unknown)}; choose from {', '.join(TOOLS)}")
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "package.json").write_text(json.dumps({"private": True, "type": "module"}))
        if not {*names} <= WITHOUT_NODE:
            run(folder, "npm", "install", "--loglevel=error", *NPM)
        for name in names:
            try:
                problems = [*TOOLS[name](folder)]
            except ToolError as error:
                problems = [str(error)]
            print(f"{name}: {'FAILED' if problems else 'passed'}", *problems[:50], sep="\n", flush=True)
            failed = failed or bool(problems)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
