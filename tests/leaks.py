"""Search an error, and the errors that caused it, for a secret (promise 4 of the design)."""

from __future__ import annotations

import traceback
from collections.abc import Iterator


def places(error: BaseException, secret: str) -> list[str]:
    """Return the name of every place in `error` and its causes that contains `secret`."""
    return [place for place, text in _texts(error) if secret in text]


def _texts(error: BaseException) -> Iterator[tuple[str, str]]:
    yield "traceback", "".join(traceback.format_exception(error))
    for link in chain(error):
        name = type(link).__name__
        yield f"{name} as str", str(link)
        yield f"{name} as repr", repr(link)
        yield f"{name}.args", repr(link.args)
        # A crash reporter sends attributes such as JSONDecodeError.doc, which no message contains.
        yield f"{name}.__dict__", repr(vars(link))


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield `error`, its causes and its contexts, including those that a traceback leaves out."""
    if error is not None:
        yield error
        yield from chain(error.__cause__)
        if error.__context__ is not error.__cause__:
            yield from chain(error.__context__)


def with_locals(error: BaseException) -> str:
    """Return the locals of all frames except the tests' own, as a crash reporter collects them."""
    links = [traceback.TracebackException.from_exception(link, capture_locals=True) for link in chain(error)]
    frames = [frame for link in links for frame in link.stack if "/tests/" not in frame.filename]
    return "\n".join(repr(frame.locals) for frame in frames)
