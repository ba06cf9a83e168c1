"""A config from a file: JSON or YAML, where nothing is lost, and each mistake is named with its line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import IO, Any, TypeAlias

import attrs

from millis_wrapper._json import is_object
from millis_wrapper.errors import ConfigurationError, missing_extra
from millis_wrapper.request import is_duplicate_response

from ._data import kind_of, plain
from ._finding import Finding
from ._json_text import ParseError, json_lines, read_json

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
    return read_config_file(source).config


@attrs.frozen
class ConfigFile:
    """A config, and the text that it was read from."""

    config: dict[str, Any]
    _text: str
    _is_json: bool
    _root: str

    def with_lines(self, found: Iterable[Finding]) -> list[Finding]:
        """Return the findings with their lines: that of the value, or of the nearest object around it."""
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
    """Read a config as `load_config` does, and keep its text for the lines of findings.

    Raises:
        ConfigurationError: See `load_config`.
    """
    name, text = _read(source)
    is_json = _is_json(name, text)
    try:
        data, odd = plain(_parsed(text, is_json))
    except ParseError as error:
        place = name if error.line is None else f"{name}, line {error.line}"
        raise ConfigurationError(f"{place}: {error}") from None
    if odd:
        raise ConfigurationError(f"{name}: {odd[0].path}{': ' if odd[0].path else ''}{odd[0].message}")
    if not is_object(data):
        what = "is empty" if data is None and not text.strip() else f"holds {kind_of(data)}"
        raise ConfigurationError(f'{name}: {what}; a config is an object, such as {{"prompt": "Be kind."}}')
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


def _parsed(text: str, is_json: bool) -> Any:
    if is_json:
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
