"""Where a secret can be found in an error: what tests of promise 4 look through."""

from __future__ import annotations

import traceback
from collections.abc import Iterator


def places(error: BaseException, secret: str) -> list[str]:
    """Name every place of `error`, and of what led to it, that holds `secret`."""
    return [place for place, text in _texts(error) if secret in text]


def _texts(error: BaseException) -> Iterator[tuple[str, str]]:
    yield "traceback", "".join(traceback.format_exception(error))
    for link in chain(error):
        name = type(link).__name__
        yield f"{name} as str", str(link)
        yield f"{name} as repr", repr(link)
        yield f"{name}.args", repr(link.args)
        # JSONDecodeError.doc and its like are in no message, but a crash reporter sends them along.
        yield f"{name}.__dict__", repr(vars(link))


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield `error`, and all that led to it, whether a traceback shows it or not."""
    if error is not None:
        yield error
        yield from chain(error.__cause__)
        if error.__context__ is not error.__cause__:
            yield from chain(error.__context__)
