"""Sends one request of the probe as it is, broken rules included: once, and bounded in time and size."""

from __future__ import annotations

import json
from functools import partial

import anyio
import attrs
import httpx

from millis_wrapper import Timeout
from millis_wrapper._http import KeyAuth, build_request, client_options
from millis_wrapper.options import Secret, Settings
from millis_wrapper.request import PreparedRequest, chat_call, duplicate_call

from .exchanges import NO_SUCH_KEY, Exchange

MAX_BODY_BYTES = 1024 * 1024


@attrs.frozen
class Answer:
    """What came back, without what a report must not hold: of the headers only their names.

    `media_type`: without its parameters, "" where there is none.
    """

    status: int
    media_type: str
    header_names: tuple[str, ...]
    body: bytes = attrs.field(repr=False)


class NoAnswerError(Exception):
    """No whole answer came; the message says why, and `sent` whether the request may have arrived."""

    def __init__(self, reason: str, *, sent: bool = True) -> None:
        super().__init__(reason)
        self.sent = sent


def ask(exchange: Exchange, settings: Settings, agent_id: str, limit: float) -> Answer:
    """Send `exchange`, and return the answer; raises NoAnswerError when none came within `limit` seconds."""
    return anyio.run(partial(_ask, _call(exchange, agent_id), _auth(exchange, settings), settings, limit))


async def _ask(call: PreparedRequest, auth: httpx.Auth | None, settings: Settings, limit: float) -> Answer:
    limits = Timeout(connect=limit, pool=limit, write=limit, first_byte=limit, idle=limit)
    try:
        # httpx limits each wait, and a service that sends now and then has no end.
        with anyio.fail_after(limit):
            async with httpx.AsyncClient(**client_options(settings)) as http:
                request = build_request(http, settings, call, limits)
                response = await http.send(request, stream=True, auth=auth, follow_redirects=False)
                try:
                    return await _read(response)
                finally:
                    await response.aclose()
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
        raise NoAnswerError("there was no connection to the service", sent=False) from error
    except (TimeoutError, httpx.TimeoutException) as error:
        raise NoAnswerError(f"no whole answer came within {limit:g} s") from error
    except (httpx.RequestError, httpx.InvalidURL) as error:
        raise NoAnswerError(f"the connection broke, or it spoke no HTTP ({type(error).__name__})") from error


async def _read(response: httpx.Response) -> Answer:
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise NoAnswerError(f"the answer has more than {MAX_BODY_BYTES} bytes")
    return Answer(
        response.status_code,
        response.headers.get("content-type", "").partition(";")[0].strip().lower(),
        tuple(dict.fromkeys(name.lower() for name in response.headers)),
        bytes(body),
    )


def _call(exchange: Exchange, agent_id: str) -> PreparedRequest:
    body = exchange.body(agent_id)
    if body is None:
        return duplicate_call(exchange.agent_id(agent_id))
    # The library's request, with a body that the library would have refused to send.
    ordinary = chat_call({"agent_id": agent_id}, [{"role": "user", "content": ""}], end_of_session=False)
    return attrs.evolve(ordinary, content=json.dumps(body).encode())


def _auth(exchange: Exchange, settings: Settings) -> httpx.Auth | None:
    if exchange.key == "none":
        return None
    if exchange.key == "made up":
        return KeyAuth(Secret(NO_SUCH_KEY))
    if exchange.key == "yours after Bearer":
        return KeyAuth(Secret(f"Bearer {settings.key.reveal()}"))
    return KeyAuth(settings.key)
