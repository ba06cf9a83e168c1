"""Use the page of tests/recipes/relay.py in a real browser, for `scripts/try_tools`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis

RECIPES = Path(__file__).resolve().parent.parent / "tests" / "recipes"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def browser(folder: Path) -> list[str]:
    """Send, stream, stop and fail on the page, and return each difference from the expected texts.

    The node_modules of `folder` contain puppeteer-core.
    """
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        return [f"no browser on the PATH; install one of {', '.join(BROWSERS)}"]
    shutil.copy(Path(__file__).with_suffix(".mjs"), folder)
    with MockMillis() as mock, relay_in_front_of(mock) as url:
        command = ["node", "_try_relay.mjs", url, program]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        return [done.stdout + done.stderr]
    seen: dict[str, Any] = json.loads(done.stdout)
    counted = seen["stopped"][0]
    expected = {
        "errors": [],
        "reply": "You said: Hello",
        "stopped": [counted if 2 < len(counted.split()) < 100 else "the start of the count", "Stopped."],
        # When the browser leaves, the server cancels the reply. The moment of the cancel decides whether the
        # history keeps that turn: 5 messages with it, 3 without it.
        "history": seen["history"] if seen["history"] in ("3 messages", "5 messages") else "3 or 5 messages",
        "broken": ["Good ", "The reply is incomplete."],
        "refused": "The agent cannot be reached.",
    }
    return [
        f"{key}: {seen[key]!r} instead of {wanted!r}"
        for key, wanted in expected.items()
        if seen[key] != wanted
    ]


@contextmanager
def relay_in_front_of(mock: MockMillis) -> Generator[str]:
    """Run the relay with `mock` as the service, and yield the address of its page."""

    def agent(body: dict[str, Any]) -> Any:
        messages = body["messages"]
        match messages[-1]["content"]:
            case "count without end":
                return [f"{number} " for number in range(1, 1000)]
            case "history":
                return f"{len(messages)} messages"
            case "break":
                return ["Good ", {"error": {"message": "the model failed"}}]
            case "refuse the next one":
                mock.fail_next(500)
                return "As you like."
            case text:
                return ["You said: ", text]

    mock.reply_with(agent)
    mock.pace = 0.02
    service = {"MILLIS_API_KEY": "any-key", "MILLIS_BASE_URL": mock.url, "MILLIS_AGENT_ID": DEFAULT_AGENT_ID}
    uvicorn = (sys.executable, "-m", "uvicorn", "--no-access-log", "--port", "0", "relay:app")
    with subprocess.Popen(
        uvicorn, cwd=RECIPES, env=os.environ | service, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stderr is not None
            started = next(line for line in server.stderr if "running on" in line)
            yield re.findall(r"http://\S+", started)[0]
        finally:
            server.terminate()
