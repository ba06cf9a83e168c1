"""Every stream of the corpus has the expected chunks, and the expected reply or error."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import paths
import pytest
from chat_streams import event, play
from paths import EXAMPLES

from millis_wrapper.errors import StreamError, StreamFailedError, UnexpectedResponseError
from millis_wrapper.results import ChatChunk, ChatReply

CORPUS = paths.CORPUS / "chat"
CASES: dict[str, dict[str, Any]] = {
    f"{path.stem}: {case['name']}": case
    for path in sorted(CORPUS.glob("*.json"))
    for case in json.loads(path.read_text("utf-8"))
}


def bytes_of(case: dict[str, Any]) -> bytes:
    """Return the stream of a case, in which an object is an event and a string is raw text."""
    return b"".join(item.encode() if isinstance(item, str) else event(item) for item in case["stream"])


def expected_chunks(case: dict[str, Any]) -> list[ChatChunk]:
    objects = [item for item in case["stream"] if not isinstance(item, str)]
    return [
        ChatChunk(
            text=chunk["text"],
            data=chunk["data"] if "data" in chunk else objects[number],
            event=chunk.get("event", "message"),
            finish_reason=chunk.get("finish_reason"),
        )
        for number, chunk in enumerate(case["chunks"])
    ]


def reply_of(expected: dict[str, Any]) -> ChatReply:
    return ChatReply(
        text=expected["text"],
        finish_reason=expected.get("finish_reason"),
        ended=expected.get("ended"),
        usage=expected.get("usage"),
        tool_calls=expected.get("tool_calls", []),
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_case_has_the_expected_outcome(case: dict[str, Any]) -> None:
    """Every stream yields the expected chunks and ends with the expected reply or error."""
    outcome = play([bytes_of(case)])
    assert outcome.chunks == expected_chunks(case)
    if "reply" in case:
        assert outcome.failure is None
        assert outcome.reply == reply_of(case["reply"])
        return
    expected, error = case["error"], outcome.error
    assert type(error).__name__ == expected["class"]
    assert all(key_word in str(error) for key_word in expected["key_words"]), str(error)
    if isinstance(error, StreamError):
        assert error.reply == reply_of(expected)
    if isinstance(error, StreamFailedError):
        assert error.error == expected["error"]
    if isinstance(error, UnexpectedResponseError):
        assert error.body == expected["body"]
    assert vars(pickle.loads(pickle.dumps(error))) == vars(error)
    assert vars(copy.deepcopy(error)) == vars(error)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_outcome_does_not_depend_on_the_chunks(case: dict[str, Any]) -> None:
    """The outcome is identical for every split in two and for single bytes."""
    stream = bytes_of(case)
    complete = play([stream])
    cuts = [[stream[:at], stream[at:]] for at in range(len(stream) + 1)]
    for chunks in [*cuts, [stream[at : at + 1] for at in range(len(stream))]]:
        outcome = play(chunks)
        assert (outcome, outcome.failure) == (complete, complete.failure)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_texts_of_the_chunks_add_up_to_the_reply(case: dict[str, Any]) -> None:
    """The chunks add up to the text of the reply, or to the text in the error."""
    outcome = play([bytes_of(case)])
    error = outcome.error
    reply = error.reply if isinstance(error, StreamError) else outcome.reply or ChatReply()
    assert reply.text == outcome.text()


def test_the_corpus_is_complete() -> None:
    """All cases are loaded, and their names are unique."""
    assert len(CASES) == sum(len(json.loads(path.read_text("utf-8"))) for path in CORPUS.glob("*.json"))
    assert len(CASES) > 100


def test_the_contracts_example_of_a_stream() -> None:
    """The contract's example, with every documented kind of event, gives a complete reply."""
    reply = play([(EXAMPLES / "stream.txt").read_bytes()]).reply
    assert reply is not None
    assert (reply.text, reply.ended, reply.finish_reason) == ("Good evening.", "done", "stop")
    assert [call["function"]["name"] for call in reply.tool_calls] == ["check_room"]
    assert json.loads(reply.tool_calls[0]["function"]["arguments"]) == {"nights": 1}
    assert reply.usage == {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


def test_the_contracts_example_of_an_error() -> None:
    """The error has the text received before it."""
    error = play([(EXAMPLES / "stream-error.txt").read_bytes()]).error
    assert isinstance(error, StreamFailedError)
    assert error.reply.text == "Good "
    assert "the language model did not respond" in str(error)
