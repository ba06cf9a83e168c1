"""Where a secret can be found in an error: what tests of promise 4 look through."""

from __future__ import annotations

import traceback
from collections.abc import Iterator


def places(error: BaseException, secret: str) -> list[str]:
    """Name every place of `error`, and of what led to it, that holds `secret`."""
    return [place for place, text in _texts(error) if secret in text]


def _texts(error: BaseException) -> Iterator[tuple[str, str]]:
    yield "traceback", "".join(traceback.format_exception(error))
    link: BaseException | None = error
    while link is not None:
        name = type(link).__name__
        yield f"{name} as str", str(link)
        yield f"{name} as repr", repr(link)
        yield f"{name}.args", repr(link.args)
        # JSONDecodeError.doc and its like are in no message, but a crash reporter sends them along.
        yield f"{name}.__dict__", repr(vars(link))
        link = link.__cause__ or link.__context__
