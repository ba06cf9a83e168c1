"""JSON text -> data, with the line of every mistake; a key that comes twice is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import attrs

from millis_wrapper._paths import join_path

# In valid JSON, a string is a key if and only if a colon follows it.
_TOKEN = re.compile(r'(?P<text>"(?:[^"\\]|\\.)*")(?P<colon>\s*:)?|[{}\[\],]|[^\s{}\[\],:"]+')


class ParseError(ValueError):
    """What is wrong with a text, and in which `line`, counted from 1, where that is known."""

    def __init__(self, words: str, line: int | None = None) -> None:
        super().__init__(words)
        self.line = line


def read_json(text: str) -> Any:
    """Return the data of a JSON text; raises ParseError for what is no JSON, and for repeated keys."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ParseError(f"not valid JSON: {error.msg} at column {error.colno}", error.lineno) from None
    except ValueError:
        raise ParseError("a number has too many digits") from None
    except RecursionError:
        raise ParseError("nested too deeply") from None
    json_lines(text)  # raises for a repeated key
    return data


def repeated_key(key: str, first_line: int) -> str:
    """Return what is wrong with a text that has a key twice in one object; readers keep only the last one."""
    return (
        f"the key {json.dumps(key)} comes twice in one object, first in line {first_line}; remove one of them"
    )


def json_lines(text: str) -> dict[str, int]:
    """Return the line of each value of a valid JSON text by its path; that of a key's value is the key's.

    Raises:
        ParseError: A key comes twice in one object.
    """
    lines: dict[str, int] = {}
    line, counted, path = 1, 0, ""
    holders: list[_Holder] = []
    for token in _TOKEN.finditer(text):
        line, counted = line + text.count("\n", counted, token.start()), token.start()
        mark = token.group()
        if token["colon"]:
            key = json.loads(token["text"])
            path = join_path(holders[-1].path, key)
            if key in holders[-1].keys:
                raise ParseError(repeated_key(key, lines[path]), line)
            holders[-1].keys.add(key)
            lines[path] = line
        elif mark in ("}", "]"):
            holders.pop()
        elif mark == ",":
            holders[-1].commas += 1
        else:
            if not holders or holders[-1].is_list:
                path = f"{holders[-1].path}[{holders[-1].commas}]" if holders else ""
                lines[path] = line
            if mark in ("{", "["):
                holders.append(_Holder(path, mark == "["))
    return lines


@attrs.define
class _Holder:
    """An object or a list whose end has not come yet."""

    path: str
    is_list: bool
    commas: int = 0
    keys: set[str] = attrs.field(factory=set[str])
