"""From a sweep's command line to composed configs: one for each combination of swept group options, and its space.

Hydra parses and composes; this module sorts the overrides into what is swept, what is fixed and what is refused.
"""

from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import cloudpickle
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

from sweeps import option, search_space
from sweeps import overrides as override_text
from sweeps.config import SWEPT_GROUPS
from sweeps.errors import ConfigError
from sweeps.leaf_sweep import LeafSweep, choices_of
from sweeps.search_space import Leaf, Proposal, SearchSpace

_GROUPS = (*SWEPT_GROUPS, "dataset")
ConfigSources = Iterable[Any]  # items with `path` and `schema`


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
            elif _is_leaf_key(key) and not adds and not override.is_delete():
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


@dataclass(frozen=True)
class PackedConfig:
    """A composed config as bytes, of which a trial's own is made six times as fast as by `deepcopy`.

    Attributes:
        config: pickled, without `hydra`; classes of `__main__` by value.
        hydra: pickled, `hydra` alone, as a key.
        overrides: what was typed for all trials.
    """

    config: bytes
    hydra: bytes
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Combination:
    """One composed config with its group options, `{"model": "svm", "vectorizer": "tfidf"}`."""

    choices: Mapping[str, str]
    config: DictConfig

    def option(self, group: str) -> dict[str, Any]:
        """The composed config of a group's option as plain containers."""
        return _plain(self.config, group)

    @cached_property
    def packed(self) -> PackedConfig:
        """The config for the trials."""
        config = copy.deepcopy(self.config)
        hydra = OmegaConf.create({"hydra": OmegaConf.to_container(config.hydra)})  # without Hydra's own classes
        with open_dict(config):
            del config["hydra"]
        return PackedConfig(cloudpickle.dumps(config), pickle.dumps(hydra), tuple(hydra.hydra.overrides.task))

    def __getstate__(self) -> dict[str, Any]:
        """A worker needs no more than this, and may not be able to pickle what it was sent."""
        return {"choices": self.choices, "config": None, "packed": self.packed}


@dataclass(frozen=True)
class StudyPlan:
    """Everything composed for one study.

    Attributes:
        dataset: the dataset's option name.
        combinations: the composed configs, keyed by the options of `SWEPT_GROUPS` in that order.
        space: the search space over them.
    """

    dataset: str
    combinations: Mapping[tuple[str, ...], Combination]
    space: SearchSpace

    @property
    def config(self) -> DictConfig:
        """The first combination's config: the one that settings and dataset are read from."""
        return next(iter(self.combinations.values())).config

    def trial_config(self, proposal: Proposal) -> DictConfig:
        """The config of one trial, without `hydra`."""
        config: DictConfig = pickle.loads(self._combination(proposal).packed.config)  # noqa: S301 - our own
        for key, value in proposal.values.items():
            OmegaConf.update(config, key, override_text.stored(value), merge=False)
        return config

    def hydra_config(self, number: int, proposal: Proposal, directory: Path) -> DictConfig:
        """`hydra` alone, for one trial as a job in `directory/<number>`."""
        config: DictConfig = pickle.loads(self._combination(proposal).packed.hydra)  # noqa: S301 - our own
        hydra = config.hydra
        with open_dict(hydra):
            hydra.overrides.task = self.override_texts(proposal)
            hydra.job.id = f"{hydra.job.name}_{number}"
            hydra.job.num = number
            hydra.sweep.dir = str(directory)
            hydra.sweep.subdir = str(number)
        return config

    def override_texts(self, proposal: Proposal) -> list[str]:
        """A trial as overrides: what was typed for all, and what was drawn."""
        typed = {*(f"{group}=" for group in proposal.choices), *(f"{key}=" for key in proposal.values)}
        common = self._combination(proposal).packed.overrides
        return [text for text in common if not text.startswith(tuple(typed))] + proposal.override_texts()

    def _combination(self, proposal: Proposal) -> Combination:
        return self.combinations[tuple(proposal.choices[group] for group in SWEPT_GROUPS)]

    def parameter_names(self) -> dict[str, str]:
        """How each hyperparameter of the study is called, by config key."""
        return parameter_names(self.combinations.values())


def parameter_names(combinations: Iterable[Combination]) -> dict[str, str]:
    """How each hyperparameter is called, by config key: its name in the option (`model.C` is `C`).

    One whose name stands in more than one group of the sweep keeps its group throughout.
    """
    groups: dict[str, set[str]] = {}
    for combination in combinations:
        for group in SWEPT_GROUPS:
            for name in option.flatten(combination.option(group)):
                groups.setdefault(name, set()).add(group)
    return {
        f"{group}.{name}": name if len(of) == 1 else f"{group}.{name}" for name, of in groups.items() for group in of
    }


def plan_study(request: Request, dataset: str | None, master: DictConfig, config_loader: ConfigLoader) -> StudyPlan:
    """Compose every combination of swept options for one dataset and collect the search space.

    Args:
        request: the sorted overrides.
        dataset: the dataset's option, None for the config's own.
        master: the config that Hydra composed for the sweep.
        config_loader: Hydra's.

    Raises:
        ConfigError: an override that fits no option, or a search space that breaks a rule.
        hydra.errors.HydraException: a combination that does not compose.
    """
    common = [*request.common, *([f"dataset={dataset}"] if dataset else [])]
    first = {group: options[0] for group, options in request.options.items() if group in SWEPT_GROUPS}
    own = _compose(common, first, {}, master, config_loader).hydra.runtime.choices
    groups = {group: request.options.get(group, (str(own[group]),)) for group in SWEPT_GROUPS}

    combinations: dict[tuple[str, ...], Combination] = {}
    unused = {*request.leaf_values, *request.leaf_sweeps}
    for options in itertools.product(*groups.values()):
        typed = {g: o for g, o in zip(groups, options, strict=True) if g in request.options}
        config = _compose(common, typed, {}, master, config_loader)
        values = {key: text for key, text in request.leaf_values.items() if _has_key(config, key)}
        if values:
            config = _compose(common, typed, values, master, config_loader)
        unused -= {*values, *(key for key in request.leaf_sweeps if _has_key(config, key))}
        combinations[options] = Combination(dict(zip(groups, options, strict=True)), config)
    if unused:
        raise ConfigError(_unused_message(sorted(unused), combinations.values()))

    leaves: dict[tuple[str, str], tuple[Leaf, ...]] = {}
    for combination in combinations.values():
        for group, choice in combination.choices.items():
            found = _option_leaves(combination, group, choice, request)
            if leaves.setdefault((group, choice), found) != found:
                raise ConfigError(
                    f"{found[0].source if found else choice}: the search space of {group}={choice} differs between "
                    f"combinations; it must not depend on the other groups."
                )
    return StudyPlan(str(own["dataset"]), combinations, SearchSpace(groups, leaves))


def space_as_written(combination: Combination, config_sources: ConfigSources) -> SearchSpace:
    """The search space of one composed config, for a look at it without a sweep."""
    leaves = {
        (group, choice): option.collect(
            combination.option(group), group, choice, locate_option(config_sources, group, choice)
        )
        for group, choice in combination.choices.items()
    }
    return SearchSpace({group: (choice,) for group, choice in combination.choices.items()}, leaves)


def _compose(
    common: Sequence[str],
    typed: Mapping[str, str],
    values: Mapping[str, str],
    master: DictConfig,
    config_loader: ConfigLoader,
) -> DictConfig:
    texts = [*common, *(f"{g}={o}" for g, o in typed.items()), *(f"{k}={v}" for k, v in values.items())]
    return config_loader.load_sweep_config(master, texts)


def _group_options(override: Override) -> tuple[str, ...]:
    if not override.is_sweep_override():
        return (str(override.value()),)
    if not override.is_choice_sweep():
        raise ConfigError(
            f"{override.input_line}: a group is swept over its options, as in {override.key_or_group}=a,b."
        )
    options = tuple(dict.fromkeys(str(choice) for choice in choices_of(override)))
    if not options:
        raise ConfigError(f"{override.input_line}: no option of {override.key_or_group} fits.")
    return options


def _is_leaf_key(key: str) -> bool:
    group, _, name = key.partition(".")
    return group in SWEPT_GROUPS and bool(name) and not f"{name}.".startswith(f"{option.SEARCH_SPACE}.")


def _check_sweepable(override: Override) -> None:
    key = override.key_or_group
    if not _is_leaf_key(key):
        raise ConfigError(
            f"{override.input_line}: {key} cannot be swept, since scores would not compare. Swept are model, "
            f"vectorizer, dataset and the keys under model and vectorizer; run once for each value of {key}."
        )
    if override.is_add() or override.is_force_add():
        raise ConfigError(
            f"{override.input_line}: a searched key needs a default beside it. Write `{key.partition('.')[2]}: VALUE` "
            f"into the option's YAML file, and drop the '+'."
        )


def _has_key(config: DictConfig, key: str) -> bool:
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent)
    return isinstance(node, DictConfig) and name in node


def _unused_message(unused: Sequence[str], combinations: Iterable[Combination]) -> str:
    lines = []
    for key in unused:
        group, _, name = key.partition(".")
        known = {c.choices[group]: ", ".join(option.flatten(c.option(group))) or "none" for c in combinations}
        lines.append(f"No option of {group} has the key {name!r}. Their keys: ")
        lines += [f"  {group}={choice}: {keys}" for choice, keys in known.items()]
    return "\n".join(lines)


def _option_leaves(combination: Combination, group: str, choice: str, request: Request) -> tuple[Leaf, ...]:
    composed = combination.option(group)
    source = locate_option(combination.config.hydra.runtime.config_sources, group, choice)
    leaves = {leaf.key: leaf for leaf in option.collect(composed, group, choice, source)}
    for key, sweep in request.leaf_sweeps.items():
        if not key.startswith(f"{group}.") or not _has_key(combination.config, key):
            continue
        default: Any = composed
        for part in key.split(".")[1:]:
            default = default[part]
        name = f"{group}/{choice}.{key.partition('.')[2]}"
        distribution = sweep.distribution(default)
        leaf = leaves.get(key) or Leaf(key, name, distribution, default, {}, "")
        leaves[key] = replace(leaf, distribution=distribution, source=f"command line: {sweep.text}")
    fixed = {key for key in leaves if request.is_fixed(key)} - set(request.leaf_sweeps)
    return search_space.drop_unreachable(tuple(leaves.values()), fixed)


def locate_option(config_sources: ConfigSources, group: str, choice: str) -> str:
    """The file of an option as a user would open it, found along `hydra.runtime.config_sources`.

    Raises:
        ConfigError: several folders have the option; Hydra would take the first and say nothing.
    """
    files = list(dict.fromkeys(_files(config_sources, f"{group}/{choice}.yaml")))
    if len(files) > 1:
        raise ConfigError(f"{group}={choice} stands in several files; give yours another name: {', '.join(files)}.")
    return files[0] if files else f"{group}/{choice}.yaml"


def _files(config_sources: ConfigSources, name: str) -> Iterator[str]:
    for source in config_sources:
        if source.schema == "file":
            folder = Path(source.path)
        elif source.schema == "pkg" and source.path:
            try:
                folder = Path(str(resources.files(source.path.replace("/", "."))))
            except (ImportError, TypeError):
                continue
        else:
            continue
        if (folder / name).is_file():
            file, here = (folder / name).resolve(), Path.cwd().resolve()
            yield str(file.relative_to(here) if file.is_relative_to(here) else file)


def _plain(config: DictConfig, group: str) -> dict[str, Any]:
    node = OmegaConf.to_container(config[group], resolve=True)
    return {str(key): value for key, value in node.items()} if isinstance(node, dict) else {}
