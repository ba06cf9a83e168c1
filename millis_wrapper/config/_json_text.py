"""JSON text -> data, with the line of every mistake; a key that comes twice is refused."""

from __future__ import annotations

import json
import re
from typing import Any

# In text that is JSON, a string with a colon behind it is a key, and nothing else is.
_TOKEN = re.compile(r'(?P<text>"(?:[^"\\]|\\.)*")(?P<colon>\s*:)?|[{}\[\]]')


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
    _refuse_repeated_keys(text)
    return data


def repeated_key(key: str, first_line: int) -> str:
    """Return what is wrong with a text that has a key twice in one object; readers keep only the last one."""
    return (
        f"the key {json.dumps(key)} comes twice in one object, first in line {first_line}; remove one of them"
    )


def _refuse_repeated_keys(text: str) -> None:
    line, counted = 1, 0
    objects: list[dict[str, int]] = []
    for token in _TOKEN.finditer(text):
        if token.group() in "{[":
            objects.append({})
        elif token.group() in "}]":
            objects.pop()
        elif token["colon"]:
            line, counted = line + text.count("\n", counted, token.start()), token.start()
            key = json.loads(token["text"])
            if key in objects[-1]:
                raise ParseError(repeated_key(key, objects[-1][key]), line)
            objects[-1][key] = line
