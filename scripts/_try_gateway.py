"""Use agents from evaluation tools through the gateway, for `scripts/try_tools`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from millis_wrapper.mock import MockMillis
from scripts._try_run import run

ROOT = Path(__file__).resolve().parent.parent
RECIPE = ROOT / "tests" / "recipes" / "promptfoo.yaml"
GUIDE = ROOT / "millis_wrapper" / "README.md"
ADDRESS = "http://127.0.0.1:8788"  # in the recipe and in the guide
PROMPTFOO = "promptfoo@0.121.20"
PYTHON_TOOLS = ("langchain-openai==1.7.4", "deepeval==4.3.1")


def promptfoo(folder: Path) -> Iterable[str]:
    """Run the recipe in promptfoo: its tests pass, and its conversation reaches the service."""
    home = folder / "promptfoo"
    home.mkdir()
    (home / "package.json").write_text(json.dumps({"private": True}))
    run(home, "npm", "install", "--loglevel=error", PROMPTFOO)
    with MockMillis() as mock, gateway(mock.url) as url:
        (home / "recipe.yaml").write_text(RECIPE.read_text("utf-8").replace(ADDRESS, url))
        offline = ("env", "PROMPTFOO_DISABLE_TELEMETRY=1", "PROMPTFOO_DISABLE_UPDATE=1")
        command = ("npx", "promptfoo", "eval", "-c", "recipe.yaml", "--no-cache", "-o", "results.json")
        run(home, *offline, f"PROMPTFOO_CONFIG_DIR={home}", *command)
        histories = [request.body["messages"] for request in mock.requests]
    stats = json.loads((home / "results.json").read_text("utf-8"))["results"]["stats"]
    counts = {name: stats[name] for name in ("successes", "failures", "errors")}
    if counts != {"successes": 3, "failures": 0, "errors": 0}:
        yield f"promptfoo counts {counts} instead of 3 successes"
    # Two tests are first turns; the third also sends the turn before it.
    if sorted(map(len, histories)) != [1, 1, 3]:
        yield f"the service received these histories: {histories}"


def python_tools(folder: Path) -> Iterable[str]:
    """Run the guide's code for LangChain and deepeval in a separate environment."""
    run(folder, sys.executable, "-m", "venv", "tools")
    run(folder, "tools/bin/python", "-m", "pip", "install", "--quiet", *PYTHON_TOOLS)
    blocks = re.findall(r"^```py\n(.*?)^```", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    for name in ("langchain_openai", "deepeval"):
        [block] = [block for block in blocks if f"from {name}" in block]
        with MockMillis() as mock, gateway(mock.url) as url:
            mock.reply_with("We have a table at seven.")
            program = block.replace(ADDRESS, url)
            printed = run(folder, "env", "DEEPEVAL_TELEMETRY_OPT_OUT=1", "tools/bin/python", "-c", program)
            if not mock.requests or "table at seven" not in printed:
                yield f"{name} printed {printed!r} instead of the agent's reply"


@contextmanager
def gateway(service: str) -> Generator[str]:
    """Run the gateway's command in front of `service` and yield its address."""
    environment = {**os.environ, "MILLIS_API_KEY": "any-key", "MILLIS_BASE_URL": service}
    environment.pop("MILLIS_GATEWAY_KEY", None)
    command = [sys.executable, "-m", "millis_wrapper.gateway", "--port", "0"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            found = re.search(r"(http://[\d.:]+)/v1", process.stderr.readline())
            if found is None:
                raise RuntimeError("the gateway did not start")
            yield found[1]
        finally:
            process.terminate()
