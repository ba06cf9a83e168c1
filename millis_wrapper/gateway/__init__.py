"""An OpenAI-compatible server in front of Millis agents (extra `gateway`)."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from millis_wrapper.errors import missing_extra

if TYPE_CHECKING:
    from ._app import create_app as create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    # `python -m millis_wrapper.gateway` imports this module first, and reports a missing extra in one line.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if missing := [package for package in ("starlette", "uvicorn") if find_spec(package) is None]:
        raise missing_extra("the gateway", " and ".join(missing), "gateway")
    from ._app import create_app

    return create_app


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
