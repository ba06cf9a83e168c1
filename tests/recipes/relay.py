"""A relay from an agent to a browser: the reply streams on as it arrives, and stops when the browser leaves.

    pip install fastapi uvicorn
    MILLIS_API_KEY=... MILLIS_AGENT_ID=... uvicorn relay:app

The browser posts {"text": "Hello"} to /chat, and reads server-sent events: `text`, then `done` or `failed`.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from millis_wrapper import AsyncChatStream, AsyncMillis, MillisError, RateLimitError


class Question(BaseModel):
    text: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Keep one client for all requests, so that its connections are used again."""
    async with AsyncMillis() as millis:
        app.state.millis = millis
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/chat")
async def chat(question: Question) -> StreamingResponse:
    """Answer with the agent's reply, or with an error status if it does not even begin."""
    millis: AsyncMillis = app.state.millis
    stream = millis.chat.stream(question.text, agent_id=os.environ["MILLIS_AGENT_ID"])
    try:
        await stream.open()
    except RateLimitError as error:
        wait = {"retry-after": f"{error.retry_after:.0f}"} if error.retry_after is not None else None
        raise HTTPException(503, "The agent is busy.", headers=wait) from error
    except MillisError as error:
        raise HTTPException(502, "The agent cannot be reached.") from error
    return StreamingResponse(events(stream), media_type="text/event-stream")


async def events(stream: AsyncChatStream) -> AsyncGenerator[str]:
    """Yield the reply as events; a browser that leaves cancels this, and the block closes the stream."""
    async with stream:
        try:
            async for text in stream.text_stream:
                yield event("text", text)
        except MillisError:
            # What the browser has is not whole, and it has to know.
            yield event("failed", "The reply broke off.")
        else:
            yield event("done", "")


def event(name: str, text: str) -> str:
    """Return one server-sent event; as JSON, so that line ends in the text do no harm."""
    return f"event: {name}\ndata: {json.dumps(text)}\n\n"
