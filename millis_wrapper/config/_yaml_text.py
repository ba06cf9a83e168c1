"""YAML text -> JSON data, by the JSON rules of YAML 1.2 and not by the guesses of YAML 1.1.

A plain `no` is text (Norwegian, where a language is asked for), and so are `+14155550100`, `0123`, `12:30`
and `2024-01-01`: only true, false, null and what JSON would read as a number are anything else. Keys are text
as they are written, and a key that comes twice in one object is an error. Needs PyYAML (extra `contract`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable
from typing import Any

import yaml
from yaml.composer import ComposerError

from millis_wrapper._paths import join_path

from ._json_text import ParseError, repeated_key

_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
# First characters, and what a plain scalar that begins so may be.
_PLAIN = (
    ("null", ("n", "N", "~", ""), "null|Null|NULL|~|"),
    ("bool", ("t", "T", "f", "F"), "true|True|TRUE|false|False|FALSE"),
    ("float", tuple("-0123456789"), _NUMBER),
)
_TAG = "tag:yaml.org,2002:"


def read_yaml(text: str) -> Any:
    """Return the data of one YAML document, in which an alias is the very object that it names.

    Raises:
        ParseError: it is not YAML, or holds what JSON cannot say.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ParseError("a control character, which YAML does not allow", line) from None
    except yaml.MarkedYAMLError as error:
        raise _parse_error(error, text) from None
    except RecursionError:
        raise ParseError("nested too deeply") from None


def yaml_lines(text: str) -> dict[str, int]:
    """Return the line of each value of a YAML document by its path; that of a key's value is the key's.

    The document must be one that `read_yaml` accepts and whose data is finite: what an alias names is
    listed at each place that names it.
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
    words = error.problem or error.context or "not valid YAML"
    if isinstance(error, ComposerError):
        words = words.partition(" '")[0]  # a name after `*`, which may be a secret that lacks its quotes
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return ParseError(words)
    if not isinstance(error, yaml.constructor.ConstructorError):
        is_tab = text[mark.index : mark.index + 1] == "\t"
        cure = "indent with spaces, not with tabs" if is_tab else "if it is text, put it in quotes"
        words = f"{words} at column {mark.column + 1}; {cure}"
    return ParseError(words, mark.line + 1)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {  # noqa: RUF012  # PyYAML's way to say this
        first: [(f"{_TAG}{kind}", re.compile(rf"(?:{form})\Z"))]
        for kind, firsts, form in _PLAIN
        for first in firsts
    }
    # None but these and those below: no sets, no dates, no binary data.
    yaml_constructors = {  # noqa: RUF012
        f"{_TAG}{kind}": yaml.SafeLoader.yaml_constructors[f"{_TAG}{kind}"] for kind in ("seq", "map")
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return an object whose keys are text as it is written, each there once."""
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refusal("a key that is not text", key)
            name = self.construct_text(key)
            if name == "<<" and key.style is None:
                raise _refusal("`<<` is no longer part of YAML; write the keys out", key)
            if name in lines:
                raise _refusal(repeated_key(name, lines[name]), key)
            lines[name] = key.start_mark.line + 1
            key.tag = f"{_TAG}str"  # whatever it looks like
        return super().construct_mapping(node, deep)

    def construct_text(self, node: yaml.ScalarNode) -> str:
        # A letter beyond 16 bits may be escaped as JSON does, in two halves, which PyYAML leaves apart.
        return str(node.value).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")

    def construct_json(self, node: yaml.ScalarNode) -> Any:
        try:
            return json.loads(node.value.lower())
        except json.JSONDecodeError:
            raise _refusal("the value does not fit its tag; leave the tag out", node) from None
        except ValueError:
            raise _refusal("a number has too many digits", node) from None

    def construct_none(self, node: yaml.ScalarNode) -> None:
        """Return null."""

    def refuse(self, node: yaml.Node) -> Any:
        tag = node.tag.replace(_TAG, "!!")
        raise _refusal(f"the tag {tag} has no meaning in JSON; leave it out", node)


def _refusal(words: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, words, node.start_mark)


_Loader.add_constructor(f"{_TAG}null", _Loader.construct_none)
_Loader.add_constructor(f"{_TAG}bool", _Loader.construct_json)
_Loader.add_constructor(f"{_TAG}float", _Loader.construct_json)
_Loader.add_constructor(f"{_TAG}str", _Loader.construct_text)
_Loader.add_constructor(None, _Loader.refuse)


def write_yaml(data: Any) -> str:
    """Return JSON data as a YAML document that this module and PyYAML read back unchanged."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=math.inf)


class _Dumper(yaml.SafeDumper):
    # Text that either reader takes for something else is quoted.
    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [
            *yaml.SafeDumper.yaml_implicit_resolvers.get(first, ()),
            *_Loader.yaml_implicit_resolvers.get(first, ()),
        ]
        for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *_Loader.yaml_implicit_resolvers}
    }

    def ignore_aliases(self, data: Any) -> bool:
        """Write equal objects in full, without anchors."""
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        return yaml.ScalarNode(f"{_TAG}str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _Dumper.represent_text)
