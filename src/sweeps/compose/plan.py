"""From a sweep's command line to composed configs: one for each combination of swept group options, and its space.

Hydra parses and composes; this module sorts the overrides into what is swept, what is fixed and what is refused.
"""

from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cloudpickle
from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.trial import FrozenTrial

from sweeps.base.errors import ConfigError
from sweeps.compose import override_text, space_yaml
from sweeps.compose.leaf import Leaf, reachable
from sweeps.compose.option_file import ConfigSources, locate_option
from sweeps.compose.request import Request
from sweeps.compose.search_space import Proposal, SearchSpace
from sweeps.compose.settings import SWEPT_GROUPS

_GROUPS = (*SWEPT_GROUPS, "dataset")


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

    def config_of(self, trial: FrozenTrial) -> DictConfig:
        """The config that a finished trial ran, without `hydra`."""
        return self.trial_config(self.space.replay(trial))

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
            for name in space_yaml.flatten(combination.option(group)):
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
        (group, choice): space_yaml.collect(
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


def _has_key(config: DictConfig, key: str) -> bool:
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent)
    return isinstance(node, DictConfig) and name in node


def _unused_message(unused: Sequence[str], combinations: Iterable[Combination]) -> str:
    lines = []
    for key in unused:
        group, _, name = key.partition(".")
        known = {c.choices[group]: ", ".join(space_yaml.flatten(c.option(group))) or "none" for c in combinations}
        lines.append(f"No option of {group} has the key {name!r}. Their keys: ")
        lines += [f"  {group}={choice}: {keys}" for choice, keys in known.items()]
    return "\n".join(lines)


def _option_leaves(combination: Combination, group: str, choice: str, request: Request) -> tuple[Leaf, ...]:
    composed = combination.option(group)
    source = locate_option(combination.config.hydra.runtime.config_sources, group, choice)
    leaves = {leaf.key: leaf for leaf in space_yaml.collect(composed, group, choice, source)}
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
    for key in leaves.keys() - request.leaf_sweeps.keys():
        leaves[key] = replace(leaves[key], is_fixed=request.is_fixed(key))
    return reachable(tuple(leaves.values()))


def _plain(config: DictConfig, group: str) -> dict[str, Any]:
    node = OmegaConf.to_container(config[group], resolve=True)
    return {str(key): value for key, value in node.items()} if isinstance(node, dict) else {}
