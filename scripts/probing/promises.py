"""What the contract says of the answer to a request, read from the contract itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from millis_wrapper.contract import load
from millis_wrapper.contract._validation import faults

from .exchanges import Exchange, Operation

OTHER = "default"  # OpenAPI's word for all statuses that are not listed

_PATHS: Mapping[Operation, str] = {"chat": "/chat/completions", "duplicate": "/agents/{agent_id}/duplicate"}


def place(operation: Operation) -> str:
    """Return where in the contract the answers of `operation` are described."""
    return f"paths.{_PATHS[operation]}.post.responses"


def responses(operation: Operation) -> dict[str, Any]:
    """Return what may be answered, by status."""
    listed = load()["paths"][_PATHS[operation]]["post"]["responses"]
    shared = load()["components"]["responses"]
    return {
        status: shared[response["$ref"].rsplit("/", 1)[-1]] if "$ref" in response else response
        for status, response in listed.items()
    }


def expected(exchange: Exchange) -> tuple[str, ...]:
    """Return the statuses of the contract, `default` among them, that may answer `exchange`."""
    body = exchange.body("-")
    if body is not None and any(faults(body, "ChatCompletionRequest")):
        return ("422",)
    if exchange.key != "yours":
        return _listed(exchange.operation, "401", "403")
    if exchange.agent != "yours":
        return _listed(exchange.operation, "404")
    return ("200",)


def _listed(operation: Operation, *statuses: str) -> tuple[str, ...]:
    return tuple(status for status in statuses if status in responses(operation)) or (OTHER,)


def listed_as(operation: Operation, status: int) -> str:
    """Return under which status of the contract an answer with `status` falls."""
    return str(status) if str(status) in responses(operation) else OTHER


def status_fits(operation: Operation, statuses: tuple[str, ...], status: int) -> bool:
    """Whether `status` is one of `statuses`; `default` stands for the failures that are not listed."""
    return listed_as(operation, status) in statuses and (str(status) in statuses or status >= 400)


def body_of(operation: Operation, status: str) -> tuple[str, str] | None:
    """Return the media type and the component of an answer's body; None where there is no body.

    The component is "" where the body is no JSON.
    """
    for media_type, content in responses(operation)[status].get("content", {}).items():
        return media_type, _component(content["schema"])
    return None


def words(operation: Operation, statuses: tuple[str, ...]) -> str:
    """Return in words what comes with `statuses`."""
    return " or ".join(_status(operation, status) + _body(operation, status) for status in statuses)


def _status(operation: Operation, status: str) -> str:
    if status != OTHER:
        return status
    listed = " or ".join(one for one in responses(operation) if one not in (OTHER, "200"))
    return f"a failure other than {listed},"


def _body(operation: Operation, status: str) -> str:
    body = body_of(operation, status)
    return " without a body" if body is None else f" with {body[1] or body[0]}"


def stream_component(kind: str) -> str:
    """Return the component of a stream's events of `kind`: chunk, error or end."""
    return _component(_stream()["x-event-stream"][kind])


def end_mark() -> str:
    """Return the data of the event that closes a stream."""
    mark: str = load()["components"]["schemas"][stream_component("end")]["const"]
    return mark


def end_required() -> bool:
    """Return whether a stream without its end mark is broken."""
    required: bool = _stream()["x-event-stream"]["end-required"]
    return required


def stream_examples() -> bytes:
    """Return the streams that the contract shows, one behind the other."""
    return "".join(_examples(_stream())).encode()


def copy_examples() -> list[Any]:
    """Return the answers of `duplicate` that the contract shows."""
    (content,) = responses("duplicate")["200"]["content"].values()
    return list(_examples(content))


def documented_headers() -> frozenset[str]:
    """Return the names of all response headers in the contract, in lower case."""
    operations: tuple[Operation, ...] = ("chat", "duplicate")
    return frozenset(
        name.lower()
        for operation in operations
        for response in responses(operation).values()
        for name in response.get("headers", {})
    )


def not_known() -> list[str]:
    """Return what the contract itself says is not known."""
    points: list[str] = load()["info"].get("x-not-known", [])
    return points


def version() -> str:
    """Return the contract's version."""
    return str(load()["info"]["version"])


def _stream() -> Any:
    (content,) = responses("chat")["200"]["content"].values()
    return content


def _examples(content: Any) -> Iterator[Any]:
    for example in content.get("examples", {}).values():
        yield example["value"]


def _component(schema: Any) -> str:
    return str(schema.get("$ref", "")).rsplit("/", 1)[-1]
