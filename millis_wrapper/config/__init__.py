"""Agent configs: load, check, convert, merge and compare them, without any network.

All of it takes dicts and the generated models, changes neither, and gives back data of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from millis_wrapper import contract
from millis_wrapper._paths import children
from millis_wrapper.errors import ConfigurationError

from ._checks import Kind, findings
from ._data import kind_of, plain_config
from ._finding import Finding as Finding
from ._load import load_config as load_config

if TYPE_CHECKING:
    from millis_api.models import Metadata

    from millis_wrapper._types import Config

__all__ = [
    "Change",
    "ConfigDiff",
    "Finding",
    "Override",
    "as_override",
    "check_config",
    "diff_configs",
    "load_config",
    "merge_configs",
]


_MOST_LISTED = 20  # errors of a config that one message lists


@attrs.frozen
class Override:
    """A config that `chat` accepts, made from a saved one by `as_override`.

    `config` is what to pass as `agent_config`; `dropped` is what had to be left out, by its key.
    """

    config: dict[str, Any]
    dropped: dict[str, Any]


@attrs.frozen
class Change:
    """A value before and after."""

    before: Any
    after: Any


@attrs.frozen
class ConfigDiff:
    """How one config differs from another, by path (`tools[0].timeout`); false when it does not.

    `added` is what only the second one has, `removed` what only the first one has, `changed` what both have
    with another value. A null is a value, 1 is not 1.0 and not true, and lists are compared by position.
    """

    added: dict[str, Any]
    removed: dict[str, Any]
    changed: dict[str, Change]

    def entries(self) -> Iterator[tuple[str, str, Any]]:
        """Yield the difference as lines: `-` removed, `+` added, `~` changed, each with a path and its value.

        What was added or removed comes leaf by leaf, so that each line holds a value that is easy to read;
        the value of a change is a `Change`.
        """
        for sign, values in (("-", self.removed), ("+", self.added)):
            for path, value in values.items():
                yield from ((sign, place, leaf) for place, leaf in _leaves(value, path))
        for path, change in self.changed.items():
            yield "~", path, change

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def check_config(
    config: object, kind: Kind = "agent", metadata: Mapping[str, Any] | Metadata | None = None
) -> list[Finding]:
    """Find what is wrong with an agent's config, or looks wrong: errors first, then warnings, then hints.

    Args:
        config: a dict or a generated model; anything else is itself an error that is found.
        kind: `agent` for a whole config, as a saved agent has it; `override` for a partial one, as `chat`
            takes it, in which an unknown top-level key is an error, since the service refuses it.
        metadata: what the `{name}` placeholders in prompt and first message are filled in from. They are not
            looked at without it.

    Returns:
        What was found.

    Raises:
        ConfigurationError: another `kind`, metadata that is not an object, or jsonschema (extra `contract`)
            is not installed.

    Examples:
        >>> for finding in check_config({"flow": {"response_delay": 1.5}}, kind="override"):
        ...     print(finding.level, finding.path)
        error flow.response_delay
    """
    if kind not in ("agent", "override"):
        raise ConfigurationError(f'kind: must be "agent" or "override", not {kind!r}')
    return findings(config, kind, None if metadata is None else _names(metadata))


def ensure_valid_override(config: Config) -> None:
    """Raise an error that lists everything in `config` that `check_config` calls an error.

    Args:
        config: The config that a chat sends.

    Raises:
        ConfigurationError: The service would refuse the config, or jsonschema (extra `contract`) is not
            installed.
    """
    errors = [finding for finding in check_config(config, "override") if finding.level == "error"]
    if errors:
        lines = [str(finding).removeprefix("error: ") for finding in errors[:_MOST_LISTED]]
        if len(errors) > _MOST_LISTED:
            lines.append(f"and {len(errors) - _MOST_LISTED} more")
        raise ConfigurationError("\n  ".join(["agent_config: the service would refuse it:", *lines]))


def as_override(config: Config) -> Override:
    """Return what `chat` accepts of a saved or duplicated agent's config, and what it does not.

    Left out are the top-level keys that the request's schema does not know, since the service refuses them.
    All else stays as it is: nulls, which probably replace the saved value, and unknown keys further down.

    Raises:
        ConfigurationError: it is not a config, or the whole answer of duplicate.
    """
    data = plain_config(config, "config")
    known = contract.component("AgentConfigOverride")["properties"]
    return Override(
        config={key: value for key, value in data.items() if key in known},
        dropped={key: value for key, value in data.items() if key not in known},
    )


def merge_configs(base: Config, override: Config) -> dict[str, Any]:
    """Return the config that results when `override` goes with a saved agent whose config is `base`.

    Each top-level key of `override` replaces that of `base`, whole; a null replaces too. That is assumed of
    the service: it says no more than that a config overrides settings of the saved agent.

    Raises:
        ConfigurationError: it is not a config, or the whole answer of duplicate.
    """
    return {**plain_config(base, "base"), **plain_config(override, "override")}


def diff_configs(a: Config, b: Config) -> ConfigDiff:
    """Return how config `b` differs from config `a`; nothing added, removed or changed means a true copy.

    Raises:
        ConfigurationError: it is not a config, or the whole answer of duplicate.

    Examples:
        >>> diff_configs({"prompt": "Be brief."}, {"prompt": "Be brief.", "timezone": "Europe/Berlin"}).added
        {'timezone': 'Europe/Berlin'}
    """
    diff = ConfigDiff({}, {}, {})
    _compare(plain_config(a, "a"), plain_config(b, "b"), "", diff)
    return diff


def _names(metadata: Mapping[str, Any] | Metadata) -> set[str]:
    if isinstance(metadata, Mapping):
        return set(metadata)
    if hasattr(metadata, "to_dict"):
        return set(metadata.to_dict())
    raise ConfigurationError(f"metadata: must be a dict, not {kind_of(metadata)}")


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    inside = children(value, path)
    if not inside:
        yield path, value
    for place, child in inside:
        yield from _leaves(child, place)


def _compare(a: Any, b: Any, path: str, diff: ConfigDiff) -> None:
    if type(a) is type(b) and isinstance(a, dict | list):
        before, after = dict(children(a, path)), dict(children(b, path))
        diff.removed.update({place: item for place, item in before.items() if place not in after})
        diff.added.update({place: item for place, item in after.items() if place not in before})
        for place, item in before.items():
            if place in after:
                _compare(item, after[place], place, diff)
    elif type(a) is not type(b) or a != b:
        diff.changed[path] = Change(a, b)
