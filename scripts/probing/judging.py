"""Questions, what there is to answer them with, and what is found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias

import attrs

from .exchanges import Exchange
from .wire import Answer

Verdict: TypeAlias = Literal["same", "not the same", "not asked", "failed"]

# With these the service is busy or away, and says nothing about what was asked.
BUSY = frozenset({429, 502, 503, 504})


class Missing(NamedTuple):
    """Why an exchange has no answer."""

    verdict: Literal["not asked", "failed"]
    reason: str


Outcomes: TypeAlias = Mapping[Exchange, Answer | Missing]


class Said(NamedTuple):
    """What the service said to a question; `edit` is what the contract should, or now could, say."""

    words: str
    same: bool
    edit: str = ""


class UnansweredError(Exception):
    """What came back is no answer to this question; the message says why."""

    def __init__(self, verdict: Literal["not asked", "failed"], reason: str) -> None:
        super().__init__(reason)
        self.missing = Missing(verdict, reason)


@attrs.frozen
class Question:
    """One question.

    `needs`: the exchanges that answer it, in the order in which `judge` takes their answers; None for
    whatever was answered. `contract` says in words what the contract says.
    """

    words: str
    needs: tuple[Exchange, ...] | None
    contract: Callable[[], str]
    judge: Callable[[list[Answer]], Said]


class Finding(NamedTuple):
    """One line of the table."""

    question: str
    contract: str
    service: str
    verdict: Verdict
    edit: str = ""


def findings(questions: Iterable[Question], outcomes: Outcomes) -> Iterator[Finding]:
    """Answer `questions` as far as `outcomes` allow."""
    for question in questions:
        said = _said(question, outcomes)
        if isinstance(said, Missing):
            yield Finding(question.words, question.contract(), said.reason, said.verdict)
        else:
            verdict: Verdict = "same" if said.same else "not the same"
            yield Finding(question.words, question.contract(), said.words, verdict, said.edit)


def _said(question: Question, outcomes: Outcomes) -> Said | Missing:
    try:
        if question.needs is not None:
            return question.judge([_answer(outcomes[exchange]) for exchange in question.needs])
        answers = [outcome for outcome in outcomes.values() if isinstance(outcome, Answer)]
        return question.judge(answers) if answers else Missing("failed", "nothing was answered")
    except UnansweredError as error:
        return error.missing


def _answer(outcome: Answer | Missing) -> Answer:
    if isinstance(outcome, Missing):
        raise UnansweredError(*outcome)
    if outcome.status in BUSY:
        raise UnansweredError("failed", f"the service is busy or away ({outcome.status}): ask again later")
    return outcome
