"""What is in a stream, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache

from millis_wrapper.contract import fields
from millis_wrapper.contract._validation import faults

from . import fit, promises
from .exchanges import LAST, PLAIN
from .judging import Question, Said, UnansweredError
from .shapes import Stream, found, seen
from .wire import Answer


@cache
def _stream(answer: Answer) -> Stream:
    media_type, _ = promises.body_of("chat", "200") or ("", "")
    if answer.status != 200 or answer.media_type != media_type:
        raise UnansweredError("not asked", f"there was no stream to look at, but a {answer.status}")
    stream = Stream.read(answer.body, promises.end_mark())
    error = promises.stream_component("error")
    if stream.failed or not all(any(faults(chunk, error)) for chunk in stream.chunks):
        raise UnansweredError("failed", "the stream reports a fault: ask again later")
    return stream


def _example() -> Stream:
    return Stream.read(promises.stream_examples(), promises.end_mark())


def _contract_on_end() -> str:
    verb = "must" if promises.end_required() else "may"
    shown = "does" if _example().closed else "does not"
    return f"it {verb} close with `{promises.end_mark()}`; its example {shown}"


def _judge_end(answers: list[Answer]) -> Said:
    stream = _stream(answers[0])
    words = f"it {'closes' if stream.closed else 'does not close'} with `{promises.end_mark()}`"
    edits: list[str] = []
    if stream.closed != _example().closed:
        component = promises.stream_component("end")
        verb = "is" if stream.closed else "is not"
        edits.append(f"`components.schemas.{component}`, and the example: the mark {verb} sent")
    if stream.oddities:
        edits.append(f"`{promises.place('chat')}.200`: say that {'; '.join(stream.oddities)}")
    return Said("; ".join([words, *stream.oddities]), not edits, "; ".join(edits))


def _contract_on_chunks() -> str:
    known = list(fields(promises.stream_component("chunk")))
    required = _names(field.path for field in known if field.required and "." not in field.path)
    return f"{len({field.path for field in known})} keys are known; {required} must be there"


def _judge_chunks(answers: list[Answer]) -> Said:
    stream = _stream(answers[0])
    if not stream.chunks:
        raise UnansweredError("not asked", "the stream had no chunk")
    component = promises.stream_component("chunk")
    shape = seen(stream.chunks, component)
    misfits = fit.value_misfits(stream.chunks, component)
    if misfits:
        told = "; ".join(misfit.words for misfit in misfits)
        edits = "; ".join(misfit.edit for misfit in misfits)
        return Said(f"{fit.shape_words(shape)} — {told}", False, edits)
    guessed = _names(f.path for f in fields(component) if f.path in shape and f.origin == ("inferred",))
    edit = f"`components.schemas.{component}`: {guessed} can have the `x-origin` observed" if guessed else ""
    return Said(fit.shape_words(shape), True, edit)


def _contract_on_lines() -> str:
    return f"its example has lines of the kind {_names(_example().lines)}"


def _judge_lines(answers: list[Answer]) -> Said:
    lines = _stream(answers[0]).lines
    new = lines - _example().lines
    edit = f"`{promises.place('chat')}.200`: say that {_names(new)} lines come" if new else ""
    return Said(f"it has lines of the kind {_names(lines) or 'none'}", not new, edit)


def _contract_on_last() -> str:
    (field,) = (field for field in fields("ChatCompletionRequest") if field.path == "end_of_session")
    return f"`{field.path}` (default {json.dumps(field.default)}) has no answer of its own"


def _judge_last(answers: list[Answer]) -> Said:
    plain = _stream(answers[0])
    misfits = fit.misfits(LAST, answers[1], "`ChatCompletionRequest.end_of_session`: say what is refused")
    if misfits:
        told = "; ".join(misfit.words for misfit in misfits)
        return Said(
            f"{fit.described(LAST, answers[1])} — {told}", False, "; ".join(each.edit for each in misfits)
        )
    differences = list(_differences(plain, _stream(answers[1])))
    if not differences:
        return Said("the answer has the form of the one without it", True)
    told = "; ".join(differences)
    return Said(told, False, f"`ChatCompletionRequest.end_of_session`: say that with it {told}")


def _differences(plain: Stream, last: Stream) -> Iterable[str]:
    component = promises.stream_component("chunk")
    before, after = set(seen(plain.chunks, component)), set(seen(last.chunks, component))
    if after - before:
        yield f"chunks have {_names(after - before)}"
    if before - after:
        yield f"chunks have no {_names(before - after)}"
    if _has_text(plain) != _has_text(last):
        yield "there is text" if _has_text(last) else "there is no text"
    if plain.closed != last.closed:
        yield f"the stream {'closes' if last.closed else 'does not close'} with `{promises.end_mark()}`"


def _has_text(stream: Stream) -> bool:
    return any(text for chunk in stream.chunks for text in found(chunk, "choices[].delta.content"))


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(set(names)))


QUESTIONS = (
    Question("Does a stream close with an end mark?", (PLAIN,), _contract_on_end, _judge_end),
    Question("What do chunks carry?", (PLAIN,), _contract_on_chunks, _judge_chunks),
    Question("Which lines does a stream have beside comments?", (PLAIN,), _contract_on_lines, _judge_lines),
    Question("What does `end_of_session` change?", (PLAIN, LAST), _contract_on_last, _judge_last),
)
