"""Read and check the API key, and keep it out of reprs and errors."""

from __future__ import annotations

import os
import re
from typing import NoReturn

from .errors import ConfigurationError

_NOT_IN_A_KEY = re.compile(r"[^\x20-\x7e]")


class Secret:
    """An API key. No repr, log or traceback shows it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        # The last four characters distinguish two keys, but would reveal too much of a short one.
        return f"'****{self._value[-4:]}'" if len(self._value) >= 16 else "'****'"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key cannot be pickled or copied; create a new client instead")

    def reveal(self) -> str:
        """Return the key. Only the code that sets the request header calls this."""
        return self._value

    def redact(self, data: bytes) -> bytes:
        """Return `data` with the key redacted, in case the service or a proxy repeats it.

        A key with fewer than 8 characters, such as "test", is not a secret and may be part of a longer word.
        """
        return data.replace(self._value.encode(), b"****") if len(self._value) >= 8 else data

    def redact_text(self, text: str) -> str:
        """Return `text` with the key redacted."""
        return text.replace(self._value, "****") if len(self._value) >= 8 else text


def wrap_key(api_key: object) -> Secret | type | None:
    """Return the key as a Secret, or the type of a value that cannot be a key. It never raises.

    A traceback shows the arguments of each call. A function that accepts a key therefore wraps it and
    overwrites the argument before any other code can raise.
    """
    if isinstance(api_key, str):
        return Secret(api_key.strip())
    return api_key if api_key is None or isinstance(api_key, Secret) else type(api_key)


def read_key(wrapped: Secret | type | None) -> Secret:
    """Return the wrapped key or, for None, the key from MILLIS_API_KEY.

    Raises:
        ConfigurationError: The key is missing or invalid.
    """
    source = "api_key"
    if wrapped is None:
        wrapped, source = wrap_key(os.environ.get("MILLIS_API_KEY")), "MILLIS_API_KEY"
        if wrapped is None:
            raise ConfigurationError("no key: pass api_key= or set MILLIS_API_KEY to your private key")
    if not isinstance(wrapped, Secret):
        raise ConfigurationError(f"{source}: must be a str, got {wrapped.__name__}")
    if problem := _problem_with_key(wrapped):
        raise ConfigurationError(f"{source}: {problem}")
    return wrapped


def _problem_with_key(secret: Secret) -> str | None:
    key = secret.reveal()
    # No message shows the key, because a mistyped key is still most of the key.
    if not key:
        return "must not be empty; set it to your private key"
    if re.match(r"bearer(?![\w-])", key, re.IGNORECASE):
        return 'must not begin with "Bearer"; pass only the private key'
    if key[0] in "\"'`" or key[-1] in "\"'`":
        return "has quotes around it; pass the private key without quotes"
    if re.match(r"(export\s+)?[A-Za-z_][A-Za-z0-9_]*\s*=\s*[^=\s]", key):
        return 'is a NAME=value line; pass only the part after "="'
    if _NOT_IN_A_KEY.search(key):
        return "contains a control or non-ASCII character; copy the private key again"
    return None
