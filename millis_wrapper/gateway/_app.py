"""The gateway as an ASGI application."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from hmac import compare_digest
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs
from starlette.applications import Starlette
from starlette.datastructures import Headers, Secret
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router

from millis_wrapper import AsyncMillis, ConfigurationError, MillisError
from millis_wrapper._text import short_repr

from ._requests import PARAMETERS, stream_arguments
from ._responses import Failure, Reply, failure_of, json_response, log

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

MAX_BODY_BYTES = 16 * 1024 * 1024
# A client that is still sending when the connection is closed does not see the response, so the gateway reads
# a body that is too large to its end, up to this many bytes.
_MAX_DRAINED_BYTES = 4 * MAX_BODY_BYTES
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
    if gateway_key is None:
        gateway_key = os.environ.get("MILLIS_GATEWAY_KEY", "").strip() or None
    # A traceback must not show the key.
    key, gateway_key = None if gateway_key is None else Secret(gateway_key), None
    if key is not None and not re.fullmatch("[!-~]+", str(key)):
        raise ConfigurationError("gateway_key (MILLIS_GATEWAY_KEY): must be printable ASCII without spaces")
    for origin in cors:
        if not _ORIGIN.fullmatch(origin):
            raise ConfigurationError(
                f"cors: must be an origin such as http://localhost:3000, got {short_repr(origin)}"
            )
    used = AsyncMillis(max_retries=0) if client is None else client
    for name, agent_id in models.items():
        try:
            used.chat.stream("-", agent_id=agent_id)  # This checks the id and sends no request.
        except ConfigurationError as error:
            raise ConfigurationError(f"model {short_repr(name)}: {error}") from None

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        yield
        if client is None:
            await used.aclose()

    gateway = _Gateway(used, dict(models), key)
    routes = [Route("/chat/completions", gateway.chat, methods=["POST"]), Route("/models", gateway.models)]
    guard = Middleware(_guard, is_local=key is None, cors=cors)
    cors_headers = Middleware(
        CORSMiddleware,
        allow_origins=[*cors],
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
        expose_headers=["retry-after", "x-should-retry"],
    )
    app = Starlette(
        routes=[Mount("/v1", Router(routes, redirect_slashes=False)), *routes],
        middleware=[guard, cors_headers],
        exception_handlers=dict.fromkeys(
            (HTTPException, MillisError, ClientDisconnect, Exception), _on_error
        ),
        lifespan=lifespan,
    )
    # Behind a proxy with TLS, Starlette's redirects to the path without a slash would lead to plain HTTP.
    app.router.redirect_slashes = False
    return app


def _guard(app: ASGIApp, *, is_local: bool, cors: Collection[str]) -> ASGIApp:
    """Return `app` behind a check that rejects requests of other web pages."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        chosen = app
        if scope["type"] == "http":
            hosts, origins = (Headers(scope=scope).getlist(name) for name in ("host", "origin"))
            # With DNS rebinding, a web page reaches this machine under the page's own host name.
            if is_local and not (len(hosts) == 1 and _LOCAL_HOST.fullmatch(hosts[0])):
                message = (
                    "Host: must be localhost, 127.0.0.1 or [::1]; set MILLIS_GATEWAY_KEY to use other names"
                )
                chosen = Failure(403, message, code="host_not_allowed").response()
            elif any(origin not in cors for origin in origins):
                message = "Origin: this web page cannot use the gateway; allow its origin with --cors ORIGIN"
                chosen = Failure(403, message, code="origin_not_allowed").response()
        await chosen(scope, receive, send)

    return guarded


@attrs.frozen
class _Gateway:
    """The endpoints, with the client, the names of agents and the key that they share."""

    client: AsyncMillis
    agents: Mapping[str, str]
    key: Secret | None

    async def models(self, request: Request) -> Response:
        self._check_key(request)
        more = {"object": "model", "created": int(time.time()), "owned_by": "millis"}
        return json_response({"object": "list", "data": [{"id": name, **more} for name in self.agents]})

    async def chat(self, request: Request) -> Reply:
        self._check_key(request)
        body = await _read_json(request)
        stream = self.client.chat.stream(**stream_arguments(body, self.agents))
        for name in sorted(body.keys() - PARAMETERS):
            log_ignored(name)
        return Reply(stream, body)

    def _check_key(self, request: Request) -> None:
        if self.key is None:
            return
        # Two headers do not match: a proxy might have checked only one of them.
        scheme, _, key = ", ".join(request.headers.getlist("authorization")).partition(" ")
        if scheme.lower() != "bearer" or not compare_digest(key.encode(), str(self.key).encode()):
            message = "Authorization: must be the gateway's key (MILLIS_GATEWAY_KEY) as a bearer token"
            raise Failure(401, message, {"www-authenticate": "Bearer"}, code="invalid_api_key")


@lru_cache(maxsize=100)  # Clients choose the names, so their number must have a limit.
def log_ignored(name: str) -> None:
    log.info("parameter %.60s is ignored (logged once)", ascii(name))


async def _read_json(request: Request) -> Any:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        # A web page can send the other types without a preflight.
        raise Failure(415, "Content-Type: must be application/json")
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            body += chunk
        elif size > _MAX_DRAINED_BYTES:
            break
    if size > MAX_BODY_BYTES:
        raise Failure(413, f"body: must not be larger than {MAX_BODY_BYTES} bytes")
    try:
        return json.loads(bytes(body))
    except (ValueError, RecursionError) as error:
        raise Failure(400, f"body: is not valid JSON: {error}") from None


async def _on_error(request: Request, error: Exception) -> Response:
    if isinstance(error, MillisError):
        error = failure_of(error)
    elif not isinstance(error, HTTPException):
        # Clients retry a 500, although the service may have acted on the request. The server logs `error`.
        message = "internal error of the gateway; see its log"
        error = Failure(400, message, type="internal_error", code="internal_error")
    elif not isinstance(error, Failure):
        message = f"{error.detail}; use chat completions: POST /v1/chat/completions, GET /v1/models"
        error = Failure(error.status_code, message, dict(error.headers or {}))
    return error.response()
