"""Load, check, convert, merge and compare agent configs, without a network.

The functions accept dicts and generated models, do not modify them, and return new data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from millis_wrapper import contract
from millis_wrapper._paths import children
from millis_wrapper.errors import ConfigurationError

from ._checks import Kind, findings
from ._data import copy_config, describe_type, leaves
from ._finding import Finding as Finding
from ._load import load_config as load_config
from ._rules import quoted

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


_MOST_LISTED = 20  # errors listed in one message


@attrs.frozen
class Override:
    """The result of `as_override`."""

    config: dict[str, Any]
    """The config to pass to `chat` as `agent_config`."""
    dropped: dict[str, Any]
    """The top-level keys that were removed because the service refuses them, with their values."""


@attrs.frozen
class Change:
    """A value that differs between two configs."""

    before: Any
    after: Any


@attrs.frozen
class ConfigDiff:
    """The differences between two configs by path, such as `tools[0].timeout`; false if they do not differ.

    A null differs from a missing key, and 1 differs from 1.0 and from true. Lists are compared by position.
    """

    added: dict[str, Any]
    """Values that only the second config has."""
    removed: dict[str, Any]
    """Values that only the first config has."""
    changed: dict[str, Change]
    """Values that differ."""

    def entries(self) -> Iterator[tuple[str, str, Any]]:
        """Yield every difference as a sign (`-` removed, `+` added, `~` changed), a path and a value.

        An object or list that was added or removed is split into its innermost values, which are easier to
        read. The value of a change is a `Change`.
        """
        for sign, values in (("-", self.removed), ("+", self.added)):
            for path, value in values.items():
                yield from ((sign, place, leaf) for place, leaf in leaves(value, path))
        for path, change in self.changed.items():
            yield "~", path, change

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def check_config(
    config: object, kind: Kind = "agent", metadata: Mapping[str, Any] | Metadata | None = None
) -> list[Finding]:
    """Return the problems of an agent's config: errors first, then warnings, then hints.

    Args:
        config: A dict or a generated model. Any other value results in an error finding.
        kind: `"agent"` for the complete config of a saved agent; `"override"` for a partial config, as `chat`
            accepts it. In an override, an unknown top-level key is an error, because the service refuses it.
        metadata: The values for `{name}` placeholders in the prompt and the first message. Without it, the
            placeholders are not checked.

    Raises:
        ConfigurationError: `kind` or `metadata` is invalid, or jsonschema (extra `contract`) is missing.

    Examples:
        >>> for finding in check_config({"flow": {"response_delay": 1.5}}, kind="override"):
        ...     print(finding.level, finding.path)
        error flow.response_delay
    """
    if kind not in ("agent", "override"):
        raise ConfigurationError(f'kind: must be "agent" or "override", got {quoted(kind)}')
    return findings(config, kind, None if metadata is None else _metadata_names(metadata))


def ensure_valid_override(config: Config) -> None:
    """Raise an error that lists the findings of level `error` in `config`, on one line if it is only one.

    Args:
        config: The config to send with a chat.

    Raises:
        ConfigurationError: The service would refuse the config, or jsonschema (extra `contract`) is not
            installed.
    """
    errors = [finding for finding in check_config(config, "override") if finding.level == "error"]
    if len(errors) == 1:
        separator = "." if errors[0].path else ": "
        raise ConfigurationError("agent_config" + separator + str(errors[0]).removeprefix("error: "))
    if errors:
        lines = [str(finding).removeprefix("error: ") for finding in errors[:_MOST_LISTED]]
        if len(errors) > _MOST_LISTED:
            lines.append(f"and {len(errors) - _MOST_LISTED} more")
        raise ConfigurationError("\n  ".join(["agent_config: the service would refuse this config:", *lines]))


def as_override(config: Config) -> Override:
    """Convert the config of a saved or duplicated agent to one that `chat` accepts.

    Unknown top-level keys are removed, because the service refuses them in a request. Everything else is
    unchanged, including unknown keys at deeper levels and nulls, which probably replace the saved value.

    Raises:
        ConfigurationError: `config` is not a config, or is a complete duplicate response.
    """
    data = copy_config(config, "config")
    known = contract.component("AgentConfigOverride")["properties"]
    return Override(
        config={key: value for key, value in data.items() if key in known},
        dropped={key: value for key, value in data.items() if key not in known},
    )


def merge_configs(base: Config, override: Config) -> dict[str, Any]:
    """Return the config `base` of a saved agent after applying `override`.

    Every top-level key of `override` replaces the value in `base`, also if it is an object or null. The
    service is assumed to do the same; its documentation only states that a config overrides settings of the
    saved agent.

    Raises:
        ConfigurationError: An argument is not a config, or is a complete duplicate response.
    """
    return {**copy_config(base, "base"), **copy_config(override, "override")}


def diff_configs(a: Config, b: Config) -> ConfigDiff:
    """Return the differences between the configs `a` and `b`.

    Raises:
        ConfigurationError: An argument is not a config, or is a complete duplicate response.

    Examples:
        >>> diff_configs({"prompt": "Be brief."}, {"prompt": "Be brief.", "timezone": "Europe/Berlin"}).added
        {'timezone': 'Europe/Berlin'}
    """
    diff = ConfigDiff({}, {}, {})
    _compare(copy_config(a, "a"), copy_config(b, "b"), "", diff)
    return diff


def _metadata_names(metadata: Mapping[str, Any] | Metadata) -> set[str]:
    if isinstance(metadata, Mapping):
        return set(metadata)
    if hasattr(metadata, "to_dict"):
        return set(metadata.to_dict())
    raise ConfigurationError(f"metadata: must be a dict, got {describe_type(metadata)}")


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
