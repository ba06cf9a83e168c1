"""The gateway as an ASGI application."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import re
import time
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from millis_wrapper import AsyncMillis, ConfigurationError

from ._errors import Failure, RequestError, failure_of, json_response
from ._reply import Reply
from ._requests import read_chat

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("millis_wrapper.gateway")

MAX_BODY_BYTES = 16 * 1024 * 1024
# A client that is still sending when the connection is closed does not see the response, so the gateway reads
# a body that is too large to its end, up to this many bytes.
_MAX_DRAINED_BYTES = 4 * MAX_BODY_BYTES
_MAX_LOGGED_NAMES = 100
_LOCAL_HOST = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?", re.ASCII | re.IGNORECASE)
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#*]+", re.ASCII)


def create_app(
    *,
    models: Mapping[str, str] = MappingProxyType({}),
    gateway_key: str | None = None,
    cors: Collection[str] = (),
    client: AsyncMillis | None = None,
) -> Starlette:
    """Return the gateway as an ASGI application.

    Args:
        models: Names that clients may use as `model`, each with the id of its agent.
        gateway_key: The bearer key that clients must send. None reads MILLIS_GATEWAY_KEY; if that is not set,
            the application accepts only requests whose `Host` is this machine.
        cors: The origins of web pages that may use the gateway, such as `http://localhost:3000`.
        client: The client for the service, which you close and whose retries you choose. None creates one
            with `max_retries=0`, because clients of the gateway retry themselves.

    Raises:
        ConfigurationError: An argument or an environment variable is invalid.
    """
    key, gateway_key = _read_key(gateway_key), None  # A traceback must not show the key.
    if isinstance(key, ConfigurationError):
        raise key
    for origin in cors:
        if not _ORIGIN.fullmatch(origin):
            raise ConfigurationError(f"cors: must be an origin such as http://localhost:3000, got {origin!r}")
    used = AsyncMillis(max_retries=0) if client is None else client
    for name, agent_id in models.items():
        try:
            used.chat.stream("-", agent_id=agent_id)  # This checks the id and sends no request.
        except ConfigurationError as error:
            raise ConfigurationError(f"model {name!r}: {error}") from None
    endpoints = _Gateway(used, dict(models), key)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        yield
        if client is None:
            await used.aclose()

    middleware = [Middleware(_Guard, is_local=key is None, cors=frozenset(cors))]
    if cors:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=cors,
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=["retry-after", "x-should-retry"],
            )
        )
    routes = [
        *(Route(f"{prefix}/chat/completions", endpoints.chat, methods=["POST"]) for prefix in ("/v1", "")),
        *(Route(f"{prefix}/models", endpoints.models) for prefix in ("/v1", "")),
        *(Route(f"{prefix}/responses", _refuse_responses, methods=["POST"]) for prefix in ("/v1", "")),
    ]
    handlers: Any = {
        RequestError: _on_request_error,
        HTTPException: _on_http_error,
        ClientDisconnect: _on_disconnect,
        Exception: _on_bug,
    }
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=handlers, lifespan=lifespan)
    # Behind a proxy with TLS, Starlette's redirects to the path without a slash would lead to plain HTTP.
    app.router.redirect_slashes = False
    return app


def _read_key(given: str | None) -> bytes | ConfigurationError | None:
    """Return the digest of the gateway's key, None without a key, or the error for an invalid key."""
    key = os.environ.get("MILLIS_GATEWAY_KEY", "").strip() or None if given is None else given
    if key is None:
        return None
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        return ConfigurationError("gateway_key (MILLIS_GATEWAY_KEY): must be printable ASCII without spaces")
    return hashlib.sha256(key.encode()).digest()


class _Guard:
    """Rejects requests that other web pages may have caused, and logs a line for each response."""

    def __init__(self, app: ASGIApp, *, is_local: bool, cors: Collection[str]) -> None:
        self._app = app
        self._is_local = is_local
        self._cors = cors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def logged(message: Message) -> None:
            if message["type"] == "http.response.start":
                log.info("%s %.100s -> %s", scope["method"], ascii(scope["path"])[1:-1], message["status"])
            await send(message)

        problem = self._problem(Request(scope))
        app = self._app if problem is None else problem.response()
        await app(scope, receive, logged)

    def _problem(self, request: Request) -> Failure | None:
        # With DNS rebinding, a web page reaches this machine under the page's own host name.
        hosts = request.headers.getlist("host")
        if self._is_local and not (len(hosts) == 1 and _LOCAL_HOST.fullmatch(hosts[0])):
            message = (
                "Host: must be localhost, 127.0.0.1 or [::1]; set MILLIS_GATEWAY_KEY to serve other names"
            )
            return Failure(403, message, code="host_not_allowed")
        if any(origin not in self._cors for origin in request.headers.getlist("origin")):
            message = "Origin: web pages of this origin may not use the gateway; allow it with --cors ORIGIN"
            return Failure(403, message, code="origin_not_allowed")
        return None


class _Gateway:
    """The endpoints, with the client, the names of agents and the key that they share."""

    def __init__(self, client: AsyncMillis, models: dict[str, str], key: bytes | None) -> None:
        self._client = client
        self._models = models
        self._key = key
        self._started = int(time.time())
        self._logged: set[str] = set()

    async def models(self, request: Request) -> Response:
        self._check_key(request)
        more = {"object": "model", "created": self._started, "owned_by": "millis"}
        return json_response({"object": "list", "data": [{"id": name, **more} for name in self._models]})

    async def chat(self, request: Request) -> Reply:
        self._check_key(request)
        call = read_chat(await _read_json(request))
        for name in call.ignored:
            if name not in self._logged and len(self._logged) < _MAX_LOGGED_NAMES:
                self._logged.add(name)
                log.info("parameter %.60s is ignored (logged once)", ascii(name))
        try:
            stream = self._client.chat.stream(
                call.messages,
                agent_id=self._models.get(call.model, call.model),
                agent_config=None if call.prompt is None else {"prompt": call.prompt},
                metadata=call.metadata,
            )
        except ConfigurationError as error:
            raise RequestError(failure_of(error)) from None
        return Reply(stream, call)

    def _check_key(self, request: Request) -> None:
        if self._key is None:
            return
        given = request.headers.getlist("authorization")
        scheme, _, key = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        digest = hashlib.sha256(key.strip().encode()).digest()
        # Digests have the same length, so the time of the comparison does not depend on the key.
        if not hmac.compare_digest(digest, self._key) or scheme.lower() != "bearer":
            message = "Authorization: must be the gateway's key (MILLIS_GATEWAY_KEY) as a bearer token"
            headers = {"www-authenticate": "Bearer"}
            failure = Failure(401, message, "authentication_error", code="invalid_api_key", headers=headers)
            raise RequestError(failure)


async def _read_json(request: Request) -> Any:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        # A web page can send the other types without a preflight.
        raise RequestError(Failure(415, "Content-Type: must be application/json"))
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            body += chunk
        elif size > _MAX_DRAINED_BYTES:
            break
    if size > MAX_BODY_BYTES:
        raise RequestError(Failure(413, f"body: must not be larger than {MAX_BODY_BYTES} bytes"))
    try:
        return json.loads(bytes(body), parse_constant=_raise_for_constant)
    except ValueError as error:
        raise RequestError(Failure(400, f"body: is not valid JSON: {error}")) from None
    except RecursionError:
        raise RequestError(Failure(400, "body: is nested too deeply")) from None


def _raise_for_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON value")


async def _refuse_responses(request: Request) -> Response:
    message = "the gateway does not serve the Responses API; use chat completions (POST /v1/chat/completions)"
    return Failure(404, message, code="use_chat_completions").response()


async def _on_request_error(request: Request, error: RequestError) -> Response:
    return error.failure.response()


async def _on_http_error(request: Request, error: HTTPException) -> Response:
    message = f"{error.detail}; the gateway serves POST /v1/chat/completions and GET /v1/models"
    return Failure(error.status_code, message, headers=dict(error.headers or {})).response()


async def _on_disconnect(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=400)  # The client has disconnected and does not see it.


async def _on_bug(request: Request, error: Exception) -> Response:
    # Clients retry a 500, although the service may have acted on the request. The server logs `error`.
    message = "internal error of the gateway; see its log"
    return Failure(400, message, "internal_error", code="internal_error").response()
