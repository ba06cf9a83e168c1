"""The relay recipe streams replies to browsers as described in its docstring."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

import httpx
import loopback
import pytest
import uvicorn
from paths import RECIPES
from recipes import relay

from millis_wrapper.mock import DEFAULT_AGENT_ID, MockMillis
from millis_wrapper.mock._server import listen


@contextmanager
def relayed(monkeypatch: pytest.MonkeyPatch, service: str) -> Generator[str]:
    """Run the relay in front of `service` and yield the relay's URL."""
    monkeypatch.setenv("MILLIS_API_KEY", "a-key")
    monkeypatch.setenv("MILLIS_BASE_URL", service)
    monkeypatch.setenv("MILLIS_AGENT_ID", DEFAULT_AGENT_ID)
    server = uvicorn.Server(uvicorn.Config(relay.app, log_config=None, loop="asyncio"))
    listener = listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, args=[[listener]])
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def ask(url: str, text: str = "Hello") -> httpx.Response:
    return httpx.post(f"{url}/chat", json={"text": text}, trust_env=False)


def test_the_relay_serves_its_page(monkeypatch: pytest.MonkeyPatch, millis_mock: MockMillis) -> None:
    """The root URL returns the page that uses the relay; scripts/try_tools opens it in a browser."""
    with relayed(monkeypatch, millis_mock.url) as url:
        page = httpx.get(url, trust_env=False)
    assert page.headers["content-type"].startswith("text/html")
    assert page.text == (RECIPES / "relay.html").read_text("utf-8")


def test_the_relay_streams_a_reply(monkeypatch: pytest.MonkeyPatch, millis_mock: MockMillis) -> None:
    """A browser receives each chunk of text, and then an event that marks the reply as complete."""
    millis_mock.reply_with(["Good ", "evening"])
    with relayed(monkeypatch, millis_mock.url) as url:
        response = ask(url)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text == (
        'event: text\ndata: "Good "\n\nevent: text\ndata: "evening"\n\nevent: done\ndata: ""\n\n'
    )


def test_the_relay_keeps_a_history_for_each_browser(
    monkeypatch: pytest.MonkeyPatch, millis_mock: MockMillis
) -> None:
    """Two browsers have separate conversations, which a cookie identifies."""
    with (
        relayed(monkeypatch, millis_mock.url) as url,
        httpx.Client(trust_env=False, base_url=url) as ada,
        httpx.Client(trust_env=False, base_url=url) as grace,
    ):
        for browser in (ada, grace, ada):
            browser.post("/chat", json={"text": "Hello"}).raise_for_status()
    assert [len(request.body["messages"]) for request in millis_mock.requests] == [1, 1, 3]
    assert len({browser.cookies["session"] for browser in (ada, grace)}) == 2


def test_the_relay_forgets_the_least_recently_used_conversation(
    monkeypatch: pytest.MonkeyPatch, millis_mock: MockMillis
) -> None:
    """The memory that visitors can occupy is limited."""
    monkeypatch.setattr(relay, "MAX_SESSIONS", 2)
    with relayed(monkeypatch, millis_mock.url) as url:
        browsers = [httpx.Client(trust_env=False, base_url=url) for _ in range(3)]
        for number in (0, 1, 0, 2, 0, 1):
            browsers[number].post("/chat", json={"text": "Hello"}).raise_for_status()
        for browser in browsers:
            browser.close()
    assert [len(request.body["messages"]) for request in millis_mock.requests] == [1, 1, 3, 1, 5, 1]


def test_the_relay_reports_an_incomplete_reply(
    monkeypatch: pytest.MonkeyPatch, millis_mock: MockMillis, caplog: pytest.LogCaptureFixture
) -> None:
    """A reply that was cut off does not look complete to the browser, and the log has the reason."""
    millis_mock.reply_with("Good evening, Ada, how are you?")
    millis_mock.fail_next("cut")
    with relayed(monkeypatch, millis_mock.url) as url:
        response = ask(url)
    assert response.text.endswith('event: failed\ndata: "The reply is incomplete."\n\n')
    assert [record.name for record in caplog.records if record.levelname == "WARNING"] == ["relay"]


@pytest.mark.parametrize(("refused_with", "status_code", "wait"), [(500, 502, None), (429, 503, "31")])
def test_the_relay_returns_an_error_status_when_no_reply_begins(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    refused_with: int,
    status_code: int,
    wait: str | None,
) -> None:
    """The relay opens the stream before it sends its own status code, and logs the reason."""
    refusal = loopback.http(refused_with, "", {"retry-after": "31"} if wait else None)
    with loopback.Loopback([refusal]) as service, relayed(monkeypatch, service.url) as url:
        response = ask(url)
    assert (response.status_code, response.headers.get("retry-after")) == (status_code, wait)
    assert f"[{refused_with}" in caplog.text


def test_the_relay_closes_the_stream_when_the_browser_disconnects(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user does not pay for the rest of a reply that the browser no longer reads."""
    response: list[loopback.Step] = [loopback.STREAM + loopback.text_event("Good"), loopback.until_disconnect]
    with loopback.Loopback(response) as service, relayed(monkeypatch, service.url) as url:
        with (
            httpx.Client(trust_env=False) as browser,
            browser.stream("POST", f"{url}/chat", json={"text": "Hello"}) as stream,
        ):
            next(stream.iter_bytes())
        assert service.disconnected.wait(loopback.PATIENCE)


def test_a_new_question_stops_the_previous_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question in a second tab, or directly after Stop, is accepted while a reply is being read."""
    endless: list[loopback.Step] = [loopback.STREAM + loopback.text_event("Good"), loopback.until_disconnect]
    second = [loopback.STREAM + loopback.text_event("Yes") + loopback.DONE + loopback.END]
    with (
        loopback.Loopback(endless, second) as service,
        relayed(monkeypatch, service.url) as url,
        httpx.Client(trust_env=False, base_url=url) as browser,
        browser.stream("POST", "/chat", json={"text": "Hello"}) as first,
    ):
        texts = first.iter_text()
        assert next(texts) == 'event: text\ndata: "Good"\n\n'
        assert browser.post("/chat", json={"text": "And now?"}).text.endswith('event: done\ndata: ""\n\n')
        assert "".join(texts).startswith("event: failed")
