"""The overrides of a sweep, sorted into what is swept, what is fixed and what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from sweeps.base.errors import ConfigError
from sweeps.compose import override_text
from sweeps.compose.leaf_sweep import LeafSweep, choices_of
from sweeps.compose.scope import SEARCH_SPACE, Scope, package_of

_MAY_BE_SEVERAL = ("hydra.sweeper.metric", "hydra.sweeper.direction")


@dataclass(frozen=True)
class Request:
    """The overrides of one sweep, sorted.

    Attributes:
        options: the options typed for a group, in order: `{"model": ("svm", "logistic")}`.
        added: the groups among them that are not in the defaults list, typed as `+group=a,b`.
        leaf_sweeps: sweeps of hyperparameters by config key: `model.C='interval(0.1,1)'`.
        leaf_values: hyperparameters fixed by an override, by config key; applied where an option has the key.
        common: the other overrides, passed to every composition.
        fixed: the config keys that are fixed, those under `common` included.
        scope: what may be searched.
    """

    options: Mapping[str, tuple[str, ...]]
    added: frozenset[str]
    leaf_sweeps: Mapping[str, LeafSweep]
    leaf_values: Mapping[str, str]
    common: tuple[str, ...]
    fixed: frozenset[str]
    scope: Scope

    @classmethod
    def parse(cls, arguments: Iterable[str], config_loader: ConfigLoader, scope: Scope) -> Request:
        """Sort override texts; of several with one key the last counts.

        Raises:
            ConfigError: a sweep over something that the scope leaves out, or in a way that makes no space.
        """
        parser = OverridesParser.create(config_loader=config_loader)
        options: dict[str, tuple[str, ...]] = {}
        added: set[str] = set()
        sweeps: dict[str, LeafSweep] = {}
        values: dict[str, str] = {}
        common: dict[str, Override] = {}
        for override in parser.parse_overrides(list(arguments)):
            key = override.key_or_group
            group = _group_of(override, config_loader, scope)
            if group is not None:
                options[group] = _group_options(override, group)
                added.discard(group)
                added |= {group} if _adds(override) else set()
                common.pop(override.get_key_element(), None)
            elif override.is_sweep_override():
                _check_sweepable(override, scope)
                sweeps.pop(key, None)
                values.pop(key, None)
                common.pop(key, None)
                sweep = LeafSweep.of(override)
                if sweep.choices is not None and len(sweep.choices) == 1:
                    values[key] = override_text.to_text(sweep.choices[0])  # fixes a key that only some options have
                else:
                    sweeps[key] = sweep
            else:
                sweeps.pop(key, None)
                common[override.get_key_element()] = override
        groups = scope.groups if scope.groups is not None else tuple(options)
        for text, override in tuple(common.items()):
            if _is_below(override, groups):
                values[override.key_or_group] = override.get_value_element_as_str()
                del common[text]
        keys = (override.key_or_group for override in common.values())
        fixed = {*values, *(key for key in keys if not config_loader.get_group_options(key))}  # a choice fixes no value
        texts = tuple(str(override.input_line) for override in common.values())
        return cls(options, frozenset(added), sweeps, values, texts, frozenset(fixed), scope)

    def is_fixed(self, key: str) -> bool:
        """Whether an override sets this config key, or a mapping around it."""
        return any(key == fixed or key.startswith(f"{fixed}.") for fixed in self.fixed)

    def studies(self) -> tuple[str | None, ...]:
        """The options typed for the scope's study group; `(None,)` where there is one study."""
        return self.options.get(self.scope.study_group or "", (None,))


def _group_of(override: Override, config_loader: ConfigLoader, scope: Scope) -> str | None:
    """The group that an override chooses options of, None for any other; in an app only a sweep does."""
    key = override.key_or_group
    if scope.groups is not None:
        if key not in (*scope.groups, scope.study_group):
            return None
        if override.package:
            raise ConfigError(
                f"{override.input_line}: here each option of {key} has one place, {key}; type {key}=NAME, or {key}=a,b."
            )
        if override.is_delete():
            raise ConfigError(f"{override.input_line}: a sweep needs a {key}; choose one with {key}=NAME.")
        return key
    if not override.is_sweep_override() or key.startswith("hydra/") or not config_loader.get_group_options(key):
        return None
    return f"{key}@{override.package}" if override.package else key


def check_option_name(group: str, option: str) -> None:
    """Refuse an option typed with its file's ending, which Hydra drops: runs would bear another name.

    Raises:
        ConfigError: what to type.
    """
    if option.endswith(".yaml"):
        raise ConfigError(f"{group}={option}: type the option without the ending: {group}={option[:-5]}")


def _group_options(override: Override, group: str) -> tuple[str, ...]:
    options = _chosen(override, group)
    for option in options:
        check_option_name(group, option)
    return options


def _chosen(override: Override, group: str) -> tuple[str, ...]:
    if not override.is_sweep_override():
        value = override_text.plain(override.value())
        if isinstance(value, list):
            names = ",".join(map(str, value))
            raise ConfigError(
                f"{override.input_line}: several options of {group} are typed without brackets: {group}={names}"
            )
        return (str(value),)
    if not override.is_choice_sweep():
        raise ConfigError(f"{override.input_line}: a group can only be swept over its options, as in {group}=a,b.")
    options = tuple(dict.fromkeys(str(choice) for choice in choices_of(override)))
    if not options:
        raise ConfigError(f"{override.input_line}: no option of {group} matches.")
    return options


def _is_below(override: Override, groups: Iterable[str]) -> bool:
    """Whether an override fixes a hyperparameter that other options of a swept group may lack."""
    if _adds(override) or override.is_delete() or override.package:
        return False
    key = override.key_or_group
    packages = [package_of(group) for group in groups]
    return any(
        package and key.startswith(f"{package}.") and not f"{key}.".startswith(f"{package}.{SEARCH_SPACE}.")
        for package in packages
    )


def _adds(override: Override) -> bool:
    return override.is_add() or override.is_force_add()


def _check_sweepable(override: Override, scope: Scope) -> None:
    key, values = override.key_or_group, str(override.input_line).partition("=")[2]
    if key in _MAY_BE_SEVERAL or (key == "metric" and scope.groups is not None):
        raise ConfigError(f"{override.input_line}: several at once are a list: '{key}=[{values}]'")
    if scope.groups is not None and (scope.limits(key) or f".{SEARCH_SPACE}." in f"{key}."):
        named = [*scope.groups, *([scope.study_group] if scope.study_group else [])]
        raise ConfigError(
            f"{override.input_line}: {key} cannot be swept: scores would not be comparable. What can be swept: "
            f"{', '.join(named)} and the keys under {' and '.join(scope.groups)}; run once for each value of {key}."
        )
    if key.startswith(("hydra.", "hydra/")):
        raise ConfigError(f"{override.input_line}: {key} cannot be swept: it is the same for all trials of a sweep.")
    if key.rpartition(".")[2] == "seed":
        raise ConfigError(
            f"{override.input_line}: a seed is not searched: the luckiest would win. To run each configuration under "
            f"several seeds, and optimise the mean: 'hydra.sweeper.repeat={{{key}: [{values}]}}'"
        )
    if _adds(override) and scope.groups is not None:
        raise ConfigError(
            f"{override.input_line}: a searched key needs a default beside it. Write `{key.partition('.')[2]}: VALUE` "
            f"into the option's YAML file, and drop the '+'."
        )
