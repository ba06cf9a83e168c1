"""`millis config check` and `millis config diff`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer
from millis_api.masking import MASK

from millis_wrapper._paths import children
from millis_wrapper._text import escape_control_characters
from millis_wrapper.errors import ConfigurationError

from ._options import Command, Debug, Metadata, read_metadata
from ._output import WRONG_USE, note, one_line, print_json, report, write_styled

if TYPE_CHECKING:
    from millis_wrapper.config import ConfigDiff, Finding

app = typer.Typer(help="Check configs or compare two of them.", rich_markup_mode=None)

_LEVEL_COLORS = {"error": "red", "warning": "yellow", "hint": "cyan"}
_SIGN_COLORS = {"-": "red", "+": "green", "~": "yellow"}


@app.command(cls=Command)
def check(
    ctx: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="JSON or YAML file; `-` reads stdin. A saved duplicate response works, too.",
        ),
    ],
    override: Annotated[
        bool,
        typer.Option("--override", help="Check partial configs, as `millis chat --config` accepts them."),
    ] = False,
    metadata: Metadata = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with status 1 on warnings, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Check configs and report problems.

    An error is a value that the service refuses, a warning is a likely mistake, and a hint is a possible one.
    Placeholders such as {name} are checked only with --metadata. Secrets are masked.

    Exit status: 0 without errors; 1 with errors, or with --strict also with warnings; 2 if a file is missing
    or malformed.
    """
    from millis_wrapper.config import check_config
    from millis_wrapper.config._load import read_config_file

    values = read_metadata(metadata)
    failing = {"error", "warning"} if strict else {"error"}
    listed: list[dict[str, Any]] = []
    code = 0
    for file in files:
        try:
            read = read_config_file(sys.stdin.buffer if file == "-" else file)
        except ConfigurationError as error:
            report(error, ctx.obj)
            code = WRONG_USE
            continue
        found = read.with_lines(check_config(read.config, "override" if override else "agent", values))
        if as_json:
            listed.append({"file": file, "findings": [attrs.asdict(finding) for finding in found]})
        else:
            _show_findings(file if len(files) > 1 else "", found)
            note(f"{file}: {_summary(found)}")
        if any(finding.level in failing for finding in found):
            code = max(code, 1)
    if as_json:
        print_json(listed)
    raise typer.Exit(code)


@app.command(cls=Command)
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="JSON or YAML file with a config.")],
    b: Annotated[str, typer.Argument(metavar="B", help="JSON or YAML file to compare A with.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the differences as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Compare two configs by path.

    A line that begins with - shows a value only in A, + a value only in B, and ~ a changed value. Secrets are
    masked.

    Exit status: 0 if the configs are equal; 1 if they differ; 2 if a file is missing or malformed.
    """
    from millis_wrapper.config import diff_configs, load_config

    before, after = load_config(a), load_config(b)
    different = diff_configs(before, after)
    masked = _without_secrets(different, before, after)
    if as_json:
        print_json(attrs.asdict(masked))
    else:
        _show_diff(masked)
    if different:
        raise typer.Exit(1)


def _show_findings(file: str, found: Sequence[Finding]) -> None:
    from rich.text import Text

    for finding in found:
        rest = one_line(str(finding)).removeprefix(finding.level)
        before = f"{escape_control_characters(file)}: " if file else ""
        write_styled(Text.assemble(before, (finding.level, _LEVEL_COLORS[finding.level]), rest))


def _summary(found: Sequence[Finding]) -> str:
    levels: list[str] = [finding.level for finding in found]
    counts = {level: levels.count(level) for level in _LEVEL_COLORS}
    return ", ".join(f"{n or 'no'} {level}{'' if n == 1 else 's'}" for level, n in counts.items())


def _without_secrets(different: ConfigDiff, before: dict[str, Any], after: dict[str, Any]) -> ConfigDiff:
    """Return the differences with secrets masked; a changed secret remains a change."""
    old, new = _values_by_path(before), _values_by_path(after)
    return attrs.evolve(
        different,
        removed={path: old.get(path, MASK) for path in different.removed},
        added={path: new.get(path, MASK) for path in different.added},
        changed={
            path: attrs.evolve(change, before=old.get(path, MASK), after=new.get(path, MASK))
            for path, change in different.changed.items()
        },
    )


def _values_by_path(config: dict[str, Any]) -> dict[str, Any]:
    """Return every value of a config by its path, with secrets masked."""
    from millis_wrapper.contract import mask_secrets

    found: dict[str, Any] = {}
    rest: list[tuple[str, Any]] = [("", mask_secrets(config))]
    while rest:
        path, value = rest.pop()
        found[path] = value
        rest += children(value, path)
    return found


def _show_diff(different: ConfigDiff) -> None:
    from rich.text import Text

    for sign, path, value in different.entries():
        change = f"{_as_json(value.before)} -> {_as_json(value.after)}" if sign == "~" else _as_json(value)
        write_styled(Text(escape_control_characters(f"{sign} {path}: {change}"), _SIGN_COLORS[sign]))


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
