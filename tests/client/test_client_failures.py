"""What goes wrong between the client and the service, and how often the service then hears of a call."""

from __future__ import annotations

import threading

import httpx
import pytest
from clients import OPERATIONS, Clients, call
from loopback import (
    END,
    FINE,
    STREAM,
    Answer,
    Loopback,
    Peer,
    Step,
    chunk,
    close,
    copied,
    http,
    linger,
    nowhere,
    reply,
    reset,
    said,
    until_left,
)

from millis_wrapper import (
    APIConnectionError,
    APITimeoutError,
    MillisError,
    StreamInterruptedError,
    Timeout,
    UnexpectedResponseError,
)

pytestmark = pytest.mark.anyio

MAY_HAVE_HAPPENED = {
    "chat": "the service may have acted on it",
    "duplicate": "a copy may exist, check before you retry",
}

NO_ANSWER: dict[str, Answer] = {
    "reset": [reset],
    "closed": [close],
    "half a status line": [b"HTTP/1.1 2", close],
    "half the headers": [b"HTTP/1.1 200 OK\r\ncontent-ty", close],
    "reset in the headers": [b"HTTP/1.1 200 OK\r\ncontent-ty", reset],
    "no HTTP": [b"220 mail.example ESMTP\r\n\r\n", close],
    "headers without an end": [b"HTTP/1.1 200 OK\r\nx-a: " + b"a" * 300_000, close],
}


@OPERATIONS
@pytest.mark.parametrize("answer", NO_ANSWER.values(), ids=NO_ANSWER.keys())
async def test_a_request_that_was_sent_and_not_answered_is_not_sent_again(
    clients: Clients, operation: str, answer: Answer
) -> None:
    """Once it is on its way it counts as done: the error says what may have happened."""
    with Loopback(answer, FINE[operation]) as server:
        client = clients.patient(server.url)
        with pytest.raises(APIConnectionError, match=MAY_HAVE_HAPPENED[operation]) as caught:
            await call(client, operation)
    assert caught.value.maybe_processed
    assert isinstance(caught.value.__cause__, httpx.RequestError)
    assert (len(server.requests), client.slept) == (1, [])


@OPERATIONS
async def test_a_refused_connection_is_tried_again(clients: Clients, operation: str) -> None:
    """Where there was no connection nothing was sent, so it is tried again, after waits that double."""
    client = clients.patient(f"http://{nowhere()}", max_retries=4)
    with pytest.raises(APIConnectionError, match="nothing was sent") as caught:
        await call(client, operation)
    assert not caught.value.maybe_processed
    assert client.slept == [0.5, 1.0, 2.0, 4.0]


@OPERATIONS
async def test_tls_on_a_port_that_speaks_none_is_a_connection_that_was_not_made(
    clients: Clients, operation: str
) -> None:
    """A handshake that fails has carried no request, so it is tried again, and counted."""
    with Loopback(FINE[operation]) as server:
        client = clients.patient(f"https://{server.address}")
        with pytest.raises(APIConnectionError, match="nothing was sent") as caught:
            await call(client, operation)
    assert not caught.value.maybe_processed
    assert (server.connections, len(server.requests)) == (3, 0)


@OPERATIONS
@pytest.mark.parametrize(
    ("failure", "kind", "sent"),
    [
        (httpx.ConnectError, APIConnectionError, False),
        (httpx.ConnectTimeout, APITimeoutError, False),
        (httpx.PoolTimeout, APITimeoutError, False),
        (httpx.ProxyError, APIConnectionError, False),
        (httpx.UnsupportedProtocol, APIConnectionError, False),
        (httpx.WriteTimeout, APITimeoutError, True),
        (httpx.ReadTimeout, APITimeoutError, True),
        (httpx.WriteError, APIConnectionError, True),
        (httpx.ReadError, APIConnectionError, True),
        (httpx.CloseError, APIConnectionError, True),
        (httpx.LocalProtocolError, APIConnectionError, True),
        (httpx.RemoteProtocolError, APIConnectionError, True),
        (httpx.DecodingError, APIConnectionError, True),
    ],
)
async def test_only_what_httpx_raises_before_it_writes_is_tried_again(
    clients: Clients,
    operation: str,
    failure: type[httpx.RequestError],
    kind: type[APIConnectionError],
    sent: bool,
) -> None:
    """Each of httpx's failures becomes ours, and only those without a connection are sent again."""
    asked: list[httpx.Request] = []

    def fail(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        raise failure("")

    theirs = clients.httpx_client(transport=httpx.MockTransport(fail))
    client = clients.patient("https://millis.invalid", http_client=theirs)
    with pytest.raises(APIConnectionError) as caught:
        await call(client, operation)
    assert type(caught.value) is kind
    assert caught.value.maybe_processed is sent
    assert len(asked) == (1 if sent else 3)


HALF = b'{"id": "-Onew", "na'
CUT: dict[str, Answer] = {
    "content-length": [b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n" + HALF, close],
    "reset": [b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n" + HALF, reset],
    "chunked": [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(HALF), close],
    "half a chunk": [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n40\r\n" + HALF, close],
}


@pytest.mark.parametrize("answer", CUT.values(), ids=CUT.keys())
async def test_half_an_answer_to_duplicate_is_handed_over_and_not_asked_for_again(
    clients: Clients, answer: Answer
) -> None:
    """The copy may exist, and its id may have come: the error holds what had come."""
    with Loopback(answer, copied()) as server:
        client = clients.patient(server.url)
        with pytest.raises(APIConnectionError, match="a copy may exist") as caught:
            await call(client, "duplicate")
    assert caught.value.maybe_processed
    # What a reset takes back of bytes that were under way is the system's choice.
    assert caught.value.body in (HALF.decode(), "") if reset in answer else caught.value.body == HALF.decode()
    assert (len(server.requests), client.slept) == (1, [])


@pytest.mark.parametrize("broken", [close, reset])
async def test_a_chat_that_breaks_off_is_not_sent_again(clients: Clients, broken: Step) -> None:
    """After the first byte of a reply there is no second attempt; the text so far is handed over."""
    rest: Answer = [STREAM + said("Hel"), broken]
    with Loopback(rest, reply("Hello")) as server:
        client = clients.patient(server.url)
        with pytest.raises(StreamInterruptedError) as caught:
            await call(client, "chat")
    assert caught.value.reply.text in ("Hel", "") if broken is reset else caught.value.reply.text == "Hel"
    assert caught.value.reply.ended is None
    assert (len(server.requests), client.slept) == (1, [])


@OPERATIONS
async def test_a_connection_that_the_server_closed_while_idle_is_not_used(
    clients: Clients, operation: str
) -> None:
    """A close that has arrived by the time of the next call costs a new connection, and no error."""
    closed = threading.Event()
    with Loopback([*FINE[operation], close, lambda _: closed.set()], FINE[operation]) as server:
        client = clients.patient(server.url)
        await call(client, operation)
        assert closed.wait(5)
        await call(client, operation)
    assert (server.connections, len(server.requests), client.slept) == (2, 2, [])


@OPERATIONS
@pytest.mark.parametrize("broken", [close, reset])
async def test_a_connection_that_the_server_closes_at_the_moment_of_sending_counts_as_sent(
    clients: Clients, operation: str, broken: Step
) -> None:
    """Nobody can tell whether the service read it, so it is not sent again."""
    with Loopback([*FINE[operation], Peer.begins, broken], FINE[operation]) as server:
        client = clients.patient(server.url)
        await call(client, operation)
        with pytest.raises(APIConnectionError, match=MAY_HAVE_HAPPENED[operation]) as caught:
            await call(client, operation)
    assert caught.value.maybe_processed
    assert (server.connections, len(server.requests), client.slept) == (1, 1, [])


@pytest.mark.parametrize("answer", [[http(200)], [http(204)], [STREAM + END], [http(200, "null")]])
@OPERATIONS
async def test_an_empty_success_is_an_error(clients: Clients, operation: str, answer: Answer) -> None:
    """A success that says nothing is an UnexpectedResponseError, and is not asked for again."""
    with Loopback(answer, FINE[operation]) as server, pytest.raises(UnexpectedResponseError):
        await call(clients.patient(server.url), operation)
    assert len(server.requests) == 1


@pytest.mark.parametrize("ending", [[close], [reset], [until_left]], ids=["closed", "reset", "stalled"])
@pytest.mark.parametrize("framing", ["chunked", "length"])
async def test_a_copy_whose_answer_lacks_only_its_ending_is_handed_over(
    clients: Clients, framing: str, ending: Answer
) -> None:
    """A duplicate that worked hands over its id: JSON that can be read came whole."""
    answer = b'{"config": {"prompt": "%s"}, "id": "-Onew"}' % (b"x" * 5000)
    head = {
        "chunked": b"transfer-encoding: chunked\r\n\r\n" + chunk(answer),
        "length": b"content-length: %d\r\n\r\n" % (len(answer) + 1) + answer,
    }[framing]
    with Loopback([b"HTTP/1.1 200 OK\r\n" + head, linger(0.05), *ending]) as server:
        made = await clients.client(server.url, timeout=Timeout(idle=1)).agents.duplicate("-Oabc")
    assert made.id == "-Onew"
    assert len(server.requests) == 1


async def test_all_that_came_of_an_answer_that_broke_off_is_handed_over(clients: Clients) -> None:
    """The id of a copy that was made may be anywhere in it."""
    answer = b'{"config": {"prompt": "%s"}, "id": "-Onew", "name": "' % (b"x" * 5000)
    cut: Answer = [b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n" + answer, close]
    with Loopback(cut) as server, pytest.raises(APIConnectionError) as caught:
        await call(clients.client(server.url), "duplicate")
    assert caught.value.body == answer.decode()


async def test_a_hook_of_the_callers_that_finds_no_connection_does_not_copy_twice(clients: Clients) -> None:
    """Its failure says nothing of our request, which was answered."""

    def report(response: httpx.Response) -> None:
        httpx.post(f"http://{nowhere()}/metrics")

    async def report_async(response: httpx.Response) -> None:
        report(response)

    theirs = clients.httpx_client()
    theirs.event_hooks = {"response": [report_async if clients.kind != "sync" else report]}
    with Loopback(copied()) as server, pytest.raises(APIConnectionError, match="a copy may exist") as caught:
        await call(clients.client(server.url, http_client=theirs), "duplicate")
    assert caught.value.maybe_processed
    assert len(server.requests) == 1


async def test_a_hook_of_the_callers_may_take_out_the_key(clients: Clients) -> None:
    """Whoever logs requests may well do so; the copy is handed over all the same."""

    def remove(response: httpx.Response) -> None:
        del response.request.headers["authorization"]

    async def remove_async(response: httpx.Response) -> None:
        remove(response)

    theirs = clients.httpx_client()
    theirs.event_hooks = {"response": [remove_async if clients.kind != "sync" else remove]}
    with Loopback(copied("-Onew")) as server:
        made = await clients.client(server.url, http_client=theirs).agents.duplicate("-Oabc")
    assert made.id == "-Onew"


@OPERATIONS
async def test_a_hook_of_the_callers_that_reads_the_body_away_is_told_of(
    clients: Clients, operation: str
) -> None:
    """What it took cannot be read twice; that is an error of ours as well."""

    def read_away(response: httpx.Response) -> None:
        list(response.iter_raw())

    async def read_away_async(response: httpx.Response) -> None:
        _ = [piece async for piece in response.aiter_raw()]

    theirs = clients.httpx_client()
    theirs.event_hooks = {"response": [read_away_async if clients.kind != "sync" else read_away]}
    with Loopback(FINE[operation]) as server, pytest.raises(MillisError, match="already been streamed"):
        await call(clients.client(server.url, http_client=theirs), operation)


@OPERATIONS
async def test_a_hook_of_the_callers_that_closes_the_answer_is_told_of(
    clients: Clients, operation: str
) -> None:
    """By then its connection may serve another call, so nothing is read from it."""

    async def close_async(response: httpx.Response) -> None:
        await response.aclose()

    theirs = clients.httpx_client()
    hook = close_async if clients.kind != "sync" else httpx.Response.close
    theirs.event_hooks = {"response": [hook]}
    with Loopback(FINE[operation]) as server, pytest.raises(MillisError, match="has been closed"):
        await call(clients.client(server.url, http_client=theirs), operation)
