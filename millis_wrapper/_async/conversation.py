"""A conversation: keeps the history, because the service does not, and sends all of it with each turn."""

from __future__ import annotations

import json
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import attrs

from millis_wrapper.errors import ConfigurationError
from millis_wrapper.options import Timeout, as_timeout
from millis_wrapper.request import prepare_chat, write_messages

from .stream import AsyncChatStream

if TYPE_CHECKING:
    from millis_wrapper._types import Messages
    from millis_wrapper.chat import ReplyBuilder
    from millis_wrapper.results import ChatReply

    from .transport import AsyncTransport


class _Turn(NamedTuple):
    message: bytes
    builder: ReplyBuilder
    # A weak reference, so that a stream that the caller drops is closed, which ends its turn.
    stream: weakref.ref[AsyncChatStream]


class AsyncConversation:
    """A conversation with one agent, returned by `millis.chat.conversation(...)`.

    Leaving an `async with` block closes a stream that is still open; it sends no request.

    Examples:
        >>> async def main():
        ...     async with millis.chat.conversation(agent_id="-OabCdEfGhIjKlMnOpQr") as talk:
        ...         first = await talk.send("Hello")
        ...         second = await talk.send("And tomorrow?", end_of_session=True)
        ...     return [message["role"] for message in talk.messages]
        >>> asyncio.run(main())
        ['user', 'assistant', 'user', 'assistant']
    """

    def __init__(self, transport: AsyncTransport, agent: dict[str, Any], timeout: Timeout) -> None:
        self._transport = transport
        self._agent = agent
        self._timeout = timeout
        # As JSON, so that no caller can change them and a turn only has to join them.
        self._messages: list[bytes] = []
        self._left_early: set[int] = set()
        # At most one turn, until its outcome is known. Removing it from the list is atomic, so that two
        # threads cannot add it to the history twice.
        self._turns: list[_Turn] = []

    @property
    def messages(self) -> list[dict[str, Any]]:
        """A copy of the history."""
        self._add_finished_turn()
        messages: list[dict[str, Any]] = json.loads(b"[%s]" % b",".join(self._messages))
        return messages

    @property
    def left_early(self) -> tuple[int, ...]:
        """The indexes in `messages` of incomplete replies, which the caller stopped reading."""
        self._add_finished_turn()
        return tuple(sorted(self._left_early))

    def load(self, messages: Messages) -> None:
        """Replace the history.

        Args:
            messages: The new history, a list of messages. An empty list starts over.

        Raises:
            ConfigurationError: The messages are invalid or cannot be encoded as JSON, or a reply is still
                being read.
        """
        self._ensure_no_turn()
        self._messages = write_messages(messages, may_be_empty=True)
        self._left_early.clear()

    def stream(
        self, text: str, *, end_of_session: bool = False, timeout: float | Timeout | None = None
    ) -> AsyncChatStream:
        """Send `text` as the user's next message and stream the agent's reply.

        A complete reply adds the turn to the history. A reply that failed or was interrupted adds nothing, so
        the turn can be retried. If you stop reading early, the history keeps the part that you read, and
        `left_early` contains its index.

        Args:
            text: The user's message.
            end_of_session: Whether this is the last turn of the session.
            timeout: Seconds for each wait, or a Timeout. The default is the conversation's timeout.

        Raises:
            ConfigurationError: An argument is invalid, or the previous reply is still being read.
        """
        self._ensure_no_turn()
        if not isinstance(text, str):
            raise ConfigurationError(f"text: must be a str, got {type(text).__name__}")
        (message,) = write_messages(text, first=len(self._messages))
        prepared = prepare_chat(self._agent, [*self._messages, message], end_of_session=end_of_session)
        builder = self._transport.new_builder()
        stream = AsyncChatStream(self._transport, prepared, as_timeout(timeout, self._timeout), builder)
        self._turns.append(_Turn(message, builder, weakref.ref(stream)))
        return stream

    async def send(
        self, text: str, *, end_of_session: bool = False, timeout: float | Timeout | None = None
    ) -> ChatReply:
        """Send `text` as the user's next message and return the agent's complete reply.

        Args:
            text: The user's message.
            end_of_session: Whether this is the last turn of the session.
            timeout: Seconds for each wait, or a Timeout. The default is the conversation's timeout.

        Raises:
            MillisError: An argument is invalid, or the turn failed as in `millis.chat.send`; the history does
                not change.
        """
        async with self.stream(text, end_of_session=end_of_session, timeout=timeout) as stream:
            return await stream.get_final_reply()

    def __repr__(self) -> str:
        self._add_finished_turn()
        # The config and the metadata may contain secrets.
        agent = repr(self._agent["agent_id"]) if "agent_id" in self._agent else "agent_config"
        return f"<{type(self).__name__} {agent}, {len(self._messages)} messages>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for turn in self._turns[:]:
            if (stream := turn.stream()) is not None:
                await stream.close()

    def _ensure_no_turn(self) -> None:
        self._add_finished_turn()
        if self._turns:
            raise ConfigurationError(
                "conversation: the previous reply is still streaming; read it to the end, or close it"
            )

    def _add_finished_turn(self) -> None:
        """Add the latest turn to the history once its reply is over.

        The turn is added if its reply is complete, or if the caller stopped reading it after some text.
        """
        turns = self._turns[:]
        if not turns or turns[0].builder.state == "open":
            return
        try:
            self._turns.remove(turns[0])
        except ValueError:  # another thread has removed it
            return
        builder = turns[0].builder
        reply = builder.reply
        if reply.ended is None:
            if builder.state == "failed" or not reply.text:
                return
            reply = attrs.evolve(reply, tool_calls=[])  # their arguments may be cut off
            self._left_early.add(len(self._messages) + 1)
        self._messages += [turns[0].message, *write_messages([reply.message])]
