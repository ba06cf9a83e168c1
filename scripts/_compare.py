"""Compare an OpenAPI file of the service with openapi/millis.yaml, for `scripts/compare`.

The file is OpenAPI 3.0, 3.1 or 3.2, in JSON or YAML. The script reads only the endpoints that the contract
has. It finds them by method and path, and fields by their path, so the names of components and of path
parameters do not matter. It compares:

- the fields, and the type, null, required, default, value set and deprecation of each;
- the hosts and the key of each endpoint, where the file names them.

It does not compare descriptions, examples, formats, ranges and response headers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from millis_wrapper._json import is_array, is_object
from millis_wrapper._text import escape_control_characters, shorten
from millis_wrapper.config._json_text import ParseError, parse_json
from millis_wrapper.config._yaml_text import parse_yaml

from ._document import METHODS
from ._openapi import CompareError, Document, Endpoint, Place

OPENAPI = Path(__file__).resolve().parent.parent / "openapi"


class Difference(NamedTuple):
    """One difference between the contract and the file at one place.

    For a value set, each side contains the values that only it lists. None means that any value is valid, or
    that the default or the place does not exist.
    """

    endpoint: str
    path: str
    kind: str
    contract: Any
    file: Any

    def __str__(self) -> str:
        return f"{self.path}: {self.kind}: {_text(self.kind, self.contract)} -> {_text(self.kind, self.file)}"


def _text(kind: str, value: Any) -> str:
    if value is None:
        return {"default": "none", "value set": "any value"}.get(kind, "nothing")
    if kind == "value set":
        return f"has {', '.join(map(json.dumps, value)) or 'no other values'}"
    if kind == "default":
        return json.dumps(value)
    if is_array(value):
        return ", ".join(map(str, value)) or "none"
    return value if isinstance(value, str) else "yes" if value else "no"


def _types_text(place: Place | None) -> str | None:
    return place and " or ".join([*sorted(place.types() - {"null"}), *(place.types() & {"null"})])


def differences(contract: Document, other: Document) -> Iterator[Difference]:
    """Yield the differences, in the contract's order.

    Raises:
        CompareError: The other document is not valid OpenAPI, or contains no endpoint of the contract.
    """
    contract.compares_events = other.compares_events = contract.has_events and other.has_events
    endpoints = {
        f"{method.upper()} {path}": (ours, other.operation(method, path))
        for path in contract.data["paths"]
        for method in METHODS
        if (ours := contract.operation(method, path))
    }
    if not any(theirs for _, theirs in endpoints.values()):
        raise CompareError(f"must contain an endpoint of the contract: {', '.join(endpoints)}")
    for endpoint, (ours, theirs) in endpoints.items():
        if theirs is None:
            yield Difference(endpoint, "endpoint", "removed", "endpoint", None)
            continue
        method, _, path = endpoint.partition(" ")
        sent = (one.endpoint(method.lower(), path) for one in (contract, other))
        for kind, one, two in zip(Endpoint._fields, *(found or () for found in sent), strict=True):
            if one != two and None not in (one, two):
                yield Difference(endpoint, "endpoint", kind, one, two)
        for found in _differences((contract, other), "", (ours, theirs), ()):
            yield Difference(endpoint, *found)


def _differences(
    documents: tuple[Document, Document], path: str, places: tuple[Place, Place], above: tuple[str, ...]
) -> Iterator[tuple[str, str, Any, Any]]:
    yield from ((path, *change) for change in _changes(*places, path.startswith("request")))
    here = json.dumps([place.schemas for place in places])
    if here in above:  # an object that can contain itself was compared further up
        return
    ours, theirs = (document.children(place) for document, place in zip(documents, places, strict=True))
    for step in {**ours, **theirs}:
        below, one, two = f"{path}{step}".lstrip("."), ours.get(step), theirs.get(step)
        if one and two:
            yield from _differences(documents, below, (one, two), (*above, here))
        else:  # one line covers all fields below it
            yield below, "removed" if one else "added", _types_text(one), _types_text(two)


def _changes(ours: Place, theirs: Place, in_request: bool) -> Iterator[tuple[str, Any, Any]]:
    facts = theirs.facts(in_request)
    for kind, fact in ours.facts(in_request).items():
        if (fact, isinstance(fact, bool)) != (facts[kind], isinstance(facts[kind], bool)):
            yield kind, fact, facts[kind]
    one, two = ours.values(), theirs.values()
    closed = ours.is_closed(in_request), theirs.is_closed(in_request)
    # Values that only the contract lists are not a difference if the file accepts any value. A set that only
    # the file closes does not matter in a response, because the client accepts every value.
    if two and one != two:
        only, more = ([json.loads(value) for value in sorted(rest)] for rest in (one - two, two - one))
        yield "value set", only if one else None, more
    elif closed[0] != closed[1] and (in_request or closed[0]):
        every = [json.loads(value) for value in sorted(one)]
        yield "value set", every if closed[0] else None, every if closed[1] else None


def read(file: Path) -> Any:
    """Return the data of a JSON or YAML file.

    Raises:
        CompareError: The file cannot be opened or parsed.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
        # PyYAML can also parse JSON, but needs a minute for ten megabytes.
        return (parse_json if text.lstrip().startswith(("{", "[")) else parse_yaml)(text)
    except OSError as error:
        raise CompareError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CompareError("is not UTF-8 text") from None
    except ParseError as error:
        raise CompareError(f"line {error.line}: {error}" if error.line else str(error)) from None


def _reasons(entries: Any) -> dict[str, str]:
    """Return the lines of openapi/differences.yaml, each with its reason."""
    reasons: dict[str, str] = {}
    for one in entries if is_array(entries) else [entries]:
        if not is_object(one) or [type(one.get(key)) for key in ("reason", "lines")] != [str, str]:
            raise CompareError("must be a list of objects with the strings `reason` and `lines`")
        reasons |= dict.fromkeys(one["lines"].splitlines(), one["reason"])
    return reasons


def report(found: Iterable[Difference], reasons: dict[str, str]) -> Iterator[str]:
    """Yield the report's lines: differences by endpoint, known ones by reason, stale reasons, the counts."""
    lines = {str(one) for one in found}
    new = [one for one in found if str(one) not in reasons]
    known = [line for line in reasons if line in lines]
    stale = [line for line in reasons if line not in lines]
    rows = [(f"{one.endpoint}  (contract -> file)", str(one)) for one in new]
    rows += [(f"known: {reasons[line]}", line) for line in known]
    rows += [("stale, remove from openapi/differences.yaml:", line) for line in stale]
    for number, (heading, line) in enumerate(rows):
        if not number or heading != rows[number - 1][0]:
            yield heading
        yield f"  {line}"
    yield f"differences: {len(new)}; known: {len(known)}; stale: {len(stale)}"


def main(arguments: Sequence[str] | None = None, openapi: Path = OPENAPI) -> int:
    """Run the command; return 0 without differences, 1 with differences, 2 if the file cannot be compared."""
    parser = argparse.ArgumentParser(
        prog="scripts/compare",
        description="Compare an OpenAPI file of the service with the contract, field by field.",
        epilog="The report shows the known differences of openapi/differences.yaml with their reasons, but"
        " does not count them. Exit status: 0 no differences; 1 differences; 2 the file cannot be compared.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="OpenAPI 3.0, 3.1 or 3.2, JSON or YAML")
    parser.add_argument("--json", action="store_true", help="print the differences as JSON")
    given = parser.parse_args(arguments)
    where = openapi / "differences.yaml"
    try:
        reasons = _reasons(read(where))
        contract = Document(read(where := openapi / "millis.yaml"))
        list(differences(contract, contract))  # finds errors in the contract before the file is read
        found = list(differences(contract, Document(read(where := given.file))))
    except (CompareError, RecursionError, ValueError) as error:
        # A YAML alias that contains itself raises ValueError.
        why = error if isinstance(error, CompareError) else "contains itself, or is nested too deeply"
        print(f"scripts/compare: {shorten(f'{where}: {why}', 500)}", file=sys.stderr)
        return 2
    if given.json:
        rows = [{**one._asdict(), "known": reasons.get(str(one))} for one in found]
        stale = sorted(reasons.keys() - {str(one) for one in found})
        print(json.dumps({"differences": rows, "stale": stale}, indent=1))
    else:
        print("\n".join(map(escape_control_characters, report(found, reasons))))
    return int(any(str(one) not in reasons for one in found))


if __name__ == "__main__":
    sys.exit(main())
