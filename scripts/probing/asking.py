"""Sends the plan, request by request, each once, and keeps what came of each."""

from __future__ import annotations

import sys
from collections.abc import Callable

from millis_wrapper._json import is_object, read_json
from millis_wrapper._text import shorten

from .exchanges import COPY, PLAIN, WITH_A_COPY, Exchange
from .judging import BUSY, Missing
from .wire import Answer, NoAnswerError

_COPY_MAY_EXIST = "a copy of your agent may exist: look for it, and delete it"


def note(line: str) -> None:
    """Tell the person at the terminal something that is for nobody else."""
    print(line, file=sys.stderr, flush=True)


class Asking:
    """What has come of each exchange so far; nothing is lost when it is interrupted."""

    def __init__(self, plan: tuple[Exchange, ...], ask: Callable[[Exchange], Answer]) -> None:
        self._plan = plan
        self._ask = ask
        self.outcomes: dict[Exchange, Answer | Missing] = {
            exchange: Missing(
                "not asked", "the probe was interrupted" if exchange in plan else "it needs --make-a-copy"
            )
            for exchange in WITH_A_COPY
        }

    def run(self) -> None:
        """Send the plan. A request that fails stops none of the others."""
        for number, exchange in enumerate(self._plan, 1):
            outcome = self._in_vain(exchange) or self._outcome(exchange)
            self.outcomes[exchange] = outcome
            words = f"{outcome.verdict}: {outcome.reason}" if isinstance(outcome, Missing) else outcome.status
            note(f"{number}/{len(self._plan)} {exchange.name}: {words}")
            if exchange.operation == "duplicate" and isinstance(outcome, Answer) and outcome.status < 400:
                made = shorten(_id(outcome), 200) or _COPY_MAY_EXIST
                note(f"A copy was made, for you to delete: {made}")

    @property
    def copy_ids(self) -> list[str]:
        """The ids of copies that were made, as far as they can be read."""
        return [
            _id(outcome)
            for exchange, outcome in self.outcomes.items()
            if exchange.operation == "duplicate" and isinstance(outcome, Answer)
        ]

    def _outcome(self, exchange: Exchange) -> Answer | Missing:
        try:
            return self._ask(exchange)
        except NoAnswerError as error:
            if exchange is COPY and error.sent:
                note(f"No answer: {_COPY_MAY_EXIST}.")
            return Missing("failed", str(error))
        except KeyboardInterrupt:
            if exchange is COPY:
                note(f"Interrupted: {_COPY_MAY_EXIST}.")
            raise

    def _in_vain(self, exchange: Exchange) -> Missing | None:
        """Say why `exchange` would tell nothing: with a key or an agent that is refused, the rest is too."""
        plain = self.outcomes[PLAIN]
        if exchange is PLAIN or isinstance(plain, Missing) or plain.status in {200, *BUSY}:
            return None
        if not exchange.uses_your_key:
            return None
        return Missing("not asked", f"{PLAIN.name} was refused ({plain.status}), so it would tell nothing")


def _id(answer: Answer) -> str:
    value = read_json(answer.body)
    return str(value.get("id") or "") if is_object(value) else ""
