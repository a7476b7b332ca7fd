"""Samplers from the config group `sampler`: built, checked against the space, and made repeatable."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna import Study, Trial
from optuna.distributions import CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    BruteForceSampler,
    CmaEsSampler,
    GPSampler,
    GridSampler,
    NSGAIIISampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)

from sweeps.base.build import TARGET, BuildError, build, locate_class
from sweeps.base.errors import ConfigError
from sweeps.compose.leaf import is_unconditional
from sweeps.compose.search_space import SearchSpace
from sweeps.study.grid import ConditionalGrid, build_grid

GRID = f"{ConditionalGrid.__module__}.{ConditionalGrid.__qualname__}"
_NEEDS = {CmaEsSampler: "cmaes", GPSampler: "torch"}
# All that carries over from trial to trial is the random state, or stands in the study.
_STATELESS = (RandomSampler, TPESampler, NSGAIISampler)
_NUMBERS_ONLY = (CmaEsSampler, QMCSampler)
_JOINTLY = ("multivariate", "group")  # arguments of TPE
_GENETIC = (NSGAIISampler, NSGAIIISampler)


class SamplerFactory:
    """Makes the sampler of a study.

    Args:
        config: the resolved `sampler` option: `_target_` and arguments, `seed` among them.
        space: what it is to sample.
        n_objectives: how many metrics are optimised.

    Raises:
        ConfigError: an unknown sampler, a missing package, or a space that the sampler cannot model at all.

    Attributes:
        warning: what of the space the sampler draws at random because it cannot model it, or None.
    """

    def __init__(self, config: Mapping[str, Any], space: SearchSpace, n_objectives: int = 1) -> None:
        self._config = dict(config)
        for name in _JOINTLY:
            if name in config and config[name] is None:
                self._config[name] = n_objectives == 1
        self._class = locate_class(self._config.get(TARGET, ""), f"sampler.{TARGET}")
        if not issubclass(self._class, BaseSampler):
            raise BuildError(f"sampler.{TARGET}: {self._config[TARGET]} is not an Optuna sampler.")
        for needs, package in _NEEDS.items():
            if self._class is needs and importlib.util.find_spec(package) is None:
                raise ConfigError(f"sampler: {needs.__name__} needs the package {package}: pip install {package}")
        self.warning = _check_space(self._class, space)
        if self._class is ConditionalGrid:
            self._config["space"] = space
        self._sampler = self._build(self._config.get("seed"))

    @property
    def is_for_one_value(self) -> bool:
        """Whether the sampler refuses studies of several objectives."""
        return issubclass(self._class, CmaEsSampler)

    def admits(self, parameters: Mapping[str, Any]) -> bool:
        """Whether a trial may run these parameters: where every point is run once, no other is."""
        return not isinstance(self._sampler, ConditionalGrid) or self._sampler.has(parameters)

    def exhausted(self, study: Study) -> bool:
        """Whether the sampler has nothing left to propose."""
        return isinstance(self._sampler, ConditionalGrid) and self._sampler.next_point(study) is None

    def sampler_for(self, n_accepted: int) -> BaseSampler:
        """The sampler of the next trial.

        Samplers that keep nothing but a random state are made anew with a seed from (seed, accepted trials), so that
        one seed gives one sequence of trials, however often the sweep is taken up again.
        """
        if self._class in _STATELESS and self._config.get("seed") is not None:
            seed = np.random.SeedSequence([self._config["seed"], n_accepted]).generate_state(1)[0]
            return self._build(int(seed))
        return self._sampler

    def take_in(self, trial: Trial) -> None:
        """Have a genetic sampler know a trial of which it draws nothing: it counts generations when it draws.

        Otherwise defaults were no parents, and a trial that is tried again would belong to no generation.
        """
        if issubclass(self._class, _GENETIC):
            _ = trial.relative_params

    def _build(self, seed: int | None) -> BaseSampler:
        arguments = self._config | ({} if seed is None else {"seed": seed})
        if self._class is ConditionalGrid:
            return build_grid(arguments)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # the sampler's YAML file chose its options
            sampler: BaseSampler = build(arguments, "sampler")
        return sampler


def _check_space(sampler: type, space: SearchSpace) -> str | None:
    if sampler in (GridSampler, BruteForceSampler):
        raise ConfigError(f"sampler: {sampler.__name__} does not work with conditional spaces; use sampler=grid.")
    if sampler not in (*_NUMBERS_ONLY, *_GENETIC, GPSampler):
        return None
    swept = space.swept_groups()
    numbers_only = sampler in _NUMBERS_ONLY
    blind = list(swept) if numbers_only else []
    modelled = [] if numbers_only else list(swept)
    for (group, _), leaves in space.leaves.items():
        for leaf in (leaf for leaf in leaves if not leaf.is_fixed):
            categorical = isinstance(leaf.distribution, CategoricalDistribution) and numbers_only
            # A default outside its distribution is not drawn in the first trial; that hides the leaf from the sampler.
            is_blind = group in swept or not is_unconditional(leaf, leaves) or categorical or not leaf.holds_default()
            (blind if is_blind else modelled).append(leaf.name)
    if not blind and not (sampler is CmaEsSampler and len(modelled) == 1):
        return None
    what = "conditional or categorical" if numbers_only else "conditional"
    if (not modelled and sampler not in _GENETIC) or (sampler is CmaEsSampler and len(modelled) == 1):
        at_least = "two unconditional numbers" if sampler is CmaEsSampler else "an unconditional parameter"
        raise ConfigError(
            f"sampler: {sampler.__name__} needs {at_least} with a default inside the range; it cannot model {what} "
            f"parameters, and this space has: {', '.join([*modelled, *blind])}. Use sampler=tpe, or sweep numbers of "
            f"one option."
        )
    return f"{sampler.__name__} cannot model {what} parameters; drawn at random: {', '.join(blind)}."
