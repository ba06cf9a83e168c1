"""Make a fork wait while another thread imports modules or sets up TLS.

Python's import system and OpenSSL hold locks. If a process forks while another thread holds one of them, the
child process waits for it forever, because that thread does not exist in the child.
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
    """Make a fork in another thread wait until the current call of `function` returns."""

    @functools.wraps(function)
    def guarded(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        with _lock:
            return function(*args, **kwargs)

    return guarded
