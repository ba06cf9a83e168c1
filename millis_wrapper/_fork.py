"""Keeps a fork out of the moments in which another thread loads modules or sets up TLS.

Python's import system and OpenSSL have locks. A child that is forked while another thread holds one of them
waits for it for ever, since that thread does not exist in the child.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_lock = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def delays_fork(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Make a fork in another thread wait until a call of `function` is over."""

    @functools.wraps(function)
    def guarded(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        with _lock:
            return function(*args, **kwargs)

    return guarded
