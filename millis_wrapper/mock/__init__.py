"""The service in a box: both endpoints on loopback, for demos and tests (extra `mock`)."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._agents import DEFAULT_AGENT_ID as DEFAULT_AGENT_ID
    from ._faults import MAGIC_IDS as MAGIC_IDS
    from ._requests import MockRequest as MockRequest
    from ._service import MockMillis as MockMillis

__all__ = ["DEFAULT_AGENT_ID", "MAGIC_IDS", "MockMillis", "MockRequest"]

_ROOMS = {
    "DEFAULT_AGENT_ID": "_agents",
    "MAGIC_IDS": "_faults",
    "MockMillis": "_service",
    "MockRequest": "_requests",
}
_EXTRA = ("jsonschema", "starlette", "uvicorn")


def __getattr__(name: str) -> Any:
    # PEP 562: `import millis_wrapper.mock` loads neither Starlette nor uvicorn.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _need_extra()
    value = getattr(import_module(f".{_ROOMS[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _need_extra() -> None:
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        from millis_wrapper.errors import ConfigurationError

        raise ConfigurationError(
            f'the mock needs {" and ".join(missing)}: pip install "millis-wrapper[mock]"'
        )
