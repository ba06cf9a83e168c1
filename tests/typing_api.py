"""The public types as type checkers see them. `scripts/check` checks this file without running it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, assert_type

import httpx
from millis_api.models import AgentConfig, AgentConfigOverride, AssistantMessage, Metadata, UserMessage

from millis_wrapper import (
    AgentConfigOverrideDict,
    APIConnectionError,
    APIStatusError,
    AsyncChatStream,
    AsyncConversation,
    AsyncMillis,
    ChatChunk,
    ChatReply,
    ChatStream,
    Config,
    Conversation,
    DuplicatedAgent,
    FieldError,
    FlowDict,
    Message,
    Messages,
    Millis,
    MillisError,
    RetryPolicy,
    StreamError,
    Timeout,
    ToolCallDict,
    UnexpectedResponseError,
    UnprocessableEntityError,
    UsageDict,
    VoiceDict,
    __version__,
)
from millis_wrapper.config import (
    Change,
    Finding,
    as_override,
    check_config,
    diff_configs,
    load_config,
    merge_configs,
)


def a_client_takes() -> None:
    Millis()
    Millis(
        "key", region="eu", timeout=30, max_retries=0, headers={"x-team": "a"}, allow_http=True, strict=True
    )
    Millis(base_url="http://127.0.0.1:8000", timeout=Timeout(idle=10), max_retries=RetryPolicy(max_retries=5))
    Millis(require_end=True)
    Millis(http_client=httpx.Client())
    AsyncMillis(http_client=httpx.AsyncClient())
    Millis(max_retries=1.5)  # type: ignore
    Millis(timeout=httpx.Timeout(4))  # type: ignore
    Millis(region="asia")  # type: ignore
    Millis(http_client=httpx.AsyncClient())  # type: ignore
    version: str = __version__
    print(version)


def a_client_shows(millis: Millis, async_millis: AsyncMillis) -> None:
    assert_type(millis.base_url, str)
    assert_type(millis.timeout, Timeout)
    assert_type(millis.closed, bool)
    assert_type(async_millis.base_url, str)
    assert_type(async_millis.timeout, Timeout)
    assert_type(async_millis.closed, bool)


def a_stream_yields(millis: Millis) -> None:
    with millis.chat.stream("Hello", agent_id="-O") as stream:
        assert_type(stream, ChatStream)
        assert_type(stream.text_stream, Generator[str])
        for text in stream.text_stream:
            assert_type(text, str)
        for chunk in stream:
            assert_type(chunk, ChatChunk)
            assert_type(chunk.text, str)
            assert_type(chunk.finish_reason, str | None)
        assert_type(stream.until_done(), None)
    assert_type(stream.get_final_reply(), ChatReply)
    assert_type(stream.reply, ChatReply)
    assert_type(millis.chat.stream("Hello", agent_id="-O").open(), ChatStream)
    assert_type(stream.close(), None)


async def an_async_stream_yields(millis: AsyncMillis) -> None:
    async with millis.chat.stream("Hello", agent_id="-O") as stream:
        assert_type(stream, AsyncChatStream)
        assert_type(stream.text_stream, AsyncGenerator[str])
        async for text in stream.text_stream:
            assert_type(text, str)
        async for chunk in stream:
            assert_type(chunk, ChatChunk)
    assert_type(await stream.get_final_reply(), ChatReply)
    assert_type(stream.reply, ChatReply)
    assert_type(await millis.chat.stream("Hello", agent_id="-O").open(), AsyncChatStream)
    assert_type(await stream.close(), None)
    assert_type(await stream.aclose(), None)
    assert_type(await millis.chat.send("Hello", agent_id="-O"), ChatReply)
    assert_type(await millis.agents.duplicate("-O"), DuplicatedAgent)
    assert_type(millis.chat.conversation(agent_id="-O"), AsyncConversation)


def a_config_may_be(millis: Millis, saved: AgentConfig, override: AgentConfigOverride) -> None:
    millis.chat.send("Hello", agent_config={"prompt": "Be kind."})
    millis.chat.send("Hello", agent_config=saved)
    millis.chat.send("Hello", agent_config=override)
    # Unknown keys and wrong values are reported at run time, because the service gains keys.
    millis.chat.send("Hello", agent_config={"prompt": "Be kind.", "new_key": 1})
    millis.chat.send("Hello", agent_config="Be kind.")  # type: ignore


def dicts_are_checked_where_they_are_annotated(millis: Millis) -> None:
    config: AgentConfigOverrideDict = {"prompt": "Be brief.", "first_message": "Hello"}
    config["flow"] = {"response_delay": 500}
    millis.chat.send("Hi", agent_config=config)
    misspelled: AgentConfigOverrideDict = {"first_mesage": "Hello"}  # type: ignore
    wrong: FlowDict = {"user_start_first": "yes"}  # type: ignore
    lacking: VoiceDict = {"provider": "openai"}  # type: ignore
    print(misspelled, wrong, lacking)


def history_may_be_kept_in_a_variable(millis: Millis) -> None:
    history: list[Message] = [UserMessage(content="Hi"), {"role": "assistant", "content": "Hello"}]
    history.append(millis.chat.send(history, agent_id="-O").message)
    messages: Messages = history
    config: Config = {"prompt": "Be brief."}
    millis.chat.send(messages, agent_config=config)
    millis.chat.send([UserMessage(content="Hi"), AssistantMessage(content="Yes?")], agent_config=config)


def messages_may_be(millis: Millis) -> None:
    millis.chat.send("Hello", agent_id="-O")
    millis.chat.send([{"role": "user", "content": "Hello"}], agent_id="-O")
    millis.chat.send([UserMessage(content="Hello")], agent_id="-O")
    millis.chat.send([UserMessage(content="Hello"), {"role": "assistant", "content": "Hi"}], agent_id="-O")
    millis.chat.send([UserMessage(content="Hello"), AssistantMessage(content="Hi")], agent_id="-O")
    millis.chat.send(7, agent_id="-O")  # type: ignore


class ObjectWithModelDump:
    def model_dump(self, *, mode: str = "python", by_alias: bool | None = None) -> dict[str, Any]:
        return {"role": "user", "content": f"{mode} {by_alias}"}


@dataclass
class DataclassMessage:
    content: str
    role: str = "user"


def messages_and_configs_may_be_objects(millis: Millis) -> None:
    millis.chat.send([ObjectWithModelDump(), DataclassMessage("Hi")], agent_config=ObjectWithModelDump())
    millis.chat.send("Hi", agent_config=DataclassMessage("Hi"))
    history = [UserMessage(content="Hi"), AssistantMessage(content="Yes?")]
    millis.chat.send(history, agent_id="-O")
    millis.chat.send([object()], agent_id="-O")  # type: ignore
    millis.chat.send("Hi", agent_config=object())  # type: ignore


def a_reply_holds(reply: ChatReply) -> None:
    assert_type(reply.text, str)
    assert_type(reply.ended, Literal["done", "finish_reason", "eof"] | None)
    assert_type(reply.finish_reason, str | None)
    assert_type(reply.usage, UsageDict | None)
    assert_type(reply.tool_calls, list[ToolCallDict])
    assert_type(reply.tool_calls[0]["function"]["arguments"], str)
    assert_type(reply.time_to_first_text, float | None)
    assert_type(reply.duration, float | None)
    assert_type(reply.message, dict[str, Any])
    assert_type(reply.to_dict(), dict[str, Any])


def a_chunk_holds(chunk: ChatChunk) -> None:
    assert_type(chunk.text, str)
    assert_type(chunk.event, str)
    assert_type(chunk.finish_reason, str | None)
    assert_type(chunk.to_dict(), dict[str, Any])


def a_conversation_gives(talk: Conversation) -> None:
    assert_type(talk.send("Hello"), ChatReply)
    assert_type(talk.stream("Hello"), ChatStream)
    assert_type(talk.messages, list[dict[str, Any]])
    assert_type(talk.left_early, tuple[int, ...])


def a_copy_holds(copy: DuplicatedAgent) -> None:
    assert_type(copy.id, str)
    assert_type(copy.name, str | None)
    assert_type(copy.created_at, datetime | None)
    assert_type(copy.config, AgentConfig | None)
    assert_type(copy.raw, dict[str, Any])
    assert_type(copy.to_dict(), dict[str, Any])
    if copy.config is not None:
        assert_type(copy.config.prompt, str)
        assert_type(copy.config.voice.voice_id, str)
        assert_type(copy.config.to_dict(), dict[str, Any])


def errors_hold(
    any_error: MillisError,
    status: APIStatusError,
    fields: UnprocessableEntityError,
    connection: APIConnectionError,
    stream: StreamError,
    unexpected: UnexpectedResponseError,
) -> None:
    assert_type(any_error.maybe_processed, bool)
    assert_type(status.status_code, int)
    assert_type(status.headers, Mapping[str, str])
    assert_type(status.body, str)
    assert_type(status.retry_after, float | None)
    assert_type(fields.errors, tuple[FieldError, ...])
    assert_type(connection.maybe_processed, bool)
    assert_type(connection.is_permanent, bool)
    assert_type(connection.body, str)
    assert_type(stream.reply, ChatReply)
    assert_type(unexpected.body, str)
    assert_type(unexpected.headers, Mapping[str, str])


def configs_are(saved: AgentConfig, override: AgentConfigOverride, metadata: Metadata) -> None:
    assert_type(load_config("agent.yaml"), dict[str, Any])
    assert_type(load_config(Path("agent.json")), dict[str, Any])
    assert_type(check_config(saved, "override", {"name": "Ada"}), list[Finding])
    check_config({"prompt": "Be kind."}, kind="agent", metadata=metadata)
    check_config(override, kind="saved")  # type: ignore
    for finding in check_config(saved):
        assert_type(finding.level, Literal["error", "warning", "hint"])
        assert_type(finding.fix, str | None)
    assert_type(as_override(saved).config, dict[str, Any])
    assert_type(as_override(saved).dropped, dict[str, Any])
    assert_type(merge_configs(saved, override), dict[str, Any])
    diff = diff_configs(saved, {"prompt": "Be kind."})
    assert_type(diff.added, dict[str, Any])
    assert_type(diff.changed, dict[str, Change])
