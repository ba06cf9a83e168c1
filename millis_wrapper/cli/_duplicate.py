"""`millis duplicate`: duplicate an agent and save the config of the copy."""

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
from ._output import CommandError, ReaderClosed, note, print_json, write

if TYPE_CHECKING:
    from millis_wrapper.results import DuplicatedAgent


def duplicate(
    agent_id: AgentId,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the full response as one line of JSON.")
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Save the config of the copy to a new file: as YAML if the name ends in .yaml or .yml,"
            " otherwise as JSON.",
        ),
    ] = None,
    region: RegionOption = None,
    allow_http: AllowHttp = False,
    debug: Debug = False,
) -> None:
    """Duplicate a saved agent and print the id of the copy.

    Every request that reaches the service creates another copy. If a request fails and may have reached the
    service, the command does not retry it, and the error message warns that a copy may exist.
    """
    from millis_wrapper._sync.client import Millis

    with Millis(region=region, allow_http=allow_http) as millis, _new_file(save) as write_file:
        copy = millis.agents.duplicate(agent_id)
        problem = None if save is None else _save(copy, save, write_file)
    try:
        if as_json:
            print_json(copy.raw)
        else:
            write(escape_control_characters(copy.id) + "\n")
    except (ReaderClosed, CommandError) as error:
        # The id is not recorded anywhere else.
        raise CommandError(
            f"the copy {copy.id} was created, but the result could not be written to stdout"
        ) from error
    if problem is not None:
        raise CommandError(f"the copy {copy.id} was created, but {problem}")


@contextmanager
def _new_file(path: Path | None) -> Generator[Callable[[str], None]]:
    """Create the file before the request, and remove it afterwards if it is still empty.

    Raises:
        ConfigurationError: The file exists, or cannot be created.
    """
    if path is None:
        yield lambda text: None
        return
    path = path.expanduser()
    try:
        # backslashreplace writes half a surrogate pair as an escape of JSON and YAML.
        file = open(path, "x", encoding="utf-8", errors="backslashreplace", opener=_open_private)  # noqa: SIM115
    except OSError as error:
        raise ConfigurationError(f"--save: {path}: {error.strerror}; choose another file name") from error
    is_written = False

    def write_file(text: str) -> None:
        nonlocal is_written
        file.write(text)
        file.flush()
        is_written = True

    try:
        yield write_file
    finally:
        with suppress(OSError):  # Closing flushes the text again; the failed write has been reported.
            file.close()
        if not is_written:
            path.unlink(missing_ok=True)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)  # The config may contain secrets.


def _save(copy: DuplicatedAgent, path: Path, write_file: Callable[[str], None]) -> str | None:
    """Save the config of `copy`; return a description of the problem, or None on success."""
    from millis_wrapper.config._data import leaves
    from millis_wrapper.contract import mask_secrets

    config = copy.raw.get("config")
    if not is_object(config):
        return "the response does not contain a config to save"
    try:
        write_file(_as_text(config, path))
    except OSError as error:
        return f"its config could not be saved to {path}: {error.strerror}"
    values = dict(leaves(config))
    secrets = [path for path, masked in leaves(mask_secrets(config)) if values.get(path) != masked]
    private = f"; keep the file private, it contains secrets: {', '.join(secrets)}" if secrets else ""
    note(f"millis: saved the config to {path}{private}")
    return None


def _as_text(config: dict[str, Any], path: Path) -> str:
    if path.suffix.lower() in (".yaml", ".yml"):
        from millis_wrapper.config._yaml_text import write_yaml

        return write_yaml(config)
    return json.dumps(config, ensure_ascii=False, indent=2) + "\n"
