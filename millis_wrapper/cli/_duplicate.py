"""`millis duplicate`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millis_wrapper._json import is_object
from millis_wrapper._text import escape_control_characters
from millis_wrapper.errors import ConfigurationError

from ._options import AgentId, AllowHttp, Debug, RegionOption
from ._output import Failure, ReaderGone, note, write, write_json

if TYPE_CHECKING:
    from millis_wrapper.results import DuplicatedAgent


def duplicate(
    agent_id: AgentId,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the whole response as one line of JSON.")
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Save the copy's config in a new file: as YAML if its name ends in .yaml or .yml, otherwise"
            " as JSON.",
        ),
    ] = None,
    region: RegionOption = None,
    allow_http: AllowHttp = False,
    debug: Debug = False,
) -> None:
    """Duplicate a saved agent and print the id of the copy.

    Every request that arrives creates another copy. The command therefore does not retry when it cannot tell
    whether a request arrived; the error then says that a copy may exist.
    """
    from millis_wrapper._sync.client import Millis

    with Millis(region=region, allow_http=allow_http) as millis, _new_file(save) as write_file:
        copy = millis.agents.duplicate(agent_id)
        problem = None if save is None else _save(copy, save, write_file)
    try:
        if as_json:
            write_json(copy.raw)
        else:
            write(escape_control_characters(copy.id) + "\n")
    except (ReaderGone, Failure) as error:
        # Nothing else knows the id of the copy.
        raise Failure(f"the copy {copy.id} was made, but stdout cannot be written to") from error
    if problem is not None:
        raise Failure(f"the copy {copy.id} was made, but {problem}")


@contextmanager
def _new_file(path: Path | None) -> Generator[Callable[[str], None]]:
    """Create a file before the request, and remove it if nothing was written to it.

    Raises:
        ConfigurationError: The file exists, or cannot be created.
    """
    if path is None:
        yield lambda text: None
        return
    path = path.expanduser()
    try:
        # backslashreplace writes half of a surrogate pair as JSON and YAML do.
        file = open(path, "x", encoding="utf-8", errors="backslashreplace", opener=_open_for_the_owner)  # noqa: SIM115
    except OSError as error:
        raise ConfigurationError(f"--save: {path}: {error.strerror}") from error
    is_written = False

    def write_file(text: str) -> None:
        nonlocal is_written
        file.write(text)
        file.flush()
        is_written = True

    try:
        yield write_file
    finally:
        with suppress(OSError):  # of text that could not be written, and was reported
            file.close()
        if not is_written:
            path.unlink(missing_ok=True)


def _open_for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)  # the config may hold secrets


def _save(copy: DuplicatedAgent, path: Path, write_file: Callable[[str], None]) -> str | None:
    """Write the config of `copy`; return what went wrong, or None."""
    from millis_wrapper.config._secrets import secrets_in

    config = copy.raw.get("config")
    if not is_object(config):
        return "its response has no config to save"
    try:
        write_file(_as_text(config, path))
    except OSError as error:
        return f"its config could not be saved in {path}: {error.strerror}"
    secrets = ", ".join(secret.path for secret in secrets_in(config))
    private = f"; keep it private, it holds secrets: {secrets}" if secrets else ""
    note(f"millis: saved the config in {path}{private}")
    return None


def _as_text(config: dict[str, Any], path: Path) -> str:
    if path.suffix.lower() in (".yaml", ".yml"):
        from millis_wrapper.config._yaml_text import write_yaml

        return write_yaml(config)
    return json.dumps(config, ensure_ascii=False, indent=2) + "\n"
