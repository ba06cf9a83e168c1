from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import paths
import pytest

from millis_wrapper._key import Secret
from millis_wrapper.errors import APIStatusError, FieldError, UnprocessableEntityError
from millis_wrapper.response import BODY_START, body_start, error_for_status, shown_headers, stated_reason
from millis_wrapper.retry import Operation

CORPUS = paths.CORPUS / "status"
CLASSES: dict[str, str] = json.loads((CORPUS / "classes.json").read_text())
BODIES: list[dict[str, Any]] = json.loads((CORPUS / "bodies.json").read_text())
UNPROCESSABLE: list[dict[str, Any]] = json.loads((CORPUS / "unprocessable.json").read_text())
STATUSES = [
    *(300, 301, 302, 307, 308, 400, 401, 402, 403, 404, 405, 408, 409, 413, 418, 422, 425, 429, 451, 499),
    *(500, 501, 502, 503, 504, 520, 529, 599),
]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def error_for(
    status: int,
    body: bytes = b"",
    *,
    operation: Operation = "chat",
    retry_after: str | None = None,
    attempt: int = 1,
) -> APIStatusError:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return error_for_status(operation, status, body, headers=headers, now=NOW, attempt=attempt)


def bytes_of(case: dict[str, Any]) -> bytes:
    if "hex" in case:
        return bytes.fromhex(case["hex"])
    if "repeat" in case:
        before, text, times, after = case["repeat"]
        whole: str = before + text * times + after
        return whole.encode()
    body: str = case["body"]
    return body.encode()


def name_of(case: dict[str, Any]) -> str:
    return str(case["name"])


def test_each_status_has_its_class() -> None:
    """Also a status that the contract or Python does not know gives an error with that status."""
    for status in range(300, 600):
        expected = CLASSES["5xx"] if status >= 500 else CLASSES.get(str(status), CLASSES["other"])
        error = error_for(status)
        assert type(error).__name__ == expected
        assert error.status_code == status
        assert str(error).startswith(f"[{status}")


@pytest.mark.parametrize("case", BODIES, ids=name_of)
def test_any_status_with_any_body(case: dict[str, Any]) -> None:
    """Whatever the body is, the error has the class and status, what could be read of it, and its start."""
    body = bytes_of(case)
    for status in STATUSES:
        error = error_for(status, body)
        assert type(error) is type(error_for(status))
        assert error.status_code == status
        if "detail_length" in case:
            assert len(error.detail) == case["detail_length"]
        else:
            assert error.detail == case["detail"]
        assert error.body == body.decode("utf-8", "replace")[:BODY_START]
        assert error.retry_after is None
        assert vars(pickle.loads(pickle.dumps(error))) == vars(error)
        assert vars(copy.deepcopy(error)) == vars(error)


@pytest.mark.parametrize("case", BODIES, ids=name_of)
def test_the_message_gives_the_reason(case: dict[str, Any]) -> None:
    """The message is the status, and what the service said of it, in one printable line of bounded length."""
    message = str(error_for(418, bytes_of(case)))
    if "reason" in case:
        assert message == f"[418 I'm a Teapot] {case['reason']}"
    else:
        assert message.startswith(f"[418 I'm a Teapot] {case['reason_starts']}")
        assert message.endswith("…")
    assert len(message) < 400
    assert message.isprintable()
    assert message.encode()


@pytest.mark.parametrize("case", UNPROCESSABLE, ids=name_of)
def test_a_422_names_each_faulty_place(case: dict[str, Any]) -> None:
    """The message says where and what in words, and `errors` holds it as data."""
    error = error_for(422, json.dumps(case["body"]).encode())
    assert isinstance(error, UnprocessableEntityError)
    assert error.errors == tuple(FieldError(tuple(loc), msg, kind) for loc, msg, kind in case["errors"])
    assert error.detail == case["body"]["detail"]
    assert str(error).startswith(f"[422 {HTTPStatus(422).phrase}] {case['words']}")


def refused(*locs: list[str | int]) -> bytes:
    detail = [{"loc": ["body", *loc], "msg": "Input should be valid", "type": "x"} for loc in locs]
    return json.dumps({"detail": detail}).encode()


def test_a_422_about_a_config_points_to_the_command_that_explains_it() -> None:
    """The message has the service's words and the places; `millis config check` says what to change."""
    about_config = str(error_for(422, refused(["agent", "agent_config", "llm"], ["messages", 0, "role"])))
    assert "agent.agent_config.llm: input should be valid; messages[0].role: input" in about_config
    assert "millis config check" in about_config
    assert "config check" not in str(error_for(422, refused(["messages", 0, "role"])))


def test_a_422_of_very_many_places_has_a_message_of_bounded_length() -> None:
    """The message stops somewhere; `errors` does not."""
    body = {"detail": [{"loc": ["body", "tools", i, "name"], "msg": "Field required"} for i in range(1000)]}
    error = error_for(422, json.dumps(body).encode())
    assert isinstance(error, UnprocessableEntityError)
    assert len(error.errors) == 1000
    assert "tools[9].name: field required" in str(error)
    assert len(str(error)) < 3000
    assert str(error).endswith("…")


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "(check the key: api_key= or MILLIS_API_KEY)"),
        (403, "(check the permissions of this key)"),
        (404, "(check the agent id, and that region or base_url is where the agent was created)"),
        (302, "(the client does not follow redirects, which would take the key along; check base_url)"),
    ],
)
def test_the_message_says_what_to_do(status: int, advice: str) -> None:
    """Where there is something that the caller can look at, the message names it."""
    assert str(error_for(status, b'"why"')).endswith(f"] why {advice}")


def test_only_a_redirect_is_called_one() -> None:
    """The advice about redirects is for 3xx alone."""
    advised = {status for status in range(300, 600) if "redirect" in str(error_for(status))}
    assert advised == set(range(300, 400))


def test_a_copy_may_exist_after_an_answer_that_came_too_late() -> None:
    """`duplicate` says so for the statuses after which nobody knows, and only for those."""
    words = "(a copy may exist, check before you retry)"
    warned = {status for status in range(300, 600) if words in str(error_for(status, operation="duplicate"))}
    assert warned == {408, *range(500, 600)}
    assert not any(words in str(error_for(status)) for status in range(300, 600))


@pytest.mark.parametrize("status", [429, 503, 413, 302])
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("x", None),
    ],
)
def test_retry_after_is_kept_with_any_status(status: int, value: str, seconds: float | None) -> None:
    """How long the service asked to wait is on the error, in seconds from now."""
    assert error_for(status, retry_after=value).retry_after == seconds


@pytest.mark.parametrize("status", [429, 503, 500])
@pytest.mark.parametrize(
    ("retry_after", "attempt", "end"),
    [
        (None, 1, ""),
        ("7", 1, " (the service asks to wait 7 s)"),
        ("0", 1, " (the service asks to wait 0 s)"),
        ("1.5", 3, " (the service asks to wait 1.5 s) (sent 3 times)"),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 2, " (the service asks to wait 60 s) (sent 2 times)"),
        ("soon", 2, " (sent 2 times)"),
    ],
)
def test_the_message_says_how_long_to_wait_and_how_often_it_was_sent(
    status: int, retry_after: str | None, attempt: int, end: str
) -> None:
    """Whoever reads the message knows what was tried, and when it is worth to try again."""
    error = error_for(status, b'{"detail":"busy"}', retry_after=retry_after, attempt=attempt)
    assert str(error) == f"[{status} {HTTPStatus(status).phrase}] busy{end}"


def test_the_headers_are_on_the_error() -> None:
    """A support ticket needs the request's id, whatever the status."""
    headers = {"x-request-id": "r-1", "retry-after": "7"}
    for status in STATUSES:
        error = error_for_status("chat", status, b"", headers=headers, now=NOW)
        assert (error.headers, error.retry_after) == (headers, 7.0)


KEY = Secret("k3Y" * 10)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ([], {}),
        ([("X-Request-Id", "r-1"), ("Retry-After", "7")], {"x-request-id": "r-1", "retry-after": "7"}),
        ([("x-echo", f"bad key {KEY.reveal()}")], {"x-echo": "bad key ****"}),
        ([("Set-Cookie", "session=sesame"), ("Cookie", "a=b")], {"set-cookie": "****", "cookie": "****"}),
        (
            [("Authorization", "sesame"), ("Proxy-Authorization", "Basic sesame")],
            {"authorization": "****", "proxy-authorization": "****"},
        ),
        ([("x-colour", "\x1b[31mred\u202e")], {"x-colour": "\\x1b[31mred\\u202e"}),
    ],
)
def test_headers_are_shown_without_secrets(given: list[tuple[str, str]], shown: dict[str, str]) -> None:
    """The key and cookies are masked, control characters are written out, and names are in lower case."""
    assert shown_headers(given, KEY) == shown


@pytest.mark.parametrize("offset", range(5))
def test_the_bodys_start_is_cut_between_letters(offset: int) -> None:
    """A long body is cut to its first characters, and none of them is broken by the cut."""
    text = "x" * offset + "\N{GRINNING FACE}" * (2 * BODY_START)
    assert body_start(text.encode()) == text[:BODY_START]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"detail": "a", "error": "b"}, "a"),
        ({"detail": "", "error": "b"}, "b"),
        ({"error": {"message": "b", "type": "x"}}, "b"),
        ({"error": {"message": "", "type": "x"}}, '{"message": "", "type": "x"}'),
        ({"error": {"message": {"en": "b"}}}, '{"en": "b"}'),
        ({"error": True}, "true"),
        ({"error": None}, None),
        ({"message": "c"}, "c"),
        ({"detail": None, "error": "", "message": "c"}, "c"),
        ({"error": "b", "message": "c"}, "b"),
        ({"detail": "a\x1b[2J\nb"}, "a\\x1b[2J b"),
        ({}, None),
        ([], None),
        ("error", None),
        (None, None),
    ],
)
def test_a_reason_is_found_where_services_put_it(value: Any, reason: str | None) -> None:
    """Under `detail`, `error` or `message`, as text, or as an object that holds a message."""
    assert stated_reason(value) == reason
