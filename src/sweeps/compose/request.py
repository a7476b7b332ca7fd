"""The overrides of a sweep, sorted into what is swept, what is fixed and what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from sweeps.base.errors import ConfigError
from sweeps.compose import override_text, space_yaml
from sweeps.compose.leaf_sweep import LeafSweep, choices_of
from sweeps.compose.settings import SWEPT_GROUPS

_GROUPS = (*SWEPT_GROUPS, "dataset")


@dataclass(frozen=True)
class Request:
    """The overrides of one sweep, sorted.

    Attributes:
        options: the options typed for a group, in order: `{"model": ("svm", "logistic")}`.
        leaf_sweeps: sweeps of hyperparameters by config key: `model.C='interval(0.1,1)'`.
        leaf_values: hyperparameters fixed by an override, by config key; applied where an option has the key.
        common: the other overrides, passed to every composition.
        fixed: the config keys that are fixed, those under `common` included.
    """

    options: Mapping[str, tuple[str, ...]]
    leaf_sweeps: Mapping[str, LeafSweep]
    leaf_values: Mapping[str, str]
    common: tuple[str, ...]
    fixed: frozenset[str]

    @classmethod
    def parse(cls, arguments: Iterable[str], config_loader: ConfigLoader) -> Request:
        """Sort override texts; of several with one key the last counts.

        Raises:
            ConfigError: a sweep over something other than a group, or a hyperparameter under `model` or `vectorizer`.
        """
        parser = OverridesParser.create(config_loader=config_loader)
        options: dict[str, tuple[str, ...]] = {}
        sweeps: dict[str, LeafSweep] = {}
        values: dict[str, str] = {}
        common: dict[str, Override] = {}
        for override in parser.parse_overrides(list(arguments)):
            key = override.key_or_group
            adds = override.is_add() or override.is_force_add()
            if key in _GROUPS and override.is_delete():
                raise ConfigError(f"{override.input_line}: a sweep needs a {key}; choose one with {key}=NAME.")
            if key in _GROUPS:
                options[key] = _group_options(override)
            elif override.is_sweep_override():
                _check_sweepable(override)
                sweeps.pop(key, None)
                values.pop(key, None)
                sweep = LeafSweep.of(override)
                if sweep.choices is not None and len(sweep.choices) == 1:
                    values[key] = override_text.to_text(sweep.choices[0])  # fixes a key that only some options have
                else:
                    sweeps[key] = sweep
            elif is_leaf_key(key) and not adds and not override.is_delete():
                sweeps.pop(key, None)
                values[key] = override.get_value_element_as_str()
            else:
                common[override.get_key_element()] = override
        fixed = {*values, *(o.key_or_group for o in common.values() if not o.is_sweep_override())}
        return cls(options, sweeps, values, tuple(str(o.input_line) for o in common.values()), frozenset(fixed))

    def is_fixed(self, key: str) -> bool:
        """Whether an override sets this config key, or a mapping around it."""
        return any(key == fixed or key.startswith(f"{fixed}.") for fixed in self.fixed)

    def datasets(self) -> tuple[str | None, ...]:
        """The datasets typed, each a study of its own; `(None,)` where the config's own is meant."""
        return self.options.get("dataset", (None,))


def _group_options(override: Override) -> tuple[str, ...]:
    if not override.is_sweep_override():
        return (str(override.value()),)
    if not override.is_choice_sweep():
        raise ConfigError(
            f"{override.input_line}: a group can only be swept over its options, as in {override.key_or_group}=a,b."
        )
    options = tuple(dict.fromkeys(str(choice) for choice in choices_of(override)))
    if not options:
        raise ConfigError(f"{override.input_line}: no option of {override.key_or_group} matches.")
    return options


def is_leaf_key(key: str) -> bool:
    group, _, name = key.partition(".")
    return group in SWEPT_GROUPS and bool(name) and not f"{name}.".startswith(f"{space_yaml.SEARCH_SPACE}.")


def _check_sweepable(override: Override) -> None:
    key = override.key_or_group
    if not is_leaf_key(key):
        raise ConfigError(
            f"{override.input_line}: {key} cannot be swept: scores would not be comparable. What can be swept: model, "
            f"vectorizer, dataset and the keys under model and vectorizer; run once for each value of {key}."
        )
    if override.is_add() or override.is_force_add():
        raise ConfigError(
            f"{override.input_line}: a searched key needs a default beside it. Write `{key.partition('.')[2]}: VALUE` "
            f"into the option's YAML file, and drop the '+'."
        )
