# Generated from millis_wrapper/_async/client.py by scripts/regenerate: edit that file, not this one.

"""The client: arguments in, replies and copies out."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

import httpx

from millis_wrapper import _http, _http_clients
from millis_wrapper._fork import delays_fork
from millis_wrapper._key import read_key, wrap_key
from millis_wrapper.errors import missing_extra
from millis_wrapper.options import Region, Timeout, as_timeout, mask_headers, mask_url, read_options
from millis_wrapper.request import (
    agent_arguments,
    config_dict,
    message_dicts,
    prepare_chat,
    write_messages,
)
from millis_wrapper.retry import RetryPolicy

from . import io
from .agents import Agents
from .conversation import Conversation
from .stream import ChatStream
from .transport import Transport

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


class Chat:
    """Talking to an agent by text: `millis.chat`."""

    def __init__(self, transport: Transport) -> None:
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
    ) -> ChatStream:
        """Send `messages` to an agent, and stream its reply.

        Nothing is sent before the stream is opened or read.

        Args:
            messages: a str (the user's message), or the whole history as a list of dicts or generated
                message models; the service keeps none.
            agent_id: the id of a saved agent.
            agent_config: a config (dict or generated model) of its own or, beside an `agent_id`, what to
                override of the saved one (probably by whole top-level keys). Only what is in it is sent.
            metadata: values for the `{name}` placeholders of prompt and messages.
            include_metadata_in_prompt: whether the agent is shown the metadata.
            end_of_session: whether this is the last turn.
            timeout: seconds for each wait, or a Timeout; None means the client's.

        Raises:
            ConfigurationError: an argument cannot be right; nothing was sent.

        Warns:
            UnknownFieldWarning: the contract does not know a config key.
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
        written = write_messages(message_dicts(messages))
        prepared = prepare_chat(agent, written, end_of_session=end_of_session)
        transport = self._transport
        timeout = as_timeout(timeout, transport.timeout)
        return ChatStream(transport, prepared, timeout, transport.new_builder())

    def send(
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
        """Send `messages` to an agent, and return its whole reply.

        Args:
            messages: a str (the user's message), or the whole history; as in `stream`.
            agent_id: the id of a saved agent.
            agent_config: a config of its own, or what to override of the saved one.
            metadata: values for the `{name}` placeholders of prompt and messages.
            include_metadata_in_prompt: whether the agent is shown the metadata.
            end_of_session: whether this is the last turn.
            timeout: seconds for each wait, or a Timeout; None means the client's.

        Raises:
            ConfigurationError: an argument cannot be right; nothing was sent.
            APIStatusError: the service answered with an error status.
            APIConnectionError: there was no answer.
            StreamError: the reply is not whole; `.reply` holds what had come.
            UnexpectedResponseError: the answer was not a stream of events.
        """
        with self.stream(
            messages,
            agent_id=agent_id,
            agent_config=agent_config,
            metadata=metadata,
            include_metadata_in_prompt=include_metadata_in_prompt,
            end_of_session=end_of_session,
            timeout=timeout,
        ) as stream:
            return stream.get_final_reply()

    def conversation(
        self,
        *,
        agent_id: str | None = None,
        agent_config: Config | None = None,
        metadata: Mapping[str, Any] | None = None,
        include_metadata_in_prompt: bool | None = None,
        timeout: float | Timeout | None = None,
    ) -> Conversation:
        """Begin a conversation, which keeps the history and sends it whole with each turn.

        Args:
            agent_id: the id of a saved agent.
            agent_config: a config of its own, or what to override of the saved one.
            metadata: values for the `{name}` placeholders of prompt and messages.
            include_metadata_in_prompt: whether the agent is shown the metadata.
            timeout: seconds for each wait of each turn, or a Timeout; None means the client's.

        Raises:
            ConfigurationError: an argument cannot be right.
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
        return Conversation(self._transport, agent, as_timeout(timeout, self._transport.timeout))


class Millis:
    """The client of the Millis AI service.

    May be shared by threads. Close it with `close()`, or use it in `with`.

    Args:
        api_key: your private key; without it, MILLIS_API_KEY.
        region: "us" or "eu".
        base_url: the address of the host, in place of a region; without both, MILLIS_BASE_URL, else the US.
        timeout: seconds for each wait, or a Timeout; None means Timeout(), never "for ever".
        max_retries: how often to send again where that is safe, or a RetryPolicy.
        http_client: an httpx.Client of your own (proxy, transport). It is used as it is, you close it,
            and what httpx does not give back of its connections after cancelled calls, it does not give
            back. It belongs to the process that made the client: after a fork, make a new one. For many
            connections, `httpx.Limits(max_connections=1000, max_keepalive_connections=100)` works well; with
            thousands kept idle, httpx takes 15 ms for each request.
        headers: headers to send with each request, on top of ours.
        allow_http: whether the key may be sent unencrypted to another machine; also MILLIS_ALLOW_HTTP=1.
        strict: whether a call raises ConfigurationError for a config that has an unknown key or that
            the service would refuse, after every check that can be made locally (extra `contract`).
        require_end: whether a reply that ends without `[DONE]` and finish_reason counts as cut. None: from
            the moment on that this client has seen one reply end with such a mark.

    Raises:
        ConfigurationError: an argument or a variable is wrong; the message names it and says what to do.

    Examples:
        >>> with Millis() as millis:
        ...     reply = millis.chat.send("Hello", agent_id="-OabCdEfGhIjKlMnOpQr")
        >>> reply.text, reply.ended
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
        http_client: httpx.Client | None = None,
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
        self._transport = Transport(
            options, as_timeout(timeout, Timeout()), _http.retry_policy(max_retries), http_client
        )
        self._chat = Chat(self._transport)
        self._agents = Agents(self._transport)

    # Properties, so that `create_autospec` of the class knows them.
    @property
    def chat(self) -> Chat:
        """Chat with an agent by text."""
        return self._chat

    @property
    def agents(self) -> Agents:
        """Saved agents."""
        return self._agents

    @property
    def base_url(self) -> str:
        """The address that requests go to."""
        return self._transport.options.base_url

    @property
    def timeout(self) -> Timeout:
        """The time limits of calls that set none of their own."""
        return self._transport.timeout

    @property
    def closed(self) -> bool:
        """Whether the client was closed."""
        return self._transport.is_closed

    def __repr__(self) -> str:
        transport: Transport | None = getattr(self, "_transport", None)
        if transport is None:  # its construction failed, and a traceback shows it
            return f"<{type(self).__name__}, not constructed>"
        return f"{type(self).__name__}({self.base_url!r}, api_key={transport.options.key!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} is not pickled or copied: make a new client in the other process or place"
        )

    def close(self) -> None:
        """Close the client's connections; those of an httpx client that was handed in stay open."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
