"""A config from a file: JSON or YAML, where nothing is lost, and each mistake is named with its line."""

from __future__ import annotations

import os
from typing import IO, Any, TypeAlias

from millis_wrapper._json import is_object
from millis_wrapper.errors import ConfigurationError, missing_extra
from millis_wrapper.request import is_duplicate_response

from ._data import kind_of, plain
from ._json_text import ParseError, read_json

Source: TypeAlias = str | os.PathLike[str] | IO[str] | IO[bytes]

_NO_TEXT = "is not UTF-8 text; save it as UTF-8"


def load_config(source: Source) -> dict[str, Any]:
    """Read an agent's config from a file of JSON or YAML.

    A file whose name ends in .json is read as JSON, in .yaml or .yml as YAML; any other is JSON if it begins
    with `{` or `[`. In YAML, only true, false, null and what JSON would read as a number are not text. The
    answer of `duplicate`, saved whole, is read too: you get the config in it.

    Args:
        source: the file's path, or an open file; text or bytes in UTF-8.

    Returns:
        The config.

    Raises:
        ConfigurationError: it cannot be read, is not an object, has a key twice in one object, or is YAML
            without PyYAML (extra `contract`). The message names the file and the line.
    """
    name, text = _read(source)
    try:
        data, odd = plain(_parsed(name, text))
    except ParseError as error:
        place = name if error.line is None else f"{name}, line {error.line}"
        raise ConfigurationError(f"{place}: {error}") from None
    if odd:
        raise ConfigurationError(f"{name}: {odd[0].path}{': ' if odd[0].path else ''}{odd[0].message}")
    if not is_object(data):
        what = "is empty" if data is None and not text.strip() else f"holds {kind_of(data)}"
        raise ConfigurationError(f'{name}: {what}; a config is an object, such as {{"prompt": "Be kind."}}')
    config: dict[str, Any] = data["config"] if is_duplicate_response(data) else data
    return config


def _parsed(name: str, text: str) -> Any:
    ending = os.path.splitext(name)[1].lower()
    if ending == ".json" or (ending not in (".yaml", ".yml") and text.lstrip().startswith(("{", "["))):
        return read_json(text) if text.strip() else None
    try:
        from ._yaml_text import read_yaml
    except ImportError:
        raise ParseError(str(missing_extra("reading YAML", "PyYAML", "contract"))) from None
    return read_yaml(text)


def _read(source: Source) -> tuple[str, str]:
    """Return the name to call the file by, and its text."""
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        try:
            with open(source, "rb") as file:
                content = file.read()
        except OSError as error:
            raise ConfigurationError(f"{name}: cannot be read: {error.strerror}") from None
        except ValueError:
            raise ConfigurationError(f"{name!r}: no file has such a name") from None
        return name, _decoded(name, content)
    if not hasattr(source, "read"):
        raise ConfigurationError(f"load_config: pass a path or an open file, not {kind_of(source)}")
    given: object = getattr(source, "name", None)
    name = given if isinstance(given, str) else "the config"
    try:
        data = source.read()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{name}: {_NO_TEXT}") from None
    return name, _decoded(name, data)


def _decoded(name: str, data: str | bytes) -> str:
    if isinstance(data, str):
        return data.removeprefix("\ufeff")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{name}, line {line}: {_NO_TEXT}") from None
