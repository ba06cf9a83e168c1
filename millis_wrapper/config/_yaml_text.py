"""YAML text -> JSON data, by the JSON rules of YAML 1.2 and not by the guesses of YAML 1.1.

A plain `no` is text (Norwegian, where a language is asked for), and so are `+14155550100`, `0123`, `12:30`
and `2024-01-01`: only true, false, null and what JSON would read as a number are anything else. Keys are text
as they are written, and a key that comes twice in one object is an error. Needs PyYAML (extra `contract`).
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeAlias

import yaml

from ._json_text import TextFault, repeated_key

_TAG = "tag:yaml.org,2002:"
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"

Made: TypeAlias = dict[int, Any]


def read_yaml(text: str) -> Any:
    """Return the data of one YAML document, in which an alias is the very object that it names.

    Raises TextFault for what is no YAML, or holds what JSON cannot say.
    """
    try:
        node = yaml.compose(text, _Loader)
        return None if node is None else _data(node, {})
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise TextFault("a control character, which YAML does not allow", line) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = error.problem or error.context or "no YAML"
        raise TextFault(words, mark.line + 1 if mark else None) from None
    except RecursionError:
        raise TextFault("nested too deeply") from None


# First characters, and what a plain scalar that begins so may be. The tags are our own, which tells a plain
# `true` from a text that somebody has tagged as `!!bool`.
_PLAIN = (
    (("n", "N", "~", ""), "plain null", "null|Null|NULL|~|"),
    (("t", "T"), "plain true", "true|True|TRUE"),
    (("f", "F"), "plain false", "false|False|FALSE"),
    (tuple("-0123456789"), "plain number", _NUMBER),
)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {  # noqa: RUF012  # PyYAML's way to say this
        first: [(tag, re.compile(rf"(?:{form})\Z"))] for firsts, tag, form in _PLAIN for first in firsts
    }


def _data(node: yaml.Node, made: Made) -> Any:
    if id(node) in made:
        if made[id(node)] is node:
            raise _fault("an alias that stands inside of what it names", node)
        return made[id(node)]
    made[id(node)] = node
    made[id(node)] = data = _new_data(node, made)
    return data


def _new_data(node: yaml.Node, made: Made) -> Any:
    if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
        return _object(node, made)
    if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
        return [_data(item, made) for item in node.value]
    if isinstance(node, yaml.ScalarNode):
        match node.tag.removeprefix(_TAG):
            case "str":
                return _text(node)
            case "plain null":
                return None
            case "plain true":
                return True
            case "plain false":
                return False
            case "plain number":
                return _number(node)
            case _:
                pass
    raise _fault(f"the tag {node.tag.replace(_TAG, '!!')} has no meaning in JSON; leave it out", node)


def _object(node: yaml.MappingNode, made: Made) -> dict[str, Any]:
    lines: dict[str, int] = {}
    data: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _fault("a key that is no text", key)
        name = _text(key)
        if name == "<<" and key.style is None:
            raise _fault("`<<` is no longer part of YAML; write the keys out", key)
        if name in lines:
            raise _fault(repeated_key(name, lines[name]), key)
        lines[name] = key.start_mark.line + 1
        data[name] = _data(value, made)
    return data


def _text(node: yaml.ScalarNode) -> str:
    # A letter beyond 16 bits may be escaped as JSON does, as two halves, which PyYAML does not put together.
    text: str = node.value
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _number(node: yaml.ScalarNode) -> int | float:
    try:
        number: int | float = json.loads(node.value)
    except ValueError:
        raise _fault("a number has too many digits", node) from None
    return number


def _fault(words: str, node: yaml.Node) -> TextFault:
    return TextFault(words, node.start_mark.line + 1)
