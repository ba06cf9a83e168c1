"""Check that the contract contains only what the generated code and the reference page get right."""

from __future__ import annotations

import keyword as python
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from millis_wrapper._json import is_mapping, is_object
from millis_wrapper._paths import closest_match
from millis_wrapper._text import shorten

from ._document import (
    RegenerateError,
    inner_schemas,
    is_map_of_names,
    nodes,
    operations,
    python_name,
    resolve,
    schemas_of,
)
from ._examples import invalid_examples

# Keywords that the generated code and the reference do not support, and what to write in their place.
UNSUPPORTED = {
    "$dynamicRef": "write $ref",
    "allOf": "list all fields in the component itself",
    "contentEncoding": "state it in the description",
    "contentMediaType": "state it in the description",
    "contentSchema": "state it in the description",
    "dependentRequired": "state it in the description",
    "dependentSchemas": "state it in the description",
    "if": "state it in the description",
    "not": "state it in the description",
    "nullable": "add null to the type, as OpenAPI 3.1 does",
    "patternProperties": "write additionalProperties",
    "prefixItems": "write items",
    "propertyNames": "state it in the description",
    "readOnly": "state it in the description",
    "unevaluatedProperties": "write additionalProperties",
    "writeOnly": "state it in the description",
}
# The models keep each JSON value unchanged, so they cannot hold the Python values of these formats.
CONVERTED = ("date", "date-time", "time", "uuid", "binary", "byte")

# The wrapper uses these components by name.
NAMED = (
    *("AgentConfig", "AgentConfigOverride", "ChatCompletionRequest", "ChatCompletionChunk"),
    "DuplicateAgentResponse",
)
KEY_HEADER = "authorization"
READABLE = ("application/json", "text/plain", "text/html", "text/event-stream")
MOST = 5  # lines under the headline of one refusal
# Names in the generated code that a name in the contract must not replace.
ARGUMENTS = ("client", "body")
ATTRIBUTES = (
    *("additional_properties", "additional_keys", "field_names", "is_secret", "secret_keys"),
    *("from_dict", "to_dict", "get", "keys"),
)
CLASSES = ("Any", "File", "Literal", "Mapping", "Model", "Response", "TypedDict", "Unset")


def load(openapi: Path) -> dict[str, Any]:
    """Return openapi/millis.yaml as data.

    Raises:
        RegenerateError: The file is not YAML, or has a part that the code or the reference does not support.
    """
    parser: Any = YAML(typ="safe")  # unlike PyYAML, it rejects duplicate keys
    try:
        document: dict[str, Any] = parser.load((openapi / "millis.yaml").read_bytes())
    except YAMLError as error:
        reason = shorten(" ".join(str(error).split()), 300)
        raise RegenerateError(f"openapi/millis.yaml is not valid YAML: {reason}") from None
    if not is_object(document):
        raise RegenerateError("openapi/millis.yaml: must be one OpenAPI document, an object")
    if found := problems(document):
        more = [f"and {len(found) - MOST + 1} more"] if len(found) > MOST else []
        lines = [*found[: MOST - 1], *more] if more else found
        raise RegenerateError("openapi/millis.yaml:\n" + "\n".join(f"  {line}" for line in lines))
    return document


def problems(document: Mapping[str, Any]) -> list[str]:
    """Return a line for each part that the generator or the reference does not support, with a fix."""
    # Each check relies on the ones before it: on references that resolve, and on valid OpenAPI.
    for find in (_in_references, _in_openapi):
        if found := list(find(document)):
            return found
    rest = (_in_service, _in_operations, _in_schemas, _in_names)
    found = list(chain.from_iterable(find(document) for find in rest))
    return found or list(dict.fromkeys(invalid_examples(document)))


def _in_openapi(document: Mapping[str, Any]) -> Iterator[str]:
    # Report only the first error: after some errors, the validator itself fails.
    if (error := next(OpenAPIV31SpecValidator(dict(document)).iter_errors(), None)) is not None:
        path = ".".join(map(str, error.absolute_path)) or "the document"
        yield f"{path}: not valid OpenAPI 3.1: {shorten(error.message.partition(chr(10))[0], 200)}"


def _in_references(document: Mapping[str, Any]) -> Iterator[str]:
    known = document.get("x-extensions", {})
    for path, node in nodes(document, ""):
        for key in () if is_map_of_names(path) else node:
            if key.startswith("x-") and key not in known:
                near = closest_match(key, known)
                hint = f"; did you mean {near}?" if near else "; list it in x-extensions, or leave it out"
                yield f"{path}: {key} is not a known extension{hint}"
        if not isinstance(reference := node.get("$ref"), str):
            continue
        if not reference.startswith("#/"):
            yield f"{path}: a reference must stay in this file and begin with #/, got {reference}"
            continue
        try:
            resolve(document, node)
        except LookupError:
            yield f"{path}: {reference} does not exist or refers to itself"
        else:
            if not re.fullmatch(r"#/components/\w+/[^/]+", reference):
                yield f"{path}: {reference} is not a component; move it to components and refer to it there"


def _in_schemas(document: Mapping[str, Any]) -> Iterator[str]:
    for method, path, operation, _ in operations(document):
        if len(resolve(document, operation.get("requestBody", {})).get("content", {})) > 1:
            yield f"paths.{path}.{method}.requestBody: several media types are not supported; keep one"
    for path, schema in schemas_of(document):
        for keyword, instead in UNSUPPORTED.items():
            if keyword in schema:
                yield f"{path}: {keyword} is not supported; {instead}"
        for key, one in schema.get("properties", {}).items():
            if not is_mapping(one):
                yield f"{path}.properties.{key}: must be an object; write {{}} if any value is valid"
        items = schema.get("items", {})
        if not is_mapping(items):
            yield f"{path}.items: must be an object; write {{}} if any value is valid"
        elif "items" in resolve(document, items) or "array" in resolve(document, items).get("type", ()):
            yield f"{path}: a list of lists is not supported; move the inner list into an object"
        more = schema.get("additionalProperties", {})
        if is_mapping(more) and _names_an_object(document, more):
            yield f"{path}.additionalProperties: a map of objects is not supported; list the keys"
        if schema.get("format") in CONVERTED:
            yield (
                f"{path}: format {schema['format']} is not supported, since models keep JSON values "
                "unchanged; leave it out, and state the form in the description"
            )
        if "array" in schema.get("type", ()) and "items" not in schema:
            yield f"{path}: needs items; write {{}} if any value is valid"
        values: list[object] = schema.get("enum", [])
        if values and {type(value) for value in values} not in ({str}, {int}):
            yield f"{path}: the values of an enum must be all strings or all integers"
        if "default" in schema and "const" not in schema:
            yield f"{path}: default is not supported, since every client would send it; use x-service-default"
        if is_object(schema.get("const")):
            yield f"{path}: an object as const is not supported; state it in the description"
        if not re.fullmatch(r"components\.schemas\.\w+", path):
            if "properties" in schema or "object" in schema.get("type", ()):
                yield (
                    f"{path}: an object needs its own component; move it to components.schemas, "
                    "and refer to it with $ref"
                )
            if "enum" in schema:
                yield (
                    f"{path}: a value set needs its own component (Known...); move it to "
                    "components.schemas, and refer to it with $ref"
                )


def _in_service(document: Mapping[str, Any]) -> Iterator[str]:
    if not document.get("servers"):
        yield "servers: must not be empty; add the URL of the service, which is the client's default host"
    for number, server in enumerate(document.get("servers", ())):
        if not re.match(r"https?://[^/{]", server["url"]):
            yield f"servers[{number}].url: must be an absolute URL, got {server['url']}"
        elif "{" in server["url"] or server.get("variables"):
            yield f"servers[{number}]: variables are not supported; list each URL"
        elif "description" not in server:
            yield f"servers[{number}]: needs a description, which the reference shows"
    components = document.get("components", {})
    schemes = components.get("securitySchemes", {})
    for name, scheme in schemes.items():
        place = f"components.securitySchemes.{name}"
        if scheme.get("type") != "apiKey":
            yield f"{place}: type {scheme.get('type')} is not supported; use apiKey in a header"
        elif scheme.get("in") != "header":
            yield f"{place}: the clients send the key in a header, got {scheme.get('in')}"
        elif scheme.get("name", "").lower() != KEY_HEADER:
            yield f"{place}: the clients send the key in the header {KEY_HEADER}, got {scheme.get('name')}"
    if len(schemes) != 1:
        yield f"components.securitySchemes: must have one scheme, got {len(schemes)}"
    elif document.get("security") != [{name: [] for name in schemes}]:
        yield f"security: must be [{{{next(iter(schemes))}: []}}]; the clients send the key with each request"
    for name in NAMED:
        if name not in components.get("schemas", {}):
            yield f"components.schemas: {name} is missing; the wrapper uses this name, so do not rename it"
    for name in ("webhooks", "callbacks", "links", "pathItems"):
        if document.get(name) or components.get(name):
            yield f"{name}: not supported in code or reference; describe them in a description"


def _in_operations(document: Mapping[str, Any]) -> Iterator[str]:
    for path, item in document.get("paths", {}).items():
        if "$ref" in item:
            yield f"paths.{path}: a path by reference is not supported; write it here"
        if "servers" in item:
            yield f"paths.{path}.servers: not supported; the clients use one host for all operations"
    for method, path, operation, parameters in operations(document):
        place = f"paths.{path}.{method}"
        for name, why in (
            ("servers", "the clients use one host for all operations"),
            ("security", "the clients send the key with each request"),
            ("callbacks", "the code and the reference do not show them"),
        ):
            if name in operation:
                yield f"{place}.{name}: not supported; {why}"
        for name in ("operationId", "summary"):
            if not operation.get(name):
                yield f"{place}: must have the key {name}"
        tags = operation.get("tags", ())
        if len(tags) != 1 or python_name(tags[0]) != tags[0]:
            yield f"{place}.tags: must have one tag in lowercase, which names the module of the function"
        for parameter in parameters:
            yield from (f"{place}: parameter {line}" for line in _in_parameter(parameter))
        body = resolve(document, operation.get("requestBody", {}))
        for media in body.get("content", {}):
            if media != "application/json":
                yield f"{place}.requestBody: {media} is not supported; use application/json"
        for status, response in operation.get("responses", {}).items():
            response = resolve(document, response)
            if "links" in response:
                yield f"{place}.responses.{status}.links: not supported; describe them in a description"
            for media in response.get("content", {}):
                if media not in READABLE:
                    yield f"{place}.responses.{status}: {media} is not supported; use JSON, text or events"
    for path, node in nodes(document, ""):
        stream = node.get("x-event-stream") if ".content." in path else None
        if stream is not None:
            for name in ("chunk", "error", "end"):
                if not is_mapping(stream) or "$ref" not in stream.get(name, ()):
                    yield f"{path}.x-event-stream: needs {name}, a reference to a component"
        if path.endswith(".examples") and not path.startswith("components.schemas."):
            for name, example in node.items():
                if is_mapping(example) and "value" not in resolve(document, example):
                    yield f"{path}.{name}: needs a value; an example in another file is not supported"


def _in_parameter(parameter: Mapping[str, Any]) -> Iterator[str]:
    name = parameter["name"]
    if "schema" not in parameter:
        yield f"{name} needs a schema; content is not supported"
    if name in ARGUMENTS:
        yield f"{name} has the name of another argument of the generated function; rename it"
    if parameter["in"] == "cookie":
        yield f"{name}: a parameter in a cookie is not supported"
    if parameter["in"] == "header" and name.lower() in ("accept", "content-type", KEY_HEADER):
        yield f"{name} is not supported, because the clients set this header"
    if parameter.get("style", "form") not in ("form", "simple") or parameter.get("explode") is False:
        yield f"{name}: style and explode are not supported; a list in a query is sent as name=a&name=b"


def _in_names(document: Mapping[str, Any]) -> Iterator[str]:
    taken: dict[str, str] = {}
    for name, schema in document.get("components", {}).get("schemas", {}).items():
        place, module = f"components.schemas.{name}", name.lower()
        if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name) or name in CLASSES:
            yield f"{place}: cannot be the name of a Python class; use letters, and start with a capital"
        if "$ref" in schema:
            yield f"{place}: a component that is a reference is not supported; refer to its target instead"
        if schema.get("title", name) != name:
            yield f"{place}.title: must be {name}, which code generators use, got {schema['title']}"
        for other in {module, module.removesuffix("dict"), f"{module}dict"} & {*taken}:
            yield f"{place}: {name} and {taken[other]} would share a module or a TypedDict; rename one"
        taken[module] = name
    functions: dict[str, str] = {}
    for method, path, operation, _ in operations(document):
        function = python_name(operation.get("operationId", ""))
        if function in functions:
            yield f"paths.{path}.{method}.operationId: {functions[function]} already has this name"
        functions[function] = path
    for path, schema in schemas_of(document):
        found: dict[str, str] = {}
        for key in schema.get("properties", {}):
            name = python_name(key)
            if (
                (not key[:1].isalpha() and key[:1] != "_")
                or not name.isidentifier()
                or python.iskeyword(name)
            ):
                yield f"{path}.properties.{key}: {key} is not a Python name; start with a letter"
            elif name in found:
                yield f"{path}.properties.{key}: {key} and {found[name]} would both be the field {name}"
            elif name in ATTRIBUTES:
                yield f"{path}.properties.{key}: every model has an attribute {name}; rename the property"
            found.setdefault(name, key)


def _names_an_object(document: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    """Return whether a value of `schema` can be a component that is an object."""
    if "$ref" in schema:
        return "enum" not in resolve(document, schema)
    return any(is_mapping(one) and _names_an_object(document, one) for one in inner_schemas(schema))
