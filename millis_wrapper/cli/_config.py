"""`millis config check` and `millis config diff`."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millis_wrapper._text import escape_control_characters

from ._failures import as_line
from ._metadata import Metadata, read_metadata
from ._options import Debug
from ._output import note, write_styled

if TYPE_CHECKING:
    from millis_wrapper.config import ConfigDiff, Finding

app = typer.Typer(help="Check a config, or compare two.", rich_markup_mode=None)

_COLOURS = {"error": "red", "warning": "yellow", "hint": "cyan"}

ConfigFile = Annotated[
    str, typer.Argument(metavar="FILE", help="JSON or YAML; also what duplicate answered.")
]


@app.command()
def check(
    file: ConfigFile,
    override: Annotated[
        bool, typer.Option("--override", help="The config is a partial one, for chat, not a saved agent's.")
    ] = False,
    metadata: Metadata = None,
    debug: Debug = False,
) -> None:
    """Say what is wrong with a config.

    Errors are what the service refuses, warnings most likely mistakes, hints what may be one. Placeholders
    are looked at when there is --metadata. Exits with 1 when there are errors, and with 2 when the file
    cannot be read.
    """
    from rich.text import Text

    from millis_wrapper.config import check_config, load_config

    values = read_metadata(metadata)
    found = check_config(load_config(file), "override" if override else "agent", values)
    for finding in found:
        rest = as_line(str(finding)).removeprefix(finding.level)
        write_styled(Text.assemble((finding.level, _COLOURS[finding.level]), rest))
    note(f"{file}: {_summary(found)}")
    if any(finding.level == "error" for finding in found):
        raise typer.Exit(1)


@app.command()
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A config: JSON or YAML.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    debug: Debug = False,
) -> None:
    """Compare two configs by path.

    - is what only A has, + what only B has, ~ what both have with another value. Exits as diff does: 0 when
    they are the same, 1 when not, 2 when a file cannot be read.
    """
    from millis_wrapper.config import diff_configs, load_config

    different = diff_configs(load_config(a), load_config(b))
    _show(different)
    if different:
        raise typer.Exit(1)


def _summary(found: list[Finding]) -> str:
    counts = Counter(finding.level for finding in found)
    return ", ".join(
        f"{count or 'no'} {level}{'' if count == 1 else 's'}"
        for level, count in ((level, counts[level]) for level in ("error", "warning", "hint"))
    )


def _show(different: ConfigDiff) -> None:
    from rich.text import Text

    lines = [
        *((path, "-", "red", _json(value)) for path, value in different.removed.items()),
        *((path, "+", "green", _json(value)) for path, value in different.added.items()),
        *(
            (path, "~", "yellow", f"{_json(change.before)} -> {_json(change.after)}")
            for path, change in different.changed.items()
        ),
    ]
    for path, sign, colour, words in lines:
        write_styled(Text(escape_control_characters(f"{sign} {path}: {words}"), colour))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
