"""The async client: a thin shell that sends what the cores decided, and hands them what came."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx

from millis_wrapper import _http
from millis_wrapper.chat import ReplyBuilder
from millis_wrapper.conversation import AsyncConversation, Turn
from millis_wrapper.errors import ConfigurationError
from millis_wrapper.options import Region, Timeout, as_timeout, read_settings
from millis_wrapper.request import PreparedRequest, agent_arguments, chat_call, duplicate_call, message_dicts
from millis_wrapper.response import DuplicatedAgent, read_duplicated_agent
from millis_wrapper.retry import RetryPolicy

from .stream import AsyncChatStream
from .transport import AsyncTransport

if TYPE_CHECKING:
    from millis_wrapper.chat import ChatReply
    from millis_wrapper.request import Config, Messages


class AsyncChat:
    """Talking to an agent by text: `millis.chat`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def stream(
        self,
        messages: Messages,
        *,
        agent_id: str | None = None,
        agent_config: Config | None = None,
        metadata: Mapping[str, Any] | None = None,
        include_metadata_in_prompt: bool | None = None,
        end_of_session: bool = False,
        timeout: float | Timeout | None = None,
    ) -> AsyncChatStream:
        """Send `messages` to an agent, and stream its reply.

        Nothing is sent before the stream is entered or read.

        Args:
            messages: a str (said by the user), or the whole history as a list of dicts or generated message
                models; the service keeps none.
            agent_id: a saved agent.
            agent_config: a config (dict or generated model) of its own or, beside an `agent_id`, what to
                override of the saved one (probably by whole top-level keys). Only what is in it is sent.
            metadata: values for the `{name}` placeholders of prompt and messages.
            include_metadata_in_prompt: whether the agent is shown the metadata.
            end_of_session: whether this is the last turn.
            timeout: seconds for each wait, or a Timeout; None is the client's.

        Raises ConfigurationError at once for arguments that cannot be right, and warns (UnknownFieldWarning)
        of config keys that the contract does not know.
        """
        agent = agent_arguments(
            agent_id=agent_id,
            agent_config=agent_config,
            metadata=metadata,
            include_metadata_in_prompt=include_metadata_in_prompt,
            strict=self._transport.settings.strict,
        )
        call = chat_call(agent, message_dicts(messages), end_of_session=end_of_session)
        return self._stream(lambda: call, timeout)

    async def send(
        self,
        messages: Messages,
        *,
        agent_id: str | None = None,
        agent_config: Config | None = None,
        metadata: Mapping[str, Any] | None = None,
        include_metadata_in_prompt: bool | None = None,
        end_of_session: bool = False,
        timeout: float | Timeout | None = None,
    ) -> ChatReply:
        """Send `messages` to an agent, and return its whole reply; arguments as in `stream`, errors as in
        `stream` and in reading it.
        """
        async with self.stream(
            messages,
            agent_id=agent_id,
            agent_config=agent_config,
            metadata=metadata,
            include_metadata_in_prompt=include_metadata_in_prompt,
            end_of_session=end_of_session,
            timeout=timeout,
        ) as stream:
            return await stream.get_final_reply()

    def conversation(
        self,
        *,
        agent_id: str | None = None,
        agent_config: Config | None = None,
        metadata: Mapping[str, Any] | None = None,
        include_metadata_in_prompt: bool | None = None,
        timeout: float | Timeout | None = None,
    ) -> AsyncConversation:
        """Begin a conversation, which keeps the history and sends it whole with each turn; arguments as in
        `stream`, and the errors of the arguments at once.
        """
        agent = agent_arguments(
            agent_id=agent_id,
            agent_config=agent_config,
            metadata=metadata,
            include_metadata_in_prompt=include_metadata_in_prompt,
            strict=self._transport.settings.strict,
        )
        limits = as_timeout(timeout, self._transport.timeout)

        def open_turn(turn: Turn[AsyncChatStream], timeout: float | Timeout | None) -> AsyncChatStream:
            return self._stream(
                lambda: chat_call(agent, turn.begin(), end_of_session=turn.end_of_session),
                as_timeout(timeout, limits),
                turn.over,
            )

        return AsyncConversation(open_turn)

    def _stream(
        self,
        make_call: Callable[[], PreparedRequest],
        timeout: float | Timeout | None,
        when_over: Callable[[ReplyBuilder], None] | None = None,
    ) -> AsyncChatStream:
        transport = self._transport
        limits = as_timeout(timeout, transport.timeout)
        core = ReplyBuilder(redact=transport.settings.key.redact, when_over=when_over)
        return AsyncChatStream(transport, make_call, limits, core)


class AsyncAgents:
    """Saved agents: `millis.agents`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def duplicate(self, agent_id: str, *, timeout: float | Timeout | None = None) -> DuplicatedAgent:
        """Make a copy of an agent with its whole config, and return it.

        Each request that arrives makes a copy, so it is sent again only when it provably did not arrive, or
        was refused with 429.

        Args:
            agent_id: the agent to copy.
            timeout: seconds for each wait, or a Timeout; None is the client's.

        Raises APIStatusError (NotFoundError for an unknown agent), APIConnectionError, whose `maybe_processed`
        tells whether a copy may exist, UnexpectedResponseError for an answer without an id, and
        ConfigurationError before anything is sent.
        """
        limits = as_timeout(timeout, self._transport.timeout)
        body = await self._transport.read(duplicate_call(agent_id), limits)
        return read_duplicated_agent(body, redact=self._transport.settings.key.redact)


class AsyncMillis:
    """The async client of the Millis AI service.

    Args:
        api_key: your private key; else MILLIS_API_KEY.
        region: "us" or "eu".
        base_url: the host, in place of a region; else MILLIS_BASE_URL, else the US.
        timeout: seconds for each wait, or a Timeout; None is Timeout(), never "for ever".
        max_retries: how often to send again what may be sent again, or a RetryPolicy.
        http_client: an httpx.AsyncClient of your own (proxy, transport); it is used as it is, and you close
            it.
        headers: sent with each request, on top of ours.
        allow_http: whether the key may go in the clear to another machine.
        strict: whether config keys that the contract does not know are errors instead of warnings.

    Raises ConfigurationError, naming the argument and what to do.

    May be used in more than one event loop. `aclose()` it, or use it in `async with`.

    Example:
        >>> async def main() -> str:
        ...     async with AsyncMillis() as millis:
        ...         reply = await millis.chat.send("Hello", agent_id="-OabCdEfGhIjKlMnOpQr")
        ...     return reply.text
        >>> asyncio.run(main())
        'Hello'
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        region: Region | None = None,
        base_url: str | None = None,
        timeout: float | Timeout | None = None,
        max_retries: int | RetryPolicy = 2,
        http_client: httpx.AsyncClient | None = None,
        headers: Mapping[str, str] | None = None,
        allow_http: bool = False,
        strict: bool = False,
    ) -> None:
        if http_client is not None and not isinstance(http_client, httpx.AsyncClient):
            raise ConfigurationError(
                f"http_client: must be an httpx.AsyncClient, not {type(http_client).__name__}"
            )
        self._settings = read_settings(
            api_key, region=region, base_url=base_url, allow_http=allow_http, headers=headers, strict=strict
        )
        _http.ensure_valid_host(self._settings.base_url)
        policy = max_retries if isinstance(max_retries, RetryPolicy) else RetryPolicy(max_retries=max_retries)
        self._transport = AsyncTransport(self._settings, as_timeout(timeout, Timeout()), policy, http_client)
        self.chat = AsyncChat(self._transport)
        self.agents = AsyncAgents(self._transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings.base_url!r}, api_key={self._settings.key!r})"

    async def aclose(self) -> None:
        """Close the client's connections; those of a client that was handed in stay open."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
