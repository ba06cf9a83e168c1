"""Parse and dump of the full config, beside pydantic with a model of the same shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydantic
from millis_api.models import AgentConfig

from millis_wrapper._json import is_array, is_object

from .measure import Ratio, compare

EXAMPLE = Path(__file__).parent.parent.parent / "openapi" / "examples" / "agent-full.json"
TIMES = 200


def run(rounds: int) -> list[Ratio]:
    config: dict[str, Any] = json.loads(EXAMPLE.read_text())["config"]
    model = _pydantic_model("AgentConfig", config)

    def ours() -> None:
        for _ in range(TIMES):
            assert AgentConfig.from_dict(config).to_dict()

    def theirs() -> None:
        for _ in range(TIMES):
            assert model.model_validate(config).model_dump(exclude_unset=True)

    return [
        compare(
            "parse and dump of the full config: millis_api over pydantic",
            ours,
            "pydantic",
            theirs,
            rounds=rounds,
        )
    ]


def _pydantic_model(name: str, example: dict[str, Any]) -> type[pydantic.BaseModel]:
    """A model whose fields are those of the example, all optional, unknown keys kept: what the generated
    one promises.
    """
    fields: dict[str, Any] = {
        key: (_type(f"{name}_{key}", value) | None, None) for key, value in example.items()
    }
    make: Callable[..., type[pydantic.BaseModel]] = pydantic.create_model
    return make(name, __config__=pydantic.ConfigDict(extra="allow"), **fields)


def _type(name: str, value: Any) -> Any:
    if is_object(value):
        return _pydantic_model(name, value) if value else dict[str, Any]
    if is_array(value):
        generic: Any = list
        return generic[_type(name, value[0]) if value else Any]
    kind: Any = value.__class__
    return kind
