from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import Any
from unittest.mock import Mock

import pytest
from marks import NEEDS_DOCSTRINGS

from millis_wrapper import errors
from millis_wrapper.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    FieldError,
    InternalServerError,
    MillisError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    StreamError,
    StreamFailedError,
    StreamInterruptedError,
    UnexpectedResponseError,
    UnknownFieldWarning,
    UnprocessableEntityError,
)
from millis_wrapper.results import ChatReply

REPLY = ChatReply(
    text="Good mor\N{GRINNING FACE}",
    finish_reason="stop",
    ended=None,
    usage={"total_tokens": 3},
    tool_calls=[{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
)
STATUS: dict[str, Any] = {
    "detail": {"why": ["a", None]},
    "body": '{"detail": ...',
    "headers": {"x-request-id": "r-1"},
    "retry_after": 1.5,
}
PLACE = FieldError(("messages", 0, "content"), "Field required", "missing")

SAMPLES: list[MillisError] = [
    MillisError("text"),
    ConfigurationError("text"),
    APIConnectionError("text", maybe_processed=True, body="half a resp"),
    APITimeoutError("text", maybe_processed=False, is_permanent=True),
    APIStatusError("text", status_code=418, **STATUS),
    BadRequestError("text", status_code=400, **STATUS),
    AuthenticationError("text", status_code=401, **STATUS),
    PermissionDeniedError("text", status_code=403, **STATUS),
    NotFoundError("text", status_code=404, **STATUS),
    UnprocessableEntityError("text", errors=(PLACE,), status_code=422, **STATUS),
    RateLimitError("text", status_code=429, **STATUS),
    InternalServerError("text", status_code=503, **STATUS),
    StreamError("text", reply=REPLY),
    StreamInterruptedError("text", reply=REPLY, maybe_processed=False),
    StreamFailedError("text", reply=REPLY, error={"message": "boom"}),
    UnexpectedResponseError("text", body="<html>", headers={"server": "x"}),
]

# The failure -> the error, and whether the service may have acted on the request.
MAYBE_PROCESSED: dict[str, tuple[MillisError, bool]] = {
    "wrong argument": (ConfigurationError(""), False),
    "no connection": (APIConnectionError("", maybe_processed=False), False),
    "no connection in time": (APITimeoutError("", maybe_processed=False), False),
    "lost after it was sent": (APIConnectionError("", maybe_processed=True), True),
    "no response in time": (APITimeoutError("", maybe_processed=True), True),
    "stream closed before it was opened": (
        StreamInterruptedError("", reply=ChatReply(), maybe_processed=False),
        False,
    ),
    "cut stream": (StreamInterruptedError("", reply=ChatReply()), True),
    "error in the stream": (StreamFailedError("", reply=ChatReply()), True),
    "invalid success response": (UnexpectedResponseError(""), True),
    "any other": (MillisError(""), True),
}
REFUSED = {status for status in range(400, 500) if status != 408}


def _tree_as_drawn() -> dict[str, str]:
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        drawn = re.match(r"([│├└─ ]*)([A-Z]\w*Error)\b", line)
        if drawn is None:
            continue
        depth, name = len(drawn[1]), drawn[2]
        while above and above[-1][0] >= depth:
            above.pop()
        parents[name] = above[-1][1] if above else "Exception"
        above.append((depth, name))
    return parents


@NEEDS_DOCSTRINGS
def test_the_documented_class_hierarchy_is_correct() -> None:
    """The docstring of errors.py shows every class and its base class."""
    classes = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, Exception)]
    true = {cls.__name__: cls.__bases__[0].__name__ for cls in classes if issubclass(cls, MillisError)}
    assert _tree_as_drawn() == true
    assert UnknownFieldWarning.__name__ in (errors.__doc__ or "")


@NEEDS_DOCSTRINGS
def test_every_class_has_a_sample() -> None:
    """The tests below cover every class."""
    assert {type(sample).__name__ for sample in SAMPLES} == set(_tree_as_drawn())


def test_a_configuration_error_is_a_value_error() -> None:
    """Code that does not know this library can catch ValueError."""
    assert issubclass(ConfigurationError, ValueError)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_errors_can_be_pickled(error: MillisError, protocol: int) -> None:
    """An unpickled error has the same class, message and attributes."""
    _assert_same(pickle.loads(pickle.dumps(error, protocol)), error)


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_errors_can_be_deep_copied(error: MillisError) -> None:
    """A deep copy has equal attributes and shares no mutable object."""
    _assert_same(copy.deepcopy(error), error)


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_errors_can_be_copied(error: MillisError) -> None:
    """A note on a shallow copy is not added to the original."""
    copied = copy.copy(error)
    _assert_same(copied, error)
    copied.add_note("only here")
    assert not hasattr(error, "__notes__")


def test_a_deep_copy_has_its_own_reply() -> None:
    """A change of the copied reply does not change the original."""
    error = StreamInterruptedError("text", reply=REPLY)
    copied = copy.deepcopy(error)
    copied.reply.tool_calls.clear()
    assert error.reply.tool_calls


def test_notes_are_pickled() -> None:
    """Notes that a caller added are kept."""
    error = RateLimitError("text", status_code=429)
    error.add_note("third try")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["third try"]


def test_a_derived_error_can_be_pickled() -> None:
    """A class that a caller derives needs no code for pickling, whatever arguments its `__init__` has."""
    _assert_same(pickle.loads(pickle.dumps(CallersError(7))), CallersError(7))


class CallersError(MillisError):
    """An exception class of a caller."""

    def __init__(self, number: int) -> None:
        super().__init__(f"number {number}")
        self.number = number


@pytest.mark.parametrize(("error", "maybe"), MAYBE_PROCESSED.values(), ids=MAYBE_PROCESSED)
def test_maybe_processed_is_false_for_unsent_and_refused_requests(error: MillisError, maybe: bool) -> None:
    """In every other case, the service may have acted on the request."""
    assert error.maybe_processed is maybe


def test_maybe_processed_depends_on_the_status() -> None:
    """It is False for a 4xx status except 408, and True for 3xx and 5xx, whose outcome is unknown."""
    unprocessed = {
        status for status in range(100, 600) if not APIStatusError("", status_code=status).maybe_processed
    }
    assert unprocessed == REFUSED
    assert {400, 401, 403, 404, 422, 429} < unprocessed
    assert not UnprocessableEntityError("", status_code=422).maybe_processed


def test_str_of_an_error_is_its_message() -> None:
    """The attributes are not part of the text."""
    assert [str(sample) for sample in SAMPLES] == ["text"] * len(SAMPLES)


def test_the_arguments_of_an_error_are_its_attributes() -> None:
    """The arguments can be read from the error."""
    status: dict[str, Any] = {
        "status_code": 422,
        "detail": {"why": ["a", None]},
        "body": '{"detail": ...',
        "headers": {"x-request-id": "r-1"},
        "retry_after": 1.5,
    }
    assert vars(UnprocessableEntityError("text", errors=(PLACE,), **status)) == {
        **status,
        "errors": (PLACE,),
        "maybe_processed": False,
    }
    failed = StreamFailedError("text", reply=REPLY, error={"message": "boom"})
    assert vars(failed) == {"reply": REPLY, "error": {"message": "boom"}, "maybe_processed": True}
    assert vars(APITimeoutError("text", maybe_processed=False, body="half", is_permanent=True)) == {
        "maybe_processed": False,
        "body": "half",
        "is_permanent": True,
    }
    headers = {"server": "x"}
    assert vars(UnexpectedResponseError("text", body="<html>", headers=headers)) == {
        "body": "<html>",
        "headers": headers,
    }


def test_the_headers_of_an_error_are_a_copy() -> None:
    """A later change of the passed headers does not change the error."""
    headers = {"x-request-id": "r-1"}
    made: list[APIStatusError | UnexpectedResponseError] = [
        APIStatusError("text", status_code=500, headers=headers),
        UnprocessableEntityError("text", status_code=422, headers=headers),
        UnexpectedResponseError("text", headers=headers),
    ]
    headers.clear()
    assert [error.headers for error in made] == [{"x-request-id": "r-1"}] * 3


def test_the_arguments_of_an_error_have_defaults() -> None:
    """A caller's test can create an error with only the essential arguments."""
    status = APIStatusError("text", status_code=500)
    assert (status.detail, status.body, status.headers, status.retry_after) == (None, "", {}, None)
    assert UnprocessableEntityError("text", status_code=422).errors == ()
    assert StreamFailedError("text", reply=ChatReply()).error is None
    unexpected = UnexpectedResponseError("text")
    assert (unexpected.body, unexpected.headers) == ("", {})
    connection = APIConnectionError("text", maybe_processed=True)
    assert (connection.body, connection.is_permanent) == ("", False)


def _assert_same(copied: Any, error: MillisError) -> None:
    assert type(copied) is type(error)
    assert copied is not error
    assert copied.args == error.args
    assert vars(copied) == vars(error)
    assert str(copied) == str(error)


ALL = [cls for cls in vars(errors).values() if inspect.isclass(cls) and issubclass(cls, MillisError)]


@pytest.mark.parametrize("cls", ALL)
def test_an_error_can_be_built_from_a_message_alone(cls: type[MillisError]) -> None:
    """Task queues rebuild an error as `cls(*args)`; the copy has the message and usable attributes."""
    error = cls("slow")
    assert str(error) == "slow"
    rebuilt = cls(*error.args)
    assert (str(rebuilt), rebuilt.maybe_processed) == ("slow", error.maybe_processed)
    for attribute in inspect.get_annotations(cls):
        assert hasattr(error, attribute)
    assert str(pickle.loads(pickle.dumps(error))) == "slow"


@pytest.mark.parametrize(
    ("cls", "status"),
    [
        (BadRequestError, 400),
        (AuthenticationError, 401),
        (PermissionDeniedError, 403),
        (NotFoundError, 404),
        (UnprocessableEntityError, 422),
        (RateLimitError, 429),
        (InternalServerError, 500),
    ],
)
def test_a_status_error_has_the_status_of_its_class(cls: type[APIStatusError], status: int) -> None:
    """A passed status overrides it, and a refused request was not processed."""
    assert (cls("slow").status_code, cls("slow").maybe_processed) == (status, status >= 500)
    assert cls("slow", status_code=418).status_code == 418


@pytest.mark.parametrize("side_effect", [RateLimitError("slow"), RateLimitError], ids=["instance", "class"])
def test_a_mock_raises_an_error_as_its_side_effect(side_effect: Any) -> None:
    """`side_effect=` takes an instance or a class."""
    with pytest.raises(RateLimitError) as caught:
        Mock(side_effect=side_effect)()
    assert caught.value.status_code == 429


def test_a_stream_error_without_a_reply_has_an_empty_one() -> None:
    """Code that reads `error.reply.text` works with an error from a test."""
    assert StreamInterruptedError("slow").reply == ChatReply()


@pytest.mark.parametrize(
    ("message", "plain"),
    [
        ("no key: pass api_key= or set MILLIS_API_KEY", "no key: set MILLIS_API_KEY"),
        ("use https or allow_http=True or MILLIS_ALLOW_HTTP=1", "use https or MILLIS_ALLOW_HTTP=1"),
        ("check the proxy variables, or pass http_client=", "check the proxy variables"),
        ("the stream was cut off; the received part is in .reply", "the stream was cut off"),
        ('put system text into agent_config["prompt"]', "put system text into the config's prompt"),
        ("metadata: name=Ada or name:=1", "metadata: name=Ada or name:=1"),
    ],
)
def test_a_plain_message_contains_no_python_names(message: str, plain: str) -> None:
    """Users of a command or a server cannot pass an argument or read an attribute."""
    assert errors.plain_message(errors.MillisError(message)) == plain
