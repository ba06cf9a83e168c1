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


def test_all_is_what_is_exported() -> None:
    """Each public name can be had, and type checkers are shown exactly the names of `__all__`."""
    for name in millis_wrapper.__all__:
        assert getattr(millis_wrapper, name) is not None
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    shown = {
        alias.asname
        for block in tree.body
        if isinstance(block, ast.If)
        for line in block.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
        if alias.name != "*"
    }
    assert shown == set(millis_wrapper.__all__)
    assert millis_wrapper.__all__ == sorted(millis_wrapper.__all__)


def test_names_lead_to_the_module_that_type_checkers_are_shown() -> None:
    """What a name is at run time is what it is to a type checker."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    for line in ast.walk(tree):
        if isinstance(line, ast.ImportFrom) and line.level == 1:
            for alias in line.names:
                value = getattr(millis_wrapper, alias.name)
                if isinstance(value, type):
                    assert value.__module__ == f"millis_wrapper.{line.module}"


def test_a_dict_type_of_each_model_is_exported() -> None:
    """Plain dicts can be annotated with what the contract says, at run time too."""
    for name in dicts.__all__:
        assert getattr(millis_wrapper, name) is getattr(models, name)
    assert {f"{name}Dict" for name in models.__all__ if hasattr(getattr(models, name), "to_dict")} == set(
        dicts.__all__
    )
    with pytest.raises(AttributeError):
        _ = millis_wrapper.NoSuchDict  # type: ignore


def test_dir_and_star_import_give_the_public_names() -> None:
    """`dir()` lists what is there before it is loaded, and `import *` loads it."""
    namespace: dict[str, object] = {}
    exec("from millis_wrapper import *", namespace)
    assert set(millis_wrapper.__all__) <= set(dir(millis_wrapper))
    assert set(millis_wrapper.__all__) <= set(namespace)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails as it does on any module."""
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
def test_an_import_loads_only_what_it_needs(statement: str, absent: tuple[str, ...]) -> None:
    """Start-up pays for nothing that is not used yet."""
    code = f"import sys; {statement}; print([name for name in {absent!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_each_error_class_is_exported() -> None:
    """Every exception and warning of `errors` can be imported from the package."""
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
