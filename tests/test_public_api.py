from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from millis_api import dicts, models

import millis_wrapper
from millis_wrapper import errors

PACKAGE = Path(millis_wrapper.__file__).parent


def test_all_lists_every_exported_name() -> None:
    """The names in `__all__` exist, and type checkers see exactly these names."""
    for name in millis_wrapper.__all__:
        assert getattr(millis_wrapper, name) is not None
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    shown = {
        alias.name
        for block in tree.body
        if isinstance(block, ast.If)
        for line in block.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
        if alias.name != "*"
    }
    assert shown == set(millis_wrapper.__all__)
    assert millis_wrapper.__all__ == sorted(millis_wrapper.__all__)


def test_every_name_comes_from_the_module_that_type_checkers_see() -> None:
    """A class at run time is the class that a type checker sees."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    for line in ast.walk(tree):
        if isinstance(line, ast.ImportFrom) and line.level == 1:
            for alias in line.names:
                value = getattr(millis_wrapper, alias.name)
                if isinstance(value, type):
                    assert value.__module__ == f"millis_wrapper.{line.module}"


def test_the_package_exports_a_dict_type_for_every_model() -> None:
    """The dict types for annotations of plain dicts also exist at run time."""
    for name in dicts.__all__:
        assert getattr(millis_wrapper, name) is getattr(models, name)
    assert {f"{name}Dict" for name in models.__all__ if hasattr(getattr(models, name), "to_dict")} == set(
        dicts.__all__
    )
    with pytest.raises(AttributeError):
        _ = millis_wrapper.NoSuchDict  # type: ignore


def test_dir_and_star_import_include_every_public_name() -> None:
    """`dir()` lists names that are not loaded yet, and `import *` loads them."""
    namespace: dict[str, object] = {}
    exec("from millis_wrapper import *", namespace)
    assert set(millis_wrapper.__all__) <= set(dir(millis_wrapper))
    assert set(millis_wrapper.__all__) <= set(namespace)


def test_an_unknown_name_raises_attribute_error() -> None:
    """A misspelled name fails the same way as in any module."""
    with pytest.raises(AttributeError, match="no attribute 'Milis'"):
        _ = millis_wrapper.Milis  # type: ignore


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
def test_an_import_loads_only_the_modules_it_needs(statement: str, absent: tuple[str, ...]) -> None:
    """Programs do not pay at startup for modules that they do not use."""
    code = f"import sys; {statement}; print([name for name in {absent!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_every_error_class_is_exported() -> None:
    """The package exports the exceptions and warnings of `errors`."""
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type)
        and issubclass(value, Exception)
        and value.__module__ == errors.__name__
        and not name.startswith("_")
    }
    assert classes
    assert classes <= set(millis_wrapper.__all__)
