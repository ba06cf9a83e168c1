"""A reply that was cut off never looks complete, even if a gateway ends it normally (promise 7)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from clients import READERS, Clients, chat
from loopback import END, STREAM, Loopback, Step, close, event, nowhere, reply, text_event

from millis_wrapper import Millis, StreamInterruptedError

pytestmark = pytest.mark.anyio

WITHOUT_END: list[Step] = [STREAM + text_event("We have a table") + END]
WITH_REASON: list[Step] = [
    STREAM + text_event("Complete.") + event('{"choices":[{"delta":{},"finish_reason":"stop"}]}') + END
]


async def test_a_service_without_end_marks_works(clients: Clients) -> None:
    """By default, a reply without an end mark is complete if the client has not seen one before."""
    with Loopback(WITHOUT_END) as server:
        millis = clients.client(server.url)
        replies = [await millis.chat.send("Hi", agent_id="-Oabc") for _ in range(2)]
    assert [(one.text, one.ended) for one in replies] == [("We have a table", "eof")] * 2


@READERS
@pytest.mark.parametrize("first", [reply("Complete."), WITH_REASON], ids=["[DONE]", "finish_reason"])
async def test_after_one_end_mark_a_reply_without_one_is_incomplete(
    clients: Clients, first: list[Step], pause: float
) -> None:
    """A service does not change its behavior between calls, so a gateway must have cut the reply."""
    with Loopback(first, WITHOUT_END) as server:
        millis = clients.client(server.url)
        await millis.chat.send("Hi", agent_id="-Oabc")
        with pytest.raises(StreamInterruptedError, match=r"without \[DONE\]") as caught:
            await chat(millis, pause)
    assert (caught.value.reply.text, caught.value.reply.ended) == ("We have a table", None)


@READERS
async def test_require_end_applies_to_the_first_reply(clients: Clients, pause: float) -> None:
    """`require_end=True` is for a service that is known to send end marks."""
    with Loopback(WITHOUT_END) as server, pytest.raises(StreamInterruptedError):
        await chat(clients.client(server.url, require_end=True), pause)


async def test_require_end_can_be_turned_off(clients: Clients) -> None:
    """`require_end=False` is for a service that sends an end mark only in some replies."""
    with Loopback(reply("Complete."), WITHOUT_END) as server:
        millis = clients.client(server.url, require_end=False)
        await millis.chat.send("Hi", agent_id="-Oabc")
        assert (await millis.chat.send("Hi", agent_id="-Oabc")).ended == "eof"


async def test_a_client_warns_once_about_a_reply_without_an_end_mark(
    clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    """The first such reply logs a warning that names `require_end`; later ones do not."""
    with Loopback(WITHOUT_END) as server:
        millis = clients.client(server.url)
        for _ in range(2):
            await millis.chat.send("Hi", agent_id="-Oabc")
    (record,) = [one for one in caplog.records if one.levelname == "WARNING"]
    assert record.name == "millis_wrapper"
    assert "require_end" in record.getMessage()


async def test_an_explicit_setting_or_an_end_mark_prevents_the_warning(
    clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    """With `require_end=False`, and after a reply with an end mark, the log stays empty."""
    with Loopback(WITHOUT_END) as server:
        await clients.client(server.url, require_end=False).chat.send("Hi", agent_id="-Oabc")
    with Loopback(reply("Complete.")) as server:
        await clients.client(server.url).chat.send("Hi", agent_id="-Oabc")
    assert not [one for one in caplog.records if one.levelname == "WARNING"]


NGINX = shutil.which("nginx") or next((one for one in ("/usr/sbin/nginx",) if Path(one).exists()), None)

CONFIG = """\
daemon off;
{user}
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen {address};
    location / {{ proxy_pass {service}; }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path, service: str) -> Generator[str]:
    """Run nginx with default settings in front of `service` and yield its URL."""
    assert NGINX is not None
    address = nowhere()
    config = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(CONFIG.format(folder=folder, address=address, service=service, user=user))
    command = [NGINX, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process, ExitStack() as stack:
        stack.callback(process.terminate)
        with Millis("a-key", base_url=f"http://{address}", max_retries=0) as probe:
            # Connections are refused until nginx listens, so the service does not receive these requests.
            for _ in range(200):
                with suppress(Exception):
                    probe.agents.duplicate("-Oready")
                    break
                assert process.poll() is None, process.stderr.read() if process.stderr else ""
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.05)
        yield f"http://{address}"


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian package nginx-light)")
async def test_a_reply_that_is_cut_behind_nginx_is_incomplete(clients: Clients, tmp_path: Path) -> None:
    """nginx requests HTTP/1.0 and ends a cut response normally, so only the end mark shows the cut."""
    from loopback import copied

    head = b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    text = b'data: {"choices":[{"delta":{"content":"We have a table"}}]}\n\n'
    complete: list[Step] = [head + text + b"data: [DONE]\n\n", close]
    cut: list[Step] = [head + text, close]
    with (
        Loopback([*copied(), close], complete, cut) as service,
        nginx(tmp_path, service.url) as url,
    ):
        millis = clients.client(url)
        assert (await millis.chat.send("Hi", agent_id="-Oabc")).ended == "done"
        with pytest.raises(StreamInterruptedError) as caught:
            await millis.chat.send("Hi", agent_id="-Oabc")
        with pytest.raises(StreamInterruptedError):
            await clients.client(url, require_end=True).chat.send("Hi", agent_id="-Oabc")
        unsure = await clients.client(url).chat.send("Hi", agent_id="-Oabc")
    assert caught.value.reply.text == "We have a table"
    assert unsure.ended == "eof"  # without an earlier end mark, the client cannot know
