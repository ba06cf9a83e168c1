"""Models that another generator makes of the contract. scripts/try_tools tries more, with Java and Node."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from schemas import EXAMPLES, ROOT, read_json

COMPONENTS = {
    "agent-": "DuplicateAgentResponse",
    "chat-request-": "ChatCompletionRequest",
    "error": "ErrorResponse",
    "validation-error": "HTTPValidationError",
}


@pytest.fixture(scope="module")
def pydantic_models(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """What datamodel-code-generator makes of the contract."""
    file = tmp_path_factory.mktemp("pydantic") / "contract_models.py"
    command = [str(Path(sys.executable).with_name("datamodel-codegen")), "--formatters", "builtin"]
    command += ["--input", str(ROOT / "openapi" / "millis.yaml"), "--input-file-type", "openapi"]
    command += ["--output-model-type", "pydantic_v2.BaseModel", "--output", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    spec = importlib.util.spec_from_file_location("contract_models", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["contract_models"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def through(module: ModuleType, component: str, value: Any) -> Any:
    return getattr(module, component).model_validate(value).model_dump(mode="json", exclude_unset=True)


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.json")), ids=lambda file: file.stem)
def test_pydantic_models_of_the_contract_read_and_write_each_example(
    file: Path, pydantic_models: ModuleType
) -> None:
    """No key and no value of an example is lost or refused by the models of datamodel-code-generator."""
    (component,) = [name for start, name in COMPONENTS.items() if file.name.startswith(start)]
    assert through(pydantic_models, component, read_json(file)) == read_json(file)


def test_pydantic_models_of_the_contract_keep_what_nobody_knows_yet(pydantic_models: ModuleType) -> None:
    """Unknown keys at every depth, and values outside the known sets, are kept."""
    copy = read_json(EXAMPLES / "agent-full.json")
    for holder in (copy, copy["config"], copy["config"]["flow"]["interruption"], copy["config"]["tools"][0]):
        holder["of_tomorrow"] = {"deep": [1, None]}
    copy["config"]["voice"]["provider"] = copy["config"]["llm"]["model"] = "of-tomorrow"
    assert through(pydantic_models, "DuplicateAgentResponse", copy) == copy
