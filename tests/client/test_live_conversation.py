"""Conversations over real HTTP: what is sent each turn, and what a turn leaves behind."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import pytest
from clients import KEY, Clients, in_thread
from loopback import END, STREAM, Answer, Loopback, close, event, http, reply, said, until_left

from millis_wrapper import (
    APIConnectionError,
    AsyncMillis,
    ConfigurationError,
    InternalServerError,
    Millis,
    MillisError,
    StreamFailedError,
    StreamInterruptedError,
    UnexpectedResponseError,
)

pytestmark = pytest.mark.anyio


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def agent(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def histories(server: Loopback) -> list[Any]:
    return [body["messages"] for body in server.bodies]


async def test_the_whole_history_is_sent_each_turn(clients: Clients) -> None:
    """The service keeps none: each turn brings all before it, with the same agent."""
    with Loopback(reply("Hel", "lo"), reply("Sunny"), reply("Bye")) as server:
        talk = clients.client(server.url).chat.conversation(agent_id="-Oabc", metadata={"name": "Ada"})
        async with talk:
            assert (await talk.send("Hi")).text == "Hello"
            async with talk.stream("Tomorrow?") as stream:
                assert [text async for text in stream.text_stream] == ["Sunny"]
            await talk.send("Bye", end_of_session=True)
        assert talk.messages == [
            *(user("Hi"), agent("Hello"), user("Tomorrow?"), agent("Sunny"), user("Bye"), agent("Bye"))
        ]
    assert histories(server) == [talk.messages[:1], talk.messages[:3], talk.messages[:5]]
    assert [body.get("end_of_session") for body in server.bodies] == [None, None, True]
    assert {str(body["agent"]) for body in server.bodies} == {
        str({"agent_id": "-Oabc", "metadata": {"name": "Ada"}})
    }


async def test_nothing_is_sent_on_entering_or_leaving_the_block(clients: Clients) -> None:
    """A conversation costs what its turns cost."""
    with Loopback(reply("Hello")) as server:
        async with clients.client(server.url).chat.conversation(agent_id="-Oabc") as talk:
            await talk.send("Hi")
        assert len(server.requests) == 1
        await talk.send("Still there?")
    assert len(server.requests) == 2


FAILURES: dict[str, tuple[Answer, type[MillisError], str]] = {
    "status": ([http(500)], InternalServerError, ""),
    "no answer": ([close], APIConnectionError, ""),
    "no stream": ([http(200, "<html>")], UnexpectedResponseError, ""),
    "cut": ([STREAM + said("Hel"), close], StreamInterruptedError, "Hel"),
    "error": ([STREAM + said("Hel") + event('{"error": "down"}')], StreamFailedError, "Hel"),
}


@pytest.mark.parametrize(("answer", "kind", "text"), FAILURES.values(), ids=FAILURES.keys())
async def test_a_turn_that_failed_adds_nothing_and_can_be_said_again(
    clients: Clients, answer: Answer, kind: type[MillisError], text: str
) -> None:
    """Neither the user's message nor half a reply stays; the error has the partial text."""
    with Loopback(reply("Hello"), answer, reply("Sunny")) as server:
        talk = clients.client(server.url, max_retries=0).chat.conversation(agent_id="-Oabc")
        await talk.send("Hi")
        with pytest.raises(kind) as caught:
            await talk.send("Tomorrow?")
        if isinstance(caught.value, StreamInterruptedError | StreamFailedError):
            assert caught.value.reply.text == text
        assert (talk.messages, talk.left_early) == ([user("Hi"), agent("Hello")], ())
        assert (await talk.send("Tomorrow?")).text == "Sunny"
    assert histories(server)[1] == histories(server)[2] == [user("Hi"), agent("Hello"), user("Tomorrow?")]
    assert len(talk.messages) == 4


async def test_a_reply_left_early_is_kept_as_far_as_it_was_read_and_marked(clients: Clients) -> None:
    """What the user heard is what the agent is reminded of."""
    with Loopback([STREAM + said("Once "), until_left], reply("Sunny")) as server:
        talk = clients.client(server.url).chat.conversation(agent_id="-Oabc")
        async with talk.stream("A story") as stream:
            async for _ in stream:
                break
        assert (talk.messages, talk.left_early) == ([user("A story"), agent("Once ")], (1,))
        await talk.send("Tomorrow?")
        assert talk.left_early == (1,)
    assert histories(server)[1] == [user("A story"), agent("Once "), user("Tomorrow?")]


async def test_a_reply_left_before_its_first_text_adds_nothing(clients: Clients) -> None:
    """A turn of which nothing was heard is as if it had not been."""
    with Loopback([STREAM + said("Once "), until_left], reply("Hello")) as server:
        talk = clients.client(server.url).chat.conversation(agent_id="-Oabc")
        async with talk.stream("A story"):
            pass
        assert talk.messages == []
        await talk.send("Hi")
    assert histories(server)[1] == [user("Hi")]


async def test_a_second_turn_is_refused_while_a_stream_is_open(clients: Clients) -> None:
    """One turn at a time: the second is not sent, and the first goes on."""
    with Loopback([STREAM + said("Hel"), said("lo"), END]) as server:
        talk = clients.client(server.url).chat.conversation(agent_id="-Oabc")
        async with talk.stream("Hi") as stream:
            texts = stream.text_stream
            assert await anext(texts) == "Hel"
            with pytest.raises(ConfigurationError, match="still being read"):
                await talk.send("And?")
            with pytest.raises(ConfigurationError, match="still being read"):
                talk.stream("And?")
            with pytest.raises(ConfigurationError, match="still being read"):
                talk.load([])
            assert [text async for text in texts] == ["lo"]
        assert talk.messages == [user("Hi"), agent("Hello")]
        await talk.send("And?")
    assert len(server.requests) == 2


async def test_a_stream_that_is_not_opened_yet_is_a_turn_as_long_as_it_is_held(clients: Clients) -> None:
    """A second one is refused; a stream that was dropped before it was opened is forgotten."""
    with Loopback(reply("Hello")) as server:
        talk = clients.client(server.url).chat.conversation(agent_id="-Oabc")
        stream = talk.stream("Hi")
        with pytest.raises(ConfigurationError, match="not yet"):
            talk.stream("And?")
        assert (await stream.get_final_reply()).text == "Hello"
        talk.stream("Never said")
        await talk.send("And?")
    assert histories(server) == [[user("Hi")], [user("Hi"), agent("Hello"), user("And?")]]


async def test_leaving_the_block_closes_the_stream_that_is_open(clients: Clients) -> None:
    """What was read of it is kept."""
    with Loopback([STREAM + said("Once "), until_left]) as server:
        async with clients.client(server.url).chat.conversation(agent_id="-Oabc") as talk:
            stream = talk.stream("A story")
            texts = stream.text_stream
            assert await anext(texts) == "Once "
        assert await in_thread(server.left.wait)
        assert talk.left_early == (1,)
    assert len(server.requests) == 1


async def test_a_stream_that_was_closed_unread_leaves_the_conversation_free(clients: Clients) -> None:
    """A turn that was prepared and dropped is no turn."""
    with Loopback(reply("Hello")) as server:
        talk = clients.client(server.url).chat.conversation(agent_id="-Oabc")
        stream = talk.stream("Never said")
        await stream.close()
        with pytest.raises(StreamInterruptedError):
            await stream.until_done()
        await talk.send("Hi")
    assert histories(server) == [[user("Hi")]]


async def test_a_turn_that_cannot_be_sent_leaves_the_conversation_free(clients: Clients) -> None:
    """A mistake in a turn is a ConfigurationError, and the next turn is not blamed for it."""
    with Loopback(reply("Hello")) as server:
        talk = clients.client(server.url).chat.conversation(agent_id="-Oabc")
        with pytest.raises(ConfigurationError, match=r"messages\[0\].content"):
            await talk.send("\ud800")
        with pytest.raises(ConfigurationError, match=r"^text: .*list$"):
            await talk.send(["Hi"])  # type: ignore[arg-type] # the slip that is tested
        await talk.send("Hi")
    assert histories(server) == [[user("Hi")]]


async def test_a_history_can_be_loaded_and_taken_out(clients: Clients) -> None:
    """What was loaded is sent as it was then, `messages` is a copy, and a bad history changes nothing."""
    called = {**agent(""), "tool_calls": [{"id": "1", "new": 1}]}
    loaded = [user("Hi"), called, {"role": "tool", "content": "42", "tool_call_id": "1"}]
    before = copy.deepcopy(loaded)
    with Loopback(reply("Sunny")) as server:
        talk = clients.client(server.url).chat.conversation(agent_id="-Oabc")
        talk.load(loaded)
        called["tool_calls"].clear()
        talk.messages[1]["tool_calls"].clear()
        with pytest.raises(ConfigurationError, match=r"messages\[0\].role"):
            talk.load([{"role": "system", "content": "x"}])
        await talk.send("Tomorrow?")
        talk.load([])
        await talk.send("Hi")
    assert histories(server) == [[*before, user("Tomorrow?")], [user("Hi")]]


async def test_a_conversation_checks_its_agent_at_once(clients: Clients) -> None:
    """Without an agent there is no conversation, and nothing is sent to find that out."""
    with Loopback(reply("Hello")) as server, pytest.raises(ConfigurationError, match="agent_id"):
        clients.client(server.url).chat.conversation()
    assert server.connections == 0


async def test_a_turn_that_is_cancelled_while_it_is_read_can_be_said_again() -> None:
    """A time limit of the caller's is no decision to keep what had come."""
    with Loopback([STREAM + said("Once "), until_left], reply("Hello")) as server:
        async with AsyncMillis(KEY, base_url=server.url) as millis:
            talk = millis.chat.conversation(agent_id="-Oabc")
            with anyio.CancelScope() as scope:
                async with talk.stream("A story") as stream:
                    async for _ in stream:
                        scope.cancel()
            assert (talk.messages, talk.left_early) == ([], ())
            await talk.send("A story")
    assert talk.messages == [user("A story"), agent("Hello")]


def test_a_turn_that_ctrl_c_ends_while_it_is_read_can_be_said_again() -> None:
    """So it is with Ctrl-C, which comes while the next piece is waited for."""

    class Body(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b"data: Once\n\n"
            raise KeyboardInterrupt

    http = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=Body())))
    with http, Millis(KEY, http_client=http) as millis:
        talk = millis.chat.conversation(agent_id="-Oabc")
        with pytest.raises(KeyboardInterrupt):
            talk.send("A story")
    assert (talk.messages, talk.left_early) == ([], ())
