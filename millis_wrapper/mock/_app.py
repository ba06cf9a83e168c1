"""Both endpoints of the service and the contract, as a Starlette application."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import attrs
from anyio.lowlevel import checkpoint
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from millis_wrapper._text import shorten

from . import _streams as streams
from ._replies import ReplyError, chunks_of
from ._requests import MockRequest, RequestBody, agent_of, details_of, fill_in, read_body
from ._scenarios import Refusal, Scenario, refuse
from ._state import State

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("millis_wrapper.mock")

# With --host, requests may come from other machines.
_MAX_BODY_BYTES = 16 * 1024 * 1024

# URL path -> package, file in the package, and media type.
_PAGES = {
    "/": ("millis_wrapper.mock", "README.md", "text/markdown"),
    "/openapi.json": ("millis_api", "contract/millis.json", "application/json"),
    "/openapi.yaml": ("millis_api", "contract/millis.yaml", "application/yaml"),
}


class RefusedError(Exception):
    """The mock server responds with an error status."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.status_code)
        self.refusal = refusal


def create_app(state: State) -> ASGIApp:
    """Return the ASGI application that serves `state`."""
    endpoints = _Endpoints(state)
    app = Starlette(
        routes=[
            Route("/chat/completions", endpoints.chat, methods=["POST"]),
            Route("/agents/{agent_id}/duplicate", endpoints.duplicate, methods=["POST"]),
            *(Route(path, partial(_page, *page)) for path, page in _PAGES.items()),
        ],
        exception_handlers={
            RefusedError: endpoints.refused,
            HTTPException: _http_error,
            ClientDisconnect: _disconnected,
        },
    )
    if state.cors:
        with_cors = CORSMiddleware(
            app, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"], expose_headers=["Retry-After"]
        )
        return _log_requests(with_cors)
    return _log_requests(app)


def _log_requests(app: ASGIApp) -> ASGIApp:
    """Return `app` wrapped so that it logs the method, path and status code of every response."""

    async def logged(scope: Scope, receive: Receive, send: Send) -> None:
        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                log.info("%s %s -> %s", scope["method"], shorten(scope["path"], 100), message["status"])
            await send(message)

        await app(scope, receive, noted)

    return logged


class _Endpoints:
    def __init__(self, state: State) -> None:
        self._state = state

    async def chat(self, request: Request) -> Response:
        body = await _receive(request)
        agent_id = agent_of(body).get("agent_id")
        agent_id = agent_id if isinstance(agent_id, str) else None
        saved = None if agent_id is None else self._state.agents.get(agent_id)
        prompt, unfilled = fill_in(body, {} if saved is None else saved.config)
        self._state.remember(MockRequest("chat", agent_id, request.headers, body.value, prompt, unfilled))
        # The service declares the key as optional, so it checks the key only after the rest of the request.
        chat = _valid_chat(body)
        self._check_key(request)
        scenario = self._scenario(agent_id)
        if agent_id is None and chat["agent"].get("agent_config") is None:
            raise RefusedError(refuse(404, "The request must contain agent_id or agent_config"))
        if agent_id is not None and saved is None:
            raise RefusedError(self._unknown(agent_id))
        try:
            chunks = await chunks_of(self._state.reply, chat)
        except ReplyError as error:
            raise RefusedError(refuse(500, str(error))) from error
        return await self._respond(scenario, self._reply(scenario, chunks), "text/event-stream")

    async def duplicate(self, request: Request) -> Response:
        agent_id = request.path_params["agent_id"]
        body = await _receive(request)
        self._state.remember(MockRequest("duplicate", agent_id, request.headers, body.value))
        self._check_key(request)
        scenario = self._scenario(agent_id)
        agent = self._state.agents.get(agent_id)
        if agent is None:
            raise RefusedError(self._unknown(agent_id))
        copy = self._state.agents.duplicate(agent)
        return await self._respond(scenario, scenario.duplicate(attrs.asdict(copy)), "application/json")

    async def refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, RefusedError)
        refusal = error.refusal
        response = Response(refusal.body, refusal.status_code, media_type=refusal.media_type)
        if refusal.asks_to_wait:
            wait = self._state.retry_after if refusal.wait is None else refusal.wait
            response.headers["retry-after"] = str(wait)
        return response

    def _unknown(self, agent_id: str) -> Refusal:
        # The service's own message is shorter, but an unknown id is usually a mistake in a test.
        known = shorten(", ".join(self._state.agents.names()), 200)
        name = shorten(agent_id, 40)
        way = "--agents FILE" if self._state.is_command else f'add_agent("{name}")'
        return refuse(
            404, f"unknown agent {name}; the agents of this mock server are {known}; add this one with {way}"
        )

    def _check_key(self, request: Request) -> None:
        key = request.headers.get("authorization", "").strip()
        if not key:
            raise RefusedError(
                refuse(401, "The authorization header is missing; it must contain the private key")
            )
        if key.partition(" ")[0].lower() == "bearer":
            raise RefusedError(refuse(401, "Invalid private key: send only the key, without Bearer"))
        if self._state.api_key not in (None, key):
            raise RefusedError(refuse(401, "Invalid private key"))

    def _scenario(self, agent_id: str | None) -> Scenario:
        scenario = self._state.next_scenario(agent_id)
        if scenario.refusal is not None:
            raise RefusedError(scenario.refusal)
        return scenario

    async def _respond(self, scenario: Scenario, chunks: AsyncGenerator[bytes], media_type: str) -> Response:
        if scenario.slow:
            await self._state.sleep(self._state.slow)
        headers = {"cache-control": "no-store"}
        return StreamingResponse(chunks, headers=headers, media_type=scenario.media_type or media_type)

    async def _reply(self, scenario: Scenario, chunks: streams.Chunks) -> AsyncGenerator[bytes]:
        try:
            async for data in scenario.chat(self._paced(chunks)):
                yield data
                # Only a turn of the event loop lets the server notice that the client has disconnected.
                await checkpoint()
        except ReplyError as error:
            yield streams.event({"error": {"message": str(error)}})

    async def _paced(self, chunks: streams.Chunks) -> streams.Chunks:
        first = True
        async for chunk in chunks:
            if self._state.pace and not first:
                await self._state.sleep(self._state.pace)
            first = False
            yield chunk


async def _receive(request: Request) -> RequestBody:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > _MAX_BODY_BYTES:
            raise RefusedError(refuse(413, f"The request body is larger than {_MAX_BODY_BYTES} bytes"))
    return read_body(bytes(content), request.headers.get("content-type", ""))


def _valid_chat(body: RequestBody) -> dict[str, Any]:
    if body.fault is not None:
        raise RefusedError(refuse(422, [body.fault]))
    if body.value is None:
        raise RefusedError(refuse(422, [{"loc": ["body"], "msg": "Field required", "type": "missing"}]))
    details = details_of(body.value, "ChatCompletionRequest")
    if details:
        raise RefusedError(refuse(422, details))
    chat: dict[str, Any] = body.value
    return chat


async def _page(package: str, path: str, media_type: str, request: Request) -> Response:
    return Response(files(package).joinpath(path).read_bytes(), media_type=media_type)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)


async def _disconnected(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # not sent, because the client has disconnected
