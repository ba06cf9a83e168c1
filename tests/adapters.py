"""The interface of the async client as protocols, and adapters that give it to the sync client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Any, Protocol, Self

import attrs

from millis_wrapper import ChatChunk, ChatReply, ChatStream, Conversation, DuplicatedAgent, Millis, Timeout
from millis_wrapper._sync.agents import Agents
from millis_wrapper._sync.client import Chat


class AnyStream(Protocol):
    @property
    def reply(self) -> ChatReply: ...
    @property
    def text_stream(self) -> AsyncGenerator[str]: ...
    async def until_done(self) -> None: ...
    async def get_final_reply(self) -> ChatReply: ...
    async def close(self) -> None: ...
    def __aiter__(self) -> AsyncIterator[ChatChunk]: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...


class AnyConversation(Protocol):
    @property
    def messages(self) -> list[dict[str, Any]]: ...
    @property
    def left_early(self) -> tuple[int, ...]: ...
    def load(self, messages: list[dict[str, Any]]) -> None: ...
    def stream(self, text: str, *, end_of_session: bool = False) -> AnyStream: ...
    async def send(self, text: str, *, end_of_session: bool = False) -> ChatReply: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...


class AnyChat(Protocol):
    def stream(self, *args: Any, **kwargs: Any) -> AnyStream: ...
    async def send(self, *args: Any, **kwargs: Any) -> ChatReply: ...
    def conversation(self, *args: Any, **kwargs: Any) -> AnyConversation: ...


class AnyAgents(Protocol):
    async def duplicate(
        self, agent_id: str, *, timeout: float | Timeout | None = None
    ) -> DuplicatedAgent: ...


class AnyMillis(Protocol):
    @property
    def chat(self) -> AnyChat: ...
    @property
    def agents(self) -> AnyAgents: ...
    async def aclose(self) -> None: ...


@attrs.frozen
class StreamAsAsync:
    """A sync stream with async methods."""

    bare: ChatStream

    @property
    def reply(self) -> ChatReply:
        return self.bare.reply

    @property
    async def text_stream(self) -> AsyncGenerator[str]:
        for text in self.bare.text_stream:
            yield text

    async def until_done(self) -> None:
        self.bare.until_done()

    async def get_final_reply(self) -> ChatReply:
        return self.bare.get_final_reply()

    async def close(self) -> None:
        self.bare.close()

    async def __aiter__(self) -> AsyncIterator[ChatChunk]:
        for chunk in self.bare:
            yield chunk

    async def __aenter__(self) -> Self:
        self.bare.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.bare.__exit__(kind, error, traceback)


@attrs.frozen
class ConversationAsAsync:
    bare: Conversation

    @property
    def messages(self) -> list[dict[str, Any]]:
        return self.bare.messages

    @property
    def left_early(self) -> tuple[int, ...]:
        return self.bare.left_early

    def load(self, messages: list[dict[str, Any]]) -> None:
        self.bare.load(messages)

    def stream(self, text: str, *, end_of_session: bool = False) -> StreamAsAsync:
        return StreamAsAsync(self.bare.stream(text, end_of_session=end_of_session))

    async def send(self, text: str, *, end_of_session: bool = False) -> ChatReply:
        return self.bare.send(text, end_of_session=end_of_session)

    async def __aenter__(self) -> Self:
        self.bare.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.bare.__exit__(kind, error, traceback)


@attrs.frozen
class ChatAsAsync:
    bare: Chat

    def stream(self, *args: Any, **kwargs: Any) -> StreamAsAsync:
        return StreamAsAsync(self.bare.stream(*args, **kwargs))

    async def send(self, *args: Any, **kwargs: Any) -> ChatReply:
        return self.bare.send(*args, **kwargs)

    def conversation(self, *args: Any, **kwargs: Any) -> ConversationAsAsync:
        return ConversationAsAsync(self.bare.conversation(*args, **kwargs))


@attrs.frozen
class AgentsAsAsync:
    bare: Agents

    async def duplicate(self, *args: Any, **kwargs: Any) -> DuplicatedAgent:
        return self.bare.duplicate(*args, **kwargs)


@attrs.frozen
class MillisAsAsync:
    bare: Millis

    @property
    def chat(self) -> ChatAsAsync:
        return ChatAsAsync(self.bare.chat)

    @property
    def agents(self) -> AgentsAsAsync:
        return AgentsAsAsync(self.bare.agents)

    async def aclose(self) -> None:
        self.bare.close()
