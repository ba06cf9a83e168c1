"""A mock server with both endpoints of the service, for demos and tests (extra `mock`)."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._agents import DEFAULT_AGENT_ID as DEFAULT_AGENT_ID
    from ._requests import MockRequest as MockRequest
    from ._scenarios import MAGIC_IDS as MAGIC_IDS
    from ._server import MockMillis as MockMillis

__all__ = ["DEFAULT_AGENT_ID", "MAGIC_IDS", "MockMillis", "MockRequest"]

_MODULES = {
    "DEFAULT_AGENT_ID": "_agents",
    "MAGIC_IDS": "_scenarios",
    "MockMillis": "_server",
    "MockRequest": "_requests",
}
_EXTRA = ("jsonschema", "starlette", "uvicorn")


def __getattr__(name: str) -> Any:
    # PEP 562: Starlette and uvicorn are imported only when a name is used.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    missing = [extra for extra in _EXTRA if find_spec(extra) is None]
    if missing:
        from millis_wrapper.errors import missing_extra

        raise missing_extra("the mock server", " and ".join(missing), "mock")
    value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
