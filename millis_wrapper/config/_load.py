"""Load a config from a JSON or YAML file, and report errors with their line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import IO, Any, TypeAlias

import attrs

from millis_wrapper._json import is_array, is_object
from millis_wrapper._text import short_repr
from millis_wrapper.errors import ConfigurationError, missing_extra
from millis_wrapper.request import is_duplicate_response

from ._data import copy_as_json, describe_type
from ._finding import Finding
from ._json_text import ParseError, json_lines, parse_json

Source: TypeAlias = str | os.PathLike[str] | IO[str] | IO[bytes]

_NOT_UTF8 = "is not UTF-8 text; save it as UTF-8"


def load_config(source: Source) -> dict[str, Any]:
    """Load an agent's config from a JSON or YAML file.

    The format depends on the file name: .json is JSON, .yaml and .yml are YAML. Any other file is parsed as
    JSON if it begins with `{` or `[`, and as YAML otherwise. In YAML, unquoted text stays text unless it is
    true, false, null or a JSON number.

    If the file contains a complete duplicate response, its `config` is returned.

    Args:
        source: The path of the file, or an open file of text or UTF-8 bytes.

    Raises:
        ConfigurationError: The file is missing or malformed, is not an object, or has a duplicate key; or
            YAML cannot be parsed without PyYAML (extra `contract`). The message names the file and the line.
    """
    return read_config_file(source).config


@attrs.frozen
class ConfigFile:
    """A config and the text from which it was parsed."""

    config: dict[str, Any]
    _text: str
    _is_json: bool
    _root: str

    def with_lines(self, found: Iterable[Finding]) -> list[Finding]:
        """Return the findings with the line of their value, or of the closest object that contains it."""
        lines: dict[str, int] | None = None
        placed: list[Finding] = []
        for finding in found:
            lines = self._lines() if lines is None else lines
            placed.append(attrs.evolve(finding, line=_line(lines, self._root, finding.path)))
        return placed

    def _lines(self) -> dict[str, int]:
        if self._is_json:
            return json_lines(self._text)
        from ._yaml_text import yaml_lines

        return yaml_lines(self._text)


def read_config_file(source: Source) -> ConfigFile:
    """Load a config like `load_config`, and keep its text for the lines of findings.

    Raises:
        ConfigurationError: See `load_config`.
    """
    name, text = _read_source(source)
    is_json = _is_json(name, text)
    data, errors = copy_as_json(_parse(name, text, is_json))
    if errors:
        path = f"{errors[0].path}: " if errors[0].path else ""
        raise ConfigurationError(f"{name}: {path}{errors[0].message}")
    if not is_object(data):
        given = "an empty file" if data is None and not text.strip() else describe_type(data)
        raise ConfigurationError(f'{name}: must be an object such as {{"prompt": "Be kind."}}, got {given}')
    if is_duplicate_response(data):
        return ConfigFile(data["config"], text, is_json, "config")
    return ConfigFile(data, text, is_json, "")


def _line(lines: Mapping[str, int], root: str, path: str) -> int | None:
    if root:
        path = f"{root}{path}" if path.startswith("[") else f"{root}.{path}" if path else root
    ends = [len(path), *(end for end in reversed(range(len(path))) if path[end] in ".["), 0]
    return next((lines[path[:end]] for end in ends if path[:end] in lines), None)


def _is_json(name: str, text: str) -> bool:
    ending = os.path.splitext(name)[1].lower()
    return ending == ".json" or (ending not in (".yaml", ".yml") and text.lstrip().startswith(("{", "[")))


def load_list(source: Source, example: str) -> list[Any]:
    """Load a list from a JSON file; other packages use it for agents, replies and messages.

    Raises:
        ConfigurationError: The file is missing or malformed, or is not a list with at least one item. The
            message names the file and shows `example`.
    """
    name, text = _read_source(source)
    items = _parse(name, text, is_json=True)
    if not is_array(items) or not items:
        raise ConfigurationError(f"{name}: must contain a list such as {example}")
    return items


def _parse(name: str, text: str, is_json: bool) -> Any:
    try:
        if is_json:
            return parse_json(text) if text.strip() else None
        from ._yaml_text import parse_yaml

        return parse_yaml(text)
    except ImportError:
        raise ConfigurationError(f"{name}: {missing_extra('reading YAML', 'PyYAML', 'contract')}") from None
    except ParseError as error:
        place = name if error.line is None else f"{name}, line {error.line}"
        raise ConfigurationError(f"{place}: {error}") from None


def _read_source(source: Source) -> tuple[str, str]:
    """Return the name of the file for messages, and its text."""
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        try:
            with open(source, "rb") as file:
                content = file.read()
        except OSError as error:
            raise ConfigurationError(f"{name}: could not read the file: {error.strerror}") from None
        except ValueError:
            raise ConfigurationError(f"{short_repr(name, 300)} is not a valid file name") from None
        return name, _decode(name, content)
    if not hasattr(source, "read"):
        raise ConfigurationError(f"source: must be a path or an open file, got {describe_type(source)}")
    file_name: object = getattr(source, "name", None)
    name = file_name if isinstance(file_name, str) else "the config"
    try:
        data = source.read()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{name}: {_NOT_UTF8}") from None
    return name, _decode(name, data)


def _decode(name: str, data: str | bytes) -> str:
    if isinstance(data, str):
        return data.removeprefix("\ufeff")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{name}, line {line}: {_NOT_UTF8}") from None
