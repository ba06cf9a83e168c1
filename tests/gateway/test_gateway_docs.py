"""The gateway's code in the guide, its README and the recipes; scripts/try_tools runs the other tools."""

from __future__ import annotations

import asyncio
import re
from inspect import signature
from typing import Any

import httpx
import pytest
import yaml
from gateway_server import HELLO, gateway
from paths import ROOT

from millis_wrapper.gateway.__main__ import serve_gateway
from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis

GUIDE = (ROOT / "millis_wrapper" / "README.md").read_text("utf-8")
RECIPE = (ROOT / "tests" / "recipes" / "promptfoo.yaml").read_text("utf-8")
DEFAULTS = {name: parameter.default for name, parameter in signature(serve_gateway).parameters.items()}
ADDRESS = f"http://{DEFAULTS['host']}:{DEFAULTS['port']}"


def test_the_guides_block_for_the_openai_sdk_runs(
    millis_mock: MockMillis, capsys: pytest.CaptureFixture[str]
) -> None:
    """The block prints the agent's reply."""
    blocks = re.findall(r"^```py\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    [block] = [block for block in blocks if "from openai import" in block]
    millis_mock.reply_with(["We have ", "a table."])
    with gateway(millis_mock.url) as url:
        assert ADDRESS in block
        exec(compile(block.replace(ADDRESS, url), "guide", "exec"), {})
    assert capsys.readouterr().out == "We have a table."


def test_the_readmes_block_mounts_the_gateway(
    millis_mock: MockMillis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mounted gateway accepts requests below its path that carry its key."""
    monkeypatch.setenv("MILLIS_API_KEY", "any-key")
    monkeypatch.setenv("MILLIS_BASE_URL", millis_mock.url)
    page = (ROOT / "millis_wrapper" / "gateway" / "README.md").read_text("utf-8")
    [block] = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(block, "README", "exec"), names)

    async def reply() -> str:
        async with (
            names["client"],
            httpx.AsyncClient(transport=httpx.ASGITransport(names["server"])) as client,
        ):
            client.headers["authorization"] = "Bearer open-sesame"
            body = {"model": "support", "messages": HELLO}
            response = await client.post("https://your.host/millis/v1/chat/completions", json=body)
        text: str = response.json()["choices"][0]["message"]["content"]
        return text

    assert asyncio.run(reply()) == "Hello"


def test_the_promptfoo_recipe_points_to_the_gateway() -> None:
    """It has two assertions on one question, a conversation of two turns, and the default address."""
    recipe: Any = yaml.safe_load(RECIPE)
    [provider] = recipe["providers"]
    assert provider["id"] == f"openai:chat:{DEFAULT_AGENT_ID}"
    assert provider["config"]["apiBaseUrl"] == f"{ADDRESS}/v1"
    first, *turns = recipe["tests"]
    assert len(first["assert"]) == 2
    assert len({turn["metadata"]["conversationId"] for turn in turns}) == 1
    assert len(turns) == 2
    assert "_conversation" in recipe["prompts"][0]


def test_the_recipe_names_the_promptfoo_version_of_try_tools() -> None:
    """scripts/try_tools runs the documented version at the documented address."""
    from scripts import _try_gateway

    assert f"npx {_try_gateway.PROMPTFOO} eval" in RECIPE
    assert _try_gateway.ADDRESS == ADDRESS
