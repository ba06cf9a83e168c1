"""Parse YAML by the JSON schema of YAML 1.2, and write it. Needs PyYAML (extra `contract`).

Unquoted text stays text, unlike in YAML 1.1: `no` (the language Norwegian), `+14155550100`, `0123`, `12:30`
and `2024-01-01` are strings. Only true, false, null and JSON numbers are converted. Keys are strings as
written, and a duplicate key is an error.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable
from typing import Any

import yaml

from millis_wrapper._paths import join_path

from ._json_text import ParseError, duplicate_key

_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
# Kind, first characters, and pattern of the plain scalars that are not strings.
_PLAIN = (
    ("null", ("n", "N", "~", ""), "null|Null|NULL|~|"),
    ("bool", ("t", "T", "f", "F"), "true|True|TRUE|false|False|FALSE"),
    ("float", tuple("-0123456789"), _NUMBER),
)
_TAG = "tag:yaml.org,2002:"
# Messages of PyYAML -> what to do.
_FIXES = {
    "but found another document": "keep one document per file",
    "found unexpected end of stream": "close the quote",
    "expected ',' or ']', but got '<stream end>'": "close the list with ]",
    "expected ',' or '}', but got '<stream end>'": "close the object with }",
}
_QUOTED_NAME = re.compile(r" '(?!<)[^']{2,}'")


def parse_yaml(text: str) -> Any:
    """Parse one YAML document. An alias becomes the same Python object as its anchor.

    Raises:
        ParseError: The text is not valid YAML, or contains something that JSON does not support.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ParseError("contains a control character, which YAML does not allow", line) from None
    except yaml.MarkedYAMLError as error:
        raise _parse_error(error, text) from None
    except RecursionError:
        raise ParseError("nested too deeply") from None


def yaml_lines(text: str) -> dict[str, int]:
    """Return the line of every value of a YAML document by path.

    The line of a value in an object is that of its key. The values of an anchor are listed for every alias,
    so the document must be valid and finite.
    """
    loader = _Loader(text)
    node = loader.get_single_node()
    lines: dict[str, int] = {}
    rest = [] if node is None else [("", node, node.start_mark.line + 1)]
    while rest:
        path, node, lines[path] = rest.pop()
        if isinstance(node, yaml.MappingNode):
            rest += [
                (join_path(path, loader.construct_text(key)), value, key.start_mark.line + 1)
                for key, value in node.value
            ]
        elif isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                rest.append((f"{path}[{number}]", item, item.start_mark.line + 1))
    return lines


def _parse_error(error: yaml.MarkedYAMLError, text: str) -> ParseError:
    # PyYAML quotes the names of aliases and tags, which may be unquoted secrets that begin with `*` or `!`.
    message = _QUOTED_NAME.sub("", error.problem or error.context or "not valid YAML")
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return ParseError(message)
    if not isinstance(error, yaml.constructor.ConstructorError):
        if text[mark.index : mark.index + 1] == "\t":
            fix = "indent with spaces, not tabs"
        else:
            fix = _FIXES.get(message, "if this is text, put it in quotes")
        message = f"{message.removeprefix('but ')} at column {mark.column + 1}; {fix}"
    return ParseError(message, mark.line + 1)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {  # noqa: RUF012  # PyYAML requires a class attribute.
        first: [(f"{_TAG}{kind}", re.compile(rf"(?:{form})\Z"))]
        for kind, firsts, form in _PLAIN
        for first in firsts
    }
    # Only these and the constructors below: sets, dates and binary data are not supported.
    yaml_constructors = {  # noqa: RUF012
        f"{_TAG}{kind}": yaml.SafeLoader.yaml_constructors[f"{_TAG}{kind}"] for kind in ("seq", "map")
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Construct an object whose keys are strings as written, and reject duplicate keys."""
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _error("a key must be a string", key)
            name = self.construct_text(key)
            if name == "<<" and key.style is None:
                raise _error("the merge key `<<` is not supported; write the keys out", key)
            if name in lines:
                raise _error(duplicate_key(name, lines[name]), key)
            lines[name] = key.start_mark.line + 1
            key.tag = f"{_TAG}str"  # even if it looks like a number
        return super().construct_mapping(node, deep)

    def construct_text(self, node: yaml.ScalarNode) -> str:
        # PyYAML does not join a surrogate pair that is escaped as in JSON.
        return str(node.value).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")

    def construct_json(self, node: yaml.ScalarNode) -> Any:
        try:
            return json.loads(node.value.lower())
        except json.JSONDecodeError:
            raise _error("the value does not match its tag; remove the tag", node) from None
        except ValueError:
            raise _error("a number has too many digits", node) from None

    def construct_none(self, node: yaml.ScalarNode) -> None:
        """Construct null."""

    def reject(self, node: yaml.Node) -> Any:
        if node.tag.startswith(_TAG):
            raise _error(f"the tag {node.tag.replace(_TAG, '!!')} is not supported; remove it", node)
        raise _error("tags are not supported; if this is text that begins with !, put it in quotes", node)


def _error(message: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, message, node.start_mark)


_Loader.add_constructor(f"{_TAG}null", _Loader.construct_none)
_Loader.add_constructor(f"{_TAG}bool", _Loader.construct_json)
_Loader.add_constructor(f"{_TAG}float", _Loader.construct_json)
_Loader.add_constructor(f"{_TAG}str", _Loader.construct_text)
_Loader.add_constructor(None, _Loader.reject)


def write_yaml(data: Any) -> str:
    """Return JSON data as a YAML document that `parse_yaml` and PyYAML parse to the same data."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=math.inf)


class _Dumper(yaml.SafeDumper):
    # Quote text that either parser would not parse as a string.
    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [
            *yaml.SafeDumper.yaml_implicit_resolvers.get(first, ()),
            *_Loader.yaml_implicit_resolvers.get(first, ()),
        ]
        for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *_Loader.yaml_implicit_resolvers}
    }

    def ignore_aliases(self, data: Any) -> bool:
        """Write repeated objects in full, without anchors."""
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        return yaml.ScalarNode(f"{_TAG}str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _Dumper.represent_text)
