"""Parse JSON and report the line of every error; a duplicate key is an error, too."""

from __future__ import annotations

import json
import re
from typing import Any

import attrs

from millis_wrapper._paths import join_path

# In valid JSON, a string is a key if and only if it is followed by a colon.
_TOKEN = re.compile(r'(?P<text>"(?:[^"\\]|\\.)*")(?P<colon>\s*:)?|[{}\[\],]|[^\s{}\[\],:"]+')


class ParseError(ValueError):
    """A text that cannot be parsed; `line` is the line of the error, counted from 1, or None if unknown."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def parse_json(text: str) -> Any:
    """Parse a JSON document.

    Raises:
        ParseError: The text is not valid JSON, or a key occurs twice in one object.
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ParseError(f"not valid JSON: {error.msg} at column {error.colno}", error.lineno) from None
    except ValueError:
        raise ParseError("a number has too many digits") from None
    except RecursionError:
        raise ParseError("nested too deeply") from None
    json_lines(text)  # raises for a duplicate key
    return data


def duplicate_key(key: str, first_line: int) -> str:
    """Return the message for a key that occurs twice in one object, of which parsers keep only the last."""
    return f"duplicate key {json.dumps(key)}, first used in line {first_line}; remove one of them"


def json_lines(text: str) -> dict[str, int]:
    """Return the line of every value of a valid JSON document by path.

    The line of a value in an object is that of its key.

    Raises:
        ParseError: A key occurs twice in one object.
    """
    lines: dict[str, int] = {}
    line, counted, path = 1, 0, ""
    containers: list[_Container] = []
    for token in _TOKEN.finditer(text):
        line, counted = line + text.count("\n", counted, token.start()), token.start()
        mark = token.group()
        if token["colon"]:
            key = json.loads(token["text"])
            path = join_path(containers[-1].path, key)
            if key in containers[-1].keys:
                raise ParseError(duplicate_key(key, lines[path]), line)
            containers[-1].keys.add(key)
            lines[path] = line
        elif mark in ("}", "]"):
            containers.pop()
        elif mark == ",":
            containers[-1].commas += 1
        else:
            if not containers or containers[-1].is_list:
                path = f"{containers[-1].path}[{containers[-1].commas}]" if containers else ""
                lines[path] = line
            if mark in ("{", "["):
                containers.append(_Container(path, mark == "["))
    return lines


@attrs.define
class _Container:
    """An object or a list that is not closed yet."""

    path: str
    is_list: bool
    commas: int = 0
    keys: set[str] = attrs.field(factory=set[str])
