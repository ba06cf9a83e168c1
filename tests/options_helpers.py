"""Read options from a key, with the default for every other argument."""

from __future__ import annotations

from typing import Any

from millis_wrapper._key import Secret
from millis_wrapper.options import Options, read_options

KEY = "k3Y" * 10 + "wXyZ"


def read(
    *,
    region: Any = None,
    base_url: Any = None,
    allow_http: Any = False,
    headers: Any = None,
    strict: Any = False,
    require_end: Any = None,
) -> Options:
    return read_options(
        Secret(KEY),
        region=region,
        base_url=base_url,
        allow_http=allow_http,
        headers=headers,
        strict=strict,
        require_end=require_end,
    )
