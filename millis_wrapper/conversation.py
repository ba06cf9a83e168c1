"""A conversation: the history that the service does not keep, sent whole with each turn."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import attrs

from .chat import ReplyBuilder
from .errors import ConfigurationError
from .request import message_dicts

if TYPE_CHECKING:
    from ._async.stream import AsyncChatStream
    from ._sync.stream import ChatStream
    from .chat import ChatReply
    from .options import Timeout
    from .request import Messages


S = TypeVar("S")


class History(Generic[S]):
    """The messages so far, and the one turn that may be under way, with its stream. No I/O."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.left_early: set[int] = set()
        self.turn: Turn[S] | None = None

    def load(self, messages: Messages) -> None:
        """Replace all messages."""
        self.refuse_second_turn()
        self.messages = copy.deepcopy(message_dicts(messages, may_be_empty=True))
        self.left_early.clear()

    def refuse_second_turn(self) -> None:
        """Raise ConfigurationError while a turn is under way."""
        if self.turn is not None:
            raise ConfigurationError(
                "conversation: a reply is still being read; read it to its end, or close its stream, first"
            )


@attrs.define(eq=False)
class Turn(Generic[S]):
    """One turn of a history: the user's text, and what becomes of it."""

    history: History[S]
    text: str
    end_of_session: bool
    stream: S | None = None

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise ConfigurationError(f"text: must be a str, not {type(self.text).__name__}")

    def begin(self) -> list[dict[str, Any]]:
        """Return the messages to send; raises ConfigurationError while another turn is under way."""
        self.history.refuse_second_turn()
        self.history.turn = self
        return [*self.history.messages, {"role": "user", "content": self.text}]

    def over(self, core: ReplyBuilder) -> None:
        """Keep the turn if its reply is whole, or was left by the caller after some of it was read; else
        forget it.
        """
        history = self.history
        if history.turn is not self:
            return
        history.turn = None
        reply = core.reply
        if reply.ended is None:
            if core.failed or not reply.text:
                return
            reply = attrs.evolve(reply, tool_calls=[])  # which may be cut in the middle of their arguments
            history.left_early.add(len(history.messages) + 1)
        history.messages += [{"role": "user", "content": self.text}, copy.deepcopy(reply.message)]


class _Remembering(Generic[S]):
    """What the sync and the async conversation share."""

    def __init__(self, open_turn: Callable[[Turn[S], float | Timeout | None], S]) -> None:
        self._history = History[S]()
        self._open_turn = open_turn

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The history as it would be sent: a copy."""
        return copy.deepcopy(self._history.messages)

    @property
    def left_early(self) -> tuple[int, ...]:
        """Which of `messages` are replies that the caller left before their end, and that are therefore not
        whole.
        """
        return tuple(sorted(self._history.left_early))

    def load(self, messages: Messages) -> None:
        """Replace the history with `messages`, a list of them (an empty one to begin anew).

        Raises ConfigurationError for messages that the service would refuse, and while a reply is being read.
        """
        self._history.load(messages)

    def _new_stream(self, text: str, end_of_session: bool, timeout: float | Timeout | None) -> S:
        self._history.refuse_second_turn()
        turn = Turn(self._history, text, end_of_session)
        turn.stream = self._open_turn(turn, timeout)
        return turn.stream

    def _open_stream(self) -> S | None:
        turn = self._history.turn
        return turn.stream if turn is not None else None


class Conversation(_Remembering["ChatStream"]):
    """A conversation with one agent; made by `millis.chat.conversation(...)`.

    Usable in `with`: leaving the block closes a stream that is still open, and sends nothing.

    Example:
        >>> with millis.chat.conversation(agent_id="-OabCdEfGhIjKlMnOpQr") as talk:
        ...     first, second = talk.send("Hello"), talk.send("And tomorrow?", end_of_session=True)
        >>> [message["role"] for message in talk.messages]
        ['user', 'assistant', 'user', 'assistant']
    """

    def stream(
        self, text: str, *, end_of_session: bool = False, timeout: float | Timeout | None = None
    ) -> ChatStream:
        """Say `text`, and stream the agent's reply.

        The turn is added to the history when the reply is whole. One that failed or was interrupted adds
        nothing, so that it can be said again; one that you leave early is kept as far as you read it, and
        its position is in `left_early`. `end_of_session`: whether this is the last turn. `timeout`:
        seconds, or a Timeout. Raises what `chat.stream` raises, and ConfigurationError while the reply
        before is still being read.
        """
        return self._new_stream(text, end_of_session, timeout)

    def send(
        self, text: str, *, end_of_session: bool = False, timeout: float | Timeout | None = None
    ) -> ChatReply:
        """Say `text`, and return the agent's whole reply; arguments and errors as in `stream`."""
        with self.stream(text, end_of_session=end_of_session, timeout=timeout) as stream:
            return stream.get_final_reply()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        stream = self._open_stream()
        if stream is not None:
            stream.close()


class AsyncConversation(_Remembering["AsyncChatStream"]):
    """A conversation with one agent; made by `millis.chat.conversation(...)`.

    Usable in `async with`: leaving the block closes a stream that is still open, and sends nothing.
    """

    def stream(
        self, text: str, *, end_of_session: bool = False, timeout: float | Timeout | None = None
    ) -> AsyncChatStream:
        """Say `text`, and stream the agent's reply.

        The turn is added to the history when the reply is whole. One that failed or was interrupted adds
        nothing, so that it can be said again; one that you leave early is kept as far as you read it, and
        its position is in `left_early`. `end_of_session`: whether this is the last turn. `timeout`:
        seconds, or a Timeout. Raises what `chat.stream` raises, and ConfigurationError while the reply
        before is still being read.
        """
        return self._new_stream(text, end_of_session, timeout)

    async def send(
        self, text: str, *, end_of_session: bool = False, timeout: float | Timeout | None = None
    ) -> ChatReply:
        """Say `text`, and return the agent's whole reply; arguments and errors as in `stream`."""
        async with self.stream(text, end_of_session=end_of_session, timeout=timeout) as stream:
            return await stream.get_final_reply()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        stream = self._open_stream()
        if stream is not None:
            await stream.aclose()
