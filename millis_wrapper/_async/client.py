"""The client: `AsyncMillis` and its `chat`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self

import httpx

from millis_wrapper import _http, _http_clients
from millis_wrapper._fork import delays_fork
from millis_wrapper._key import read_key, wrap_key
from millis_wrapper.errors import missing_extra
from millis_wrapper.options import Region, Timeout, as_timeout, mask_headers, mask_url, read_options
from millis_wrapper.request import (
    agent_arguments,
    config_dict,
    prepare_chat,
    write_messages,
)
from millis_wrapper.retry import RetryPolicy

from . import io
from .agents import AsyncAgents
from .conversation import AsyncConversation
from .stream import AsyncChatStream
from .transport import AsyncTransport

if TYPE_CHECKING:
    from millis_wrapper._types import Config, Messages
    from millis_wrapper.results import ChatReply


@delays_fork
def load_config_checks() -> None:
    """Import the checks that `strict=True` runs.

    Raises:
        ConfigurationError: jsonschema (extra `contract`) is not installed.
    """
    try:
        import_module("jsonschema")
    except ImportError:
        raise missing_extra("strict=True", "jsonschema", "contract") from None
    import_module("millis_wrapper.config")


@delays_fork
def ensure_accepted(config: Config) -> None:
    """Raise ConfigurationError if the service would refuse the config."""
    from millis_wrapper.config import ensure_valid_override

    ensure_valid_override(config_dict(config))


class AsyncChat:
    """Chat with an agent by text: `millis.chat`."""

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
        """Send `messages` to an agent and stream the reply.

        The request is sent when the stream is opened or read.

        Args:
            messages: The user's message as a str, or the whole history as a list of dicts or generated
                message models. The service does not keep a history.
            agent_id: The ID of a saved agent.
            agent_config: A config, as a dict or generated model. Together with `agent_id`, it overrides the
                config of the saved agent: each top-level key is assumed to replace the saved key completely.
                Only keys that are set are sent.
            metadata: Values for the `{name}` placeholders in the prompt and the messages.
            include_metadata_in_prompt: Whether the service shows the metadata to the agent.
            end_of_session: Whether this is the last turn of the session.
            timeout: Seconds for each wait, or a Timeout. The default is the client's timeout.

        Raises:
            ConfigurationError: An argument is invalid; nothing was sent.

        Warns:
            UnknownFieldWarning: The config has an unknown key.
        """
        if agent_config is not None and self._transport.options.strict:
            ensure_accepted(agent_config)
        agent = agent_arguments(
            agent_id=agent_id,
            agent_config=agent_config,
            metadata=metadata,
            include_metadata_in_prompt=include_metadata_in_prompt,
            strict=self._transport.options.strict,
        )
        prepared = prepare_chat(agent, write_messages(messages), end_of_session=end_of_session)
        transport = self._transport
        timeout = transport.timeout if timeout is None else as_timeout(timeout, transport.timeout)
        return AsyncChatStream(transport, prepared, timeout, transport.new_builder())

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
        """Send `messages` to an agent and return the complete reply.

        Args:
            messages: The user's message as a str, or the whole history, as in `stream`.
            agent_id: The ID of a saved agent.
            agent_config: A config, or keys that override the config of the saved agent.
            metadata: Values for the `{name}` placeholders in the prompt and the messages.
            include_metadata_in_prompt: Whether the service shows the metadata to the agent.
            end_of_session: Whether this is the last turn of the session.
            timeout: Seconds for each wait, or a Timeout. The default is the client's timeout.

        Raises:
            ConfigurationError: An argument is invalid; nothing was sent.
            APIStatusError: The service returned an error status.
            APIConnectionError: No response arrived.
            StreamError: The reply is incomplete; `.reply` holds the received part.
            UnexpectedResponseError: The response is not an event stream.
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
        """Return a conversation, which keeps the history and sends all of it with each turn.

        Args:
            agent_id: The ID of a saved agent.
            agent_config: A config, or keys that override the config of the saved agent.
            metadata: Values for the `{name}` placeholders in the prompt and the messages.
            include_metadata_in_prompt: Whether the service shows the metadata to the agent.
            timeout: Seconds for each wait of a turn, or a Timeout. The default is the client's timeout.

        Raises:
            ConfigurationError: An argument is invalid.
        """
        if agent_config is not None and self._transport.options.strict:
            ensure_accepted(agent_config)
        agent = agent_arguments(
            agent_id=agent_id,
            agent_config=agent_config,
            metadata=metadata,
            include_metadata_in_prompt=include_metadata_in_prompt,
            strict=self._transport.options.strict,
        )
        return AsyncConversation(self._transport, agent, as_timeout(timeout, self._transport.timeout))


class AsyncMillis:
    """The client of the Millis AI service.

    It can be shared by threads and event loops. Close it with `aclose()`, or use it in `async with`.

    Args:
        api_key: Your private key. The default is the environment variable MILLIS_API_KEY.
        region: "us" or "eu".
        base_url: The URL of the host, instead of a region. The default is MILLIS_BASE_URL, then the US host.
        timeout: Seconds for each wait (every timeout except `total`), or a Timeout. None means `Timeout()`;
            it does not turn timeouts off.
        max_retries: Maximum number of retries, or a RetryPolicy. Only safe retries are made.
        http_client: Your own httpx.AsyncClient, for a proxy or another transport. The library never closes
            it. It belongs to the process that created it: after a fork, create a new one. For many
            connections, use `httpx.Limits(max_connections=1000, max_keepalive_connections=100)`; with
            thousands of idle connections, httpx needs 15 ms for each request.
            Or "aiohttp" (extra `aiohttp`, asyncio only), to send requests with aiohttp instead of httpx. With
            many streams at once, a stream takes a third of the processor time that it takes with httpx.
        headers: Additional headers for every request.
        allow_http: Whether the key may be sent unencrypted to another machine; also MILLIS_ALLOW_HTTP=1.
        strict: Whether to run every local check of a config and raise ConfigurationError for a config with
            an unknown key or one that the service would refuse (extra `contract`).
        require_end: Whether a reply without `[DONE]` and finish_reason counts as cut off. With None, it does
            so once this client has received a reply with either of them.

    Raises:
        ConfigurationError: An argument or environment variable is invalid.

    Examples:
        >>> async def main():
        ...     async with AsyncMillis() as millis:
        ...         reply = await millis.chat.send("Hello", agent_id="-OabCdEfGhIjKlMnOpQr")
        ...     return reply.text, reply.ended
        >>> asyncio.run(main())
        ('Hello', 'done')
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        region: Region | None = None,
        base_url: str | None = None,
        timeout: float | Timeout | None = None,
        max_retries: int | RetryPolicy = 2,
        http_client: httpx.AsyncClient | Literal["aiohttp"] | None = None,
        headers: Mapping[str, str] | None = None,
        allow_http: bool = False,
        strict: bool = False,
        require_end: bool | None = None,
    ) -> None:
        wrapped, api_key = wrap_key(api_key), None
        masked, headers = mask_headers(headers), None
        base_url = mask_url(base_url)
        io.ensure_http_client(http_client)
        options = read_options(
            read_key(wrapped),
            region=region,
            base_url=base_url,
            allow_http=allow_http,
            headers=masked,
            strict=strict,
            require_end=require_end,
        )
        _http_clients.ensure_valid_host(options.base_url)
        if options.strict:
            load_config_checks()
        self._transport = AsyncTransport(
            options, as_timeout(timeout, Timeout()), _http.retry_policy(max_retries), http_client
        )
        self._chat = AsyncChat(self._transport)
        self._agents = AsyncAgents(self._transport)

    # Properties, so that `create_autospec` of the class knows them.
    @property
    def chat(self) -> AsyncChat:
        """Chat with an agent by text."""
        return self._chat

    @property
    def agents(self) -> AsyncAgents:
        """Saved agents."""
        return self._agents

    @property
    def base_url(self) -> str:
        """The URL of the host that receives the requests."""
        return self._transport.options.base_url

    @property
    def timeout(self) -> Timeout:
        """The timeouts of calls that do not set their own."""
        return self._transport.timeout

    @property
    def closed(self) -> bool:
        """Whether the client is closed."""
        return self._transport.is_closed

    def __repr__(self) -> str:
        transport: AsyncTransport | None = getattr(self, "_transport", None)
        if transport is None:  # __init__ failed, and a traceback shows the object
            return f"<{type(self).__name__}, not constructed>"
        return f"{type(self).__name__}({self.base_url!r}, api_key={transport.options.key!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__}: cannot be pickled or copied; create a new client instead")

    async def close(self) -> None:
        """Close the connections of the client. Your own httpx client stays open."""
        await self._transport.close()

    aclose = close

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
