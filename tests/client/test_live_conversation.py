"""Conversations over real HTTP: the sent history, and the history after each turn."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import pytest
from clients import KEY, READERS, Clients, in_thread, read
from loopback import (
    DONE,
    END,
    STREAM,
    Loopback,
    Steps,
    close,
    event,
    http,
    reply,
    reset,
    text_event,
    until_disconnect,
)

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


async def test_every_turn_sends_the_complete_history(clients: Clients) -> None:
    """The service does not keep a history, so every turn sends all messages and the same agent."""
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


async def test_entering_or_leaving_the_block_does_not_send_a_request(clients: Clients) -> None:
    """A conversation sends exactly one request per turn."""
    with Loopback(reply("Hello")) as server:
        async with clients.client(server.url).chat.conversation(agent_id="-Oabc") as talk:
            await talk.send("Hi")
        assert len(server.requests) == 1
        await talk.send("Still there?")
    assert len(server.requests) == 2


FAILURES: dict[str, tuple[Steps, type[MillisError], str]] = {
    "status": ([http(500)], InternalServerError, ""),
    "no response": ([close], APIConnectionError, ""),
    "not a stream": ([http(200, "<html>")], UnexpectedResponseError, ""),
    "cut": ([STREAM + text_event("Hel"), close], StreamInterruptedError, "Hel"),
    "error": ([STREAM + text_event("Hel") + event('{"error": "down"}')], StreamFailedError, "Hel"),
}


@READERS
@pytest.mark.parametrize(("response", "kind", "text"), FAILURES.values(), ids=FAILURES.keys())
async def test_a_failed_turn_adds_nothing_and_can_be_repeated(
    clients: Clients, response: Steps, kind: type[MillisError], text: str, pause: float
) -> None:
    """The history does not contain the failed turn, and the error has the partial text."""
    with Loopback(reply("Hello"), response, reply("Sunny")) as server:
        talk = clients.client(server.url, max_retries=0).chat.conversation(agent_id="-Oabc")
        await talk.send("Hi")
        with pytest.raises(kind) as caught:
            await read(talk.stream("Tomorrow?"), pause)
        if isinstance(caught.value, StreamInterruptedError | StreamFailedError):
            assert caught.value.reply.text == text
        assert (talk.messages, talk.left_early) == ([user("Hi"), agent("Hello")], ())
        assert (await talk.send("Tomorrow?")).text == "Sunny"
    assert histories(server)[1] == histories(server)[2] == [user("Hi"), agent("Hello"), user("Tomorrow?")]
    assert len(talk.messages) == 4


async def test_the_read_part_of_a_reply_left_early_is_kept_and_marked(clients: Clients) -> None:
    """The history contains the text that the user has read."""
    with Loopback([STREAM + text_event("Once "), until_disconnect], reply("Sunny")) as server:
        talk = clients.client(server.url).chat.conversation(agent_id="-Oabc")
        async with talk.stream("A story") as stream:
            async for _ in stream:
                break
        assert (talk.messages, talk.left_early) == ([user("A story"), agent("Once ")], (1,))
        await talk.send("Tomorrow?")
        assert talk.left_early == (1,)
    assert histories(server)[1] == [user("A story"), agent("Once "), user("Tomorrow?")]


async def test_a_reply_left_before_its_first_text_adds_nothing(clients: Clients) -> None:
    """The history does not contain the message or an empty reply."""
    with Loopback([STREAM + text_event("Once "), until_disconnect], reply("Hello")) as server:
        talk = clients.client(server.url).chat.conversation(agent_id="-Oabc")
        async with talk.stream("A story"):
            pass
        assert talk.messages == []
        await talk.send("Hi")
    assert histories(server)[1] == [user("Hi")]


async def test_a_second_turn_is_rejected_while_a_stream_is_open(clients: Clients) -> None:
    """The second turn is not sent, and the first one continues."""
    with Loopback([STREAM + text_event("Hel"), text_event("lo"), END]) as server:
        talk = clients.client(server.url).chat.conversation(agent_id="-Oabc")
        async with talk.stream("Hi") as stream:
            texts = stream.text_stream
            assert await anext(texts) == "Hel"
            with pytest.raises(ConfigurationError, match="previous reply"):
                await talk.send("And?")
            with pytest.raises(ConfigurationError, match="previous reply"):
                talk.stream("And?")
            with pytest.raises(ConfigurationError, match="previous reply"):
                talk.load([])
            assert [text async for text in texts] == ["lo"]
        assert talk.messages == [user("Hi"), agent("Hello")]
        await talk.send("And?")
    assert len(server.requests) == 2


async def test_an_unopened_stream_is_a_turn_while_it_is_referenced(clients: Clients) -> None:
    """A second turn is rejected. An unopened stream that is garbage-collected does not count."""
    with Loopback(reply("Hello")) as server:
        talk = clients.client(server.url).chat.conversation(agent_id="-Oabc")
        stream = talk.stream("Hi")
        with pytest.raises(ConfigurationError, match="previous reply"):
            talk.stream("And?")
        assert (await stream.get_final_reply()).text == "Hello"
        talk.stream("Never sent")
        await talk.send("And?")
    assert histories(server) == [[user("Hi")], [user("Hi"), agent("Hello"), user("And?")]]


async def test_leaving_the_block_closes_the_open_stream(clients: Clients) -> None:
    """The text read before that is kept."""
    with Loopback([STREAM + text_event("Once "), until_disconnect]) as server:
        async with clients.client(server.url).chat.conversation(agent_id="-Oabc") as talk:
            stream = talk.stream("A story")
            texts = stream.text_stream
            assert await anext(texts) == "Once "
        assert await in_thread(server.disconnected.wait)
        assert talk.left_early == (1,)
    assert len(server.requests) == 1


async def test_a_stream_that_is_closed_unread_does_not_block_the_conversation(clients: Clients) -> None:
    """The history does not contain the turn."""
    with Loopback(reply("Hello")) as server:
        talk = clients.client(server.url).chat.conversation(agent_id="-Oabc")
        stream = talk.stream("Never sent")
        await stream.close()
        with pytest.raises(StreamInterruptedError):
            await stream.until_done()
        await talk.send("Hi")
    assert histories(server) == [[user("Hi")]]


async def test_a_turn_that_cannot_be_sent_does_not_block_the_conversation(clients: Clients) -> None:
    """An invalid turn raises ConfigurationError, and the next turn works."""
    with Loopback(reply("Hello")) as server:
        talk = clients.client(server.url).chat.conversation(agent_id="-Oabc")
        with pytest.raises(ConfigurationError, match=r"messages\[0\].content"):
            await talk.send("\ud800")
        with pytest.raises(ConfigurationError, match=r"^text: .*list$"):
            await talk.send(["Hi"])  # type: ignore[arg-type] # the mistake under test
        await talk.send("Hi")
    assert histories(server) == [[user("Hi")]]


async def test_a_history_can_be_loaded_and_read(clients: Clients) -> None:
    """The history is copied when it is loaded and when it is read, and an invalid history changes nothing."""
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
    """Without an agent, creating a conversation raises an error and sends nothing."""
    with Loopback(reply("Hello")) as server, pytest.raises(ConfigurationError, match="agent_id"):
        clients.client(server.url).chat.conversation()
    assert server.connections == 0


async def test_a_turn_that_is_canceled_while_it_is_read_can_be_repeated() -> None:
    """A timeout of the caller does not add the partial reply to the history."""
    with Loopback([STREAM + text_event("Once "), until_disconnect], reply("Hello")) as server:
        async with AsyncMillis(KEY, base_url=server.url) as millis:
            talk = millis.chat.conversation(agent_id="-Oabc")
            with anyio.CancelScope() as scope:
                async with talk.stream("A story") as stream:
                    async for _ in stream:
                        scope.cancel()
            assert (talk.messages, talk.left_early) == ([], ())
            await talk.send("A story")
    assert talk.messages == [user("A story"), agent("Hello")]


def test_a_turn_that_ctrl_c_stops_while_it_is_read_can_be_repeated() -> None:
    """Ctrl-C arrives while the client waits for the next event. The history does not change."""

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


@READERS
async def test_a_conversation_keeps_a_complete_reply_if_the_connection_is_lost_after_it(
    clients: Clients, pause: float
) -> None:
    """The reply and the history agree, whatever happens after `[DONE]`."""
    with Loopback([STREAM + text_event("Complete.") + DONE, reset], reply("again")) as server:
        talk = clients.client(server.url).chat.conversation(agent_id="-Oabc")
        assert (await read(talk.stream("Hi"), pause)).text == "Complete."
        assert [message["content"] for message in talk.messages] == ["Hi", "Complete."]
        assert (await talk.send("Hi")).text == "again"
    assert json.loads(server.requests[-1].body)["messages"][1]["content"] == "Complete."
