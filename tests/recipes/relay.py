"""Chat with an agent in a browser. The reply streams in, and stops when the user presses Stop or leaves.

    pip install fastapi uvicorn
    MILLIS_API_KEY=... MILLIS_AGENT_ID=... uvicorn relay:app        # then open http://127.0.0.1:8000

The page, relay.html, posts {"text": "Hello"} to /chat and reads server-sent events: `text`, then `done` or
`failed`. It uses `fetch` with POST, because EventSource can only send GET requests, with the text in the
URL. EventSource also reconnects after every reply, which would send the message again and pay for it again.

Add a login before you publish this: everyone who can open the page can spend your money.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, Field

from millis_wrapper import AsyncChatStream, AsyncConversation, AsyncMillis, MillisError, RateLimitError

MAX_SESSIONS = 1000  # Beyond this number, the least recently used conversation is dropped.

log = logging.getLogger("relay")


class Question(BaseModel):
    text: str = Field(min_length=1, max_length=4000)


@dataclass
class Session:
    """The conversation of one browser, and the stream that it is reading."""

    talk: AsyncConversation
    stream: AsyncChatStream | None = None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Share one client between all requests, so that they reuse its connections."""
    async with AsyncMillis() as app.state.millis:
        app.state.sessions = {}
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def page() -> FileResponse:
    """Return the page."""
    return FileResponse(Path(__file__).with_name("relay.html"))


@app.post("/chat")
async def chat(question: Question, request: Request) -> StreamingResponse:
    """Stream the agent's reply, or return an error status if no reply begins."""
    name, session = session_of(request)
    if session.stream is not None:
        await session.stream.close()  # The user pressed Stop, or asks in a second tab.
    session.stream = session.talk.stream(question.text)
    try:
        await session.stream.open()
    except MillisError as error:
        log.warning("no reply: %s", error)
        if not isinstance(error, RateLimitError):
            raise HTTPException(502, "The agent cannot be reached.") from error
        wait = {} if error.retry_after is None else {"retry-after": f"{error.retry_after:.0f}"}
        raise HTTPException(503, "The agent is busy.", headers=wait) from error
    response = StreamingResponse(events(session.stream), media_type="text/event-stream")
    response.set_cookie("session", name, httponly=True, samesite="strict")
    return response


def session_of(request: Request) -> tuple[str, Session]:
    """Return the session that the browser's cookie names, or a new one."""
    sessions: dict[str, Session] = request.app.state.sessions
    name = request.cookies.get("session", "")
    session = sessions.pop(name, None)
    if session is None:
        millis: AsyncMillis = request.app.state.millis
        name = secrets.token_urlsafe()
        session = Session(millis.chat.conversation(agent_id=os.environ["MILLIS_AGENT_ID"]))
    sessions[name] = session  # a dict keeps its order, so the first session is the least recently used
    if len(sessions) > MAX_SESSIONS:
        del sessions[next(iter(sessions))]
    return name, session


async def events(stream: AsyncChatStream) -> AsyncGenerator[str]:
    """Yield the reply as events. When the browser leaves, Starlette cancels this, which closes the stream."""
    async with stream:
        try:
            async for text in stream.text_stream:
                yield event("text", text)
        except MillisError as error:
            log.warning("incomplete reply: %s", error)
            yield event("failed", "The reply is incomplete.")
        else:
            yield event("done", "")


def event(name: str, text: str) -> str:
    """Return one server-sent event. JSON escapes line breaks, which would end the event."""
    return f"event: {name}\ndata: {json.dumps(text)}\n\n"
