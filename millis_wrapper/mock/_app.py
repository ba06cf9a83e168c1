"""The service's two endpoints, and the contract itself, as a Starlette application."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from . import _streams as streams
from ._answers import Answer
from ._details import details_of
from ._faults import Fault, Refusal, refuse
from ._replies import ReplyError, pieces_of
from ._requests import MAX_BODY_BYTES, Body, named_agent, read_body, remembered

if TYPE_CHECKING:
    from ._service import MockMillis


class RefusedError(Exception):
    """The request is answered with an error status."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.status)
        self.refusal = refusal


def create_app(mock: MockMillis) -> Starlette:
    """Return the application that answers from the state of `mock`."""
    endpoints = _Endpoints(mock)
    return Starlette(
        routes=[
            Route("/chat/completions", endpoints.chat, methods=["POST"]),
            Route("/agents/{agent_id}/duplicate", endpoints.duplicate, methods=["POST"]),
            Route("/openapi.json", _contract_as_json),
            Route("/openapi.yaml", _contract_as_yaml),
            Route("/", _page_of_magic_ids),
        ],
        exception_handlers={
            RefusedError: endpoints.refused,
            HTTPException: _nothing_here,
            ClientDisconnect: _nobody_there,
        },
    )


class _Endpoints:
    def __init__(self, mock: MockMillis) -> None:
        self._mock = mock

    async def chat(self, request: Request) -> Response:
        body = await _read(request)
        agent_id = named_agent(body)
        self._mock.remember(remembered("chat", request.headers, body, agent_id))
        # The service declares the key as optional, so it looks for it only once the request is in order.
        chat = _checked(body)
        self._check_key(request)
        fault = self._fault(agent_id)
        if agent_id is None and chat["agent"].get("agent_config") is None:
            raise RefusedError(refuse(404, "No agent: there is neither an agent_id nor an agent_config"))
        if agent_id is not None and self._mock.agents.get(agent_id) is None:
            raise RefusedError(refuse(404, "Agent not found"))
        try:
            pieces = await pieces_of(self._mock.reply, chat)
        except ReplyError as error:
            raise RefusedError(refuse(500, str(error))) from error
        return self._answer(fault, self._reply(fault, pieces), "text/event-stream")

    async def duplicate(self, request: Request) -> Response:
        agent_id = request.path_params["agent_id"]
        body = await _read(request)
        self._mock.remember(remembered("duplicate", request.headers, body, agent_id))
        self._check_key(request)
        fault = self._fault(agent_id)
        agent = self._mock.agents.get(agent_id)
        if agent is None:
            raise RefusedError(Refusal(404, b""))  # without a body, as the contract has it
        copy = self._mock.agents.duplicate(agent)
        return self._answer(fault, fault.duplicate(copy.answer()), "application/json")

    async def refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, RefusedError)
        refusal = error.refusal
        response = Response(refusal.body, refusal.status, media_type=refusal.media_type)
        if refusal.asks_to_wait:
            wait = self._mock.retry_after if refusal.wait is None else refusal.wait
            response.headers["retry-after"] = str(wait)
        return response

    def _check_key(self, request: Request) -> None:
        key = request.headers.get("authorization", "").strip()
        if not key:
            raise RefusedError(refuse(401, "No key: the header authorization is missing"))
        if key.partition(" ")[0].lower() == "bearer":
            raise RefusedError(refuse(401, "Invalid key: it is sent as it is, without Bearer before it"))
        if self._mock.api_key not in (None, key):
            raise RefusedError(refuse(401, "Invalid key"))

    def _fault(self, agent_id: str | None) -> Fault:
        fault = self._mock.next_fault(agent_id)
        if fault.refusal is not None:
            raise RefusedError(fault.refusal)
        return fault

    def _answer(self, fault: Fault, pieces: AsyncGenerator[bytes], media_type: str) -> Answer:
        return Answer(
            pieces,
            media_type=fault.media_type or media_type,
            under_way=self._mock.under_way,
            sleep=self._mock.sleep,
            delay=self._mock.slow if fault.slow else 0,
        )

    async def _reply(self, fault: Fault, pieces: AsyncGenerator[str]) -> AsyncGenerator[bytes]:
        try:
            async for written in fault.chat(self._paced(pieces)):
                yield written
        except ReplyError as error:
            yield streams.event({"error": {"message": str(error)}})

    async def _paced(self, pieces: AsyncGenerator[str]) -> AsyncGenerator[str]:
        first = True
        async for piece in pieces:
            if self._mock.pace and not first:
                await self._mock.sleep(self._mock.pace)
            first = False
            yield piece


async def _read(request: Request) -> Body:
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > MAX_BODY_BYTES:
            raise RefusedError(refuse(413, f"The body is larger than {MAX_BODY_BYTES} bytes"))
    return read_body(bytes(content))


def _checked(body: Body) -> dict[str, Any]:
    if body.complaint is not None:
        detail = {"loc": ["body"], "msg": "JSON decode error", "type": "json_invalid"}
        raise RefusedError(refuse(422, [{**detail, "ctx": {"error": body.complaint}}]))
    if body.value is None:
        raise RefusedError(refuse(422, [{"loc": ["body"], "msg": "Field required", "type": "missing"}]))
    details = details_of(body.value, "ChatCompletionRequest")
    if details:
        raise RefusedError(refuse(422, details))
    chat: dict[str, Any] = body.value
    return chat


async def _contract_as_json(request: Request) -> Response:
    return _file("millis_api", "contract/millis.json", "application/json")


async def _contract_as_yaml(request: Request) -> Response:
    return _file("millis_api", "contract/millis.yaml", "application/yaml")


async def _page_of_magic_ids(request: Request) -> Response:
    return _file("millis_wrapper.mock", "README.md", "text/markdown")


def _file(package: str, path: str, media_type: str) -> Response:
    return Response(files(package).joinpath(path).read_bytes(), media_type=media_type)


async def _nothing_here(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    body = json.dumps({"detail": error.detail})
    return Response(body, error.status_code, error.headers, "application/json")


async def _nobody_there(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # seen by nobody: the client has gone
