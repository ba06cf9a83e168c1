from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import millis_wrapper

ROOMS = Path(millis_wrapper.__file__).parent


def test_all_is_what_is_exported() -> None:
    """Each public name can be had, and type checkers are shown exactly the names of `__all__`."""
    for name in millis_wrapper.__all__:
        assert getattr(millis_wrapper, name) is not None
    tree = ast.parse((ROOMS / "__init__.py").read_text())
    shown = {
        alias.asname
        for block in tree.body
        if isinstance(block, ast.If)
        for line in block.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    }
    assert shown == set(millis_wrapper.__all__)
    assert millis_wrapper.__all__ == sorted(millis_wrapper.__all__)


def test_names_lead_to_the_room_that_type_checkers_are_shown() -> None:
    """What a name is at run time is what it is to a type checker."""
    tree = ast.parse((ROOMS / "__init__.py").read_text())
    for line in ast.walk(tree):
        if isinstance(line, ast.ImportFrom) and line.level == 1:
            for alias in line.names:
                value = getattr(millis_wrapper, alias.name)
                assert (
                    getattr(value, "__module__", f"millis_wrapper.{line.module}")
                    == f"millis_wrapper.{line.module}"
                )


def test_dir_and_star_import_give_the_public_names() -> None:
    """`dir()` lists what is there before it is loaded, and `import *` loads it."""
    namespace: dict[str, object] = {}
    exec("from millis_wrapper import *", namespace)
    assert set(millis_wrapper.__all__) <= set(dir(millis_wrapper))
    assert set(millis_wrapper.__all__) <= set(namespace)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails as it does on any module."""
    with pytest.raises(AttributeError, match="no attribute 'Milis'"):
        _ = millis_wrapper.Milis


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import millis_wrapper", ("httpx", "attrs", "dateutil", "millis_api")),
        (
            "from millis_wrapper import Millis; Millis('key')",
            ("millis_api", "dateutil", "starlette", "jsonschema"),
        ),
        ("import millis_wrapper.testing", ("httpx", "starlette", "millis_api")),
    ],
)
def test_an_import_loads_only_what_it_needs(statement: str, absent: tuple[str, ...]) -> None:
    """Start-up pays for nothing that is not used yet."""
    code = f"import sys; {statement}; print([name for name in {absent!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


# What each file may import of its own package: what stands above it here (data flows one way, no circles).
LAYERS = [
    {"_version", "characters", "printable", "sse", "json_like", "json_text", "stdout", "wire_json"},
    {"keys"},
    {"contract", "chunk_data", "reply", "tool_calls", "yaml_text"},
    {"errors"},
    {"json_body", "timeouts", "retry", "settings", "validation"},
    {"status", "request"},
    {"agents", "chat", "config_data", "config_rules"},
    {"config_checks", "config_file"},
    {"config", "conversation"},
    {"_http"},
    {"_failures"},
    {"sender", "async_sender", "stream", "async_stream"},
    {"client", "async_client"},
    {"testing"},
]


def test_imports_go_one_way() -> None:
    """A room imports only rooms that lie below it; no circle can come about."""
    level = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}
    assert set(level) == {path.stem for path in ROOMS.glob("*.py")} - {"__init__"}
    for room in level:
        for node in _run_time_imports(ast.parse((ROOMS / f"{room}.py").read_text())):
            for imported in _own_rooms(node):
                assert level.get(imported, -1) < level[room], f"{room} imports {imported}"


def test_only_the_shells_know_httpx() -> None:
    """The cores do no I/O, so that sync and async can share them."""
    for path in ROOMS.glob("*.py"):
        if path.stem in {
            "client",
            "async_client",
            "sender",
            "async_sender",
            "stream",
            "async_stream",
            "_http",
            "_failures",
            "testing",
        }:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert "httpx" not in names, path.name


def _run_time_imports(tree: ast.AST) -> list[ast.ImportFrom]:
    found: list[ast.ImportFrom] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found.append(node)
        found += _run_time_imports(node)
    return found


def _own_rooms(node: ast.ImportFrom) -> list[str]:
    return [node.module.partition(".")[0]] if node.module else [alias.name for alias in node.names]
