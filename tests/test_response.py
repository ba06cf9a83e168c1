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
from millis_wrapper.response import BODY_START, body_start, error_for_status, masked_headers, stated_reason
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
        repeated: str = before + text * times + after
        return repeated.encode()
    body: str = case["body"]
    return body.encode()


def name_of(case: dict[str, Any]) -> str:
    return str(case["name"])


def test_every_status_has_an_error_class() -> None:
    """An unknown status also has an error class, and the error has its code."""
    for status in range(300, 600):
        expected = CLASSES["5xx"] if status >= 500 else CLASSES.get(str(status), CLASSES["other"])
        error = error_for(status)
        assert type(error).__name__ == expected
        assert error.status_code == status
        assert str(error).startswith(f"[{status}")


@pytest.mark.parametrize("case", BODIES, ids=name_of)
def test_any_body_is_accepted_for_any_status(case: dict[str, Any]) -> None:
    """The error has the class of the status, the parsed detail, and the start of the body."""
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
def test_the_message_contains_the_reason_of_the_service(case: dict[str, Any]) -> None:
    """The message is the status and the service's reason, in one printable line of limited length."""
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
def test_a_422_names_every_invalid_place(case: dict[str, Any]) -> None:
    """The message has the places and the reasons, and `errors` has them as data."""
    error = error_for(422, json.dumps(case["body"]).encode())
    assert isinstance(error, UnprocessableEntityError)
    assert error.errors == tuple(FieldError(tuple(loc), msg, kind) for loc, msg, kind in case["errors"])
    assert error.detail == case["body"]["detail"]
    assert str(error).startswith(f"[422 {HTTPStatus(422).phrase}] {case['message']}")


SECRETS = {"header": {"x-team": "sesame"}, "api_key": "sesame", "webhook": "https://u:sesame@host.example"}


@pytest.mark.parametrize(
    "body",
    [
        {"detail": [{"loc": ["body", "agent"], "input": SECRETS}]},
        {"detail": [{"loc": ["body", "agent"], "msg": "Invalid URL https://u:sesame@host.example"}]},
        {"detail": "invalid URL https://host.example/?token=sesame"},
        {"detail": SECRETS},
        {"error": {"message": SECRETS}},
        {"received": SECRETS},
        [SECRETS],
    ],
)
@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_message_masks_the_secrets_of_a_config_that_the_service_repeats(status: int, body: Any) -> None:
    """Header values, credentials and passwords in URLs are masked. `body` is exact."""
    error = error_for(status, json.dumps(body).encode())
    assert "sesame" not in str(error)
    assert "****" in str(error)
    assert json.loads(error.body) == body


def test_the_message_of_a_422_with_many_places_is_shortened() -> None:
    """`errors` has all places."""
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
        (401, "MILLIS_API_KEY"),
        (403, "permissions"),
        (404, "agent id"),
        (302, "base_url"),
    ],
)
def test_the_message_contains_advice(status: int, advice: str) -> None:
    """The message names the argument to check, where there is one."""
    message = str(error_for(status, b'"why"'))
    assert "] why; " in message
    assert advice in message


def test_only_the_message_of_a_3xx_mentions_redirects() -> None:
    """The advice about redirects does not appear for any other status."""
    advised = {status for status in range(300, 600) if "redirect" in str(error_for(status))}
    assert advised == set(range(300, 400))


def test_the_message_of_duplicate_warns_if_a_copy_may_exist() -> None:
    """A copy may exist after 408 and 5xx."""
    advice = "a copy may exist"
    warned = {status for status in range(300, 600) if advice in str(error_for(status, operation="duplicate"))}
    assert warned == {408, *range(500, 600)}
    assert not any(advice in str(error_for(status)) for status in range(300, 600))


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
    """The error has the delay in seconds, counted from now."""
    assert error_for(status, retry_after=value).retry_after == seconds


@pytest.mark.parametrize("status", [429, 503, 500])
@pytest.mark.parametrize(
    ("retry_after", "attempt", "key_words"),
    [
        (None, 1, []),
        ("7", 1, ["7 s"]),
        ("0", 1, ["0 s"]),
        ("1.5", 3, ["1.5 s", "3 times"]),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 2, ["60 s", "2 times"]),
        ("soon", 2, ["2 times"]),
    ],
)
def test_the_message_contains_the_delay_and_the_number_of_attempts(
    status: int, retry_after: str | None, attempt: int, key_words: list[str]
) -> None:
    """The reader knows how often the client tried, and when a retry makes sense."""
    error = error_for(status, b'{"detail":"busy"}', retry_after=retry_after, attempt=attempt)
    start = f"[{status} {HTTPStatus(status).phrase}] busy"
    assert str(error).startswith(start)
    assert all(key_word in str(error) for key_word in key_words)
    assert key_words or str(error) == start


def test_every_error_has_the_response_headers() -> None:
    """A support request needs the request id, for any status."""
    headers = {"x-request-id": "r-1", "retry-after": "7"}
    for status in STATUSES:
        error = error_for_status("chat", status, b"", headers=headers, now=NOW)
        assert (error.headers, error.retry_after) == (headers, 7.0)


KEY = Secret("k3Y" * 10)


@pytest.mark.parametrize(
    ("given", "masked"),
    [
        ([], {}),
        ([("X-Request-Id", "r-1"), ("Retry-After", "7")], {"x-request-id": "r-1", "retry-after": "7"}),
        ([("x-echo", f"bad key {KEY.reveal()}")], {"x-echo": "bad key ****"}),
        ([("Set-Cookie", "session=sesame"), ("Cookie", "a=b")], {"set-cookie": "****", "cookie": "****"}),
        (
            [("Authorization", "sesame"), ("Proxy-Authorization", "Basic sesame")],
            {"authorization": "****", "proxy-authorization": "****"},
        ),
        ([("x-color", "\x1b[31mred\u202e")], {"x-color": "\\x1b[31mred\\u202e"}),
    ],
)
def test_secrets_in_response_headers_are_masked(given: list[tuple[str, str]], masked: dict[str, str]) -> None:
    """The key and cookies are masked, control characters are escaped, and names are lowercase."""
    assert masked_headers(given, KEY) == masked


@pytest.mark.parametrize("offset", range(5))
def test_the_start_of_the_body_is_cut_between_characters(offset: int) -> None:
    """The cut does not split a multi-byte character."""
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
def test_the_reason_is_found_in_the_usual_places(value: Any, reason: str | None) -> None:
    """The reason is in `detail`, `error` or `message`, as text or as an object with a message."""
    assert stated_reason(value) == reason
