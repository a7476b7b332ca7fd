"""Every point of a finite conditional space once."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import (
    BaseSampler,
)
from optuna.trial import FrozenTrial, TrialState

from sweeps.base.build import TARGET
from sweeps.base.errors import ConfigError
from sweeps.compose.search_space import SearchSpace
from sweeps.study.attribute import was_cut_off

_MAX_GRID = 100_000


class ConditionalGrid(BaseSampler):
    """Every point of a conditional space once, in an order drawn from the seed.

    Optuna's GridSampler repeats points of a conditional space, and its BruteForceSampler ends a study through
    `Study.stop`, which raises outside `Study.optimize`.

    Args:
        space: its leaves must be finite.
        seed: of the order.

    Raises:
        ConfigError: a float without a step, or more points than can be listed.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        points = list(itertools.islice(space.grid(), _MAX_GRID + 1))
        if len(points) > _MAX_GRID:
            raise ConfigError(f"sampler=grid: the space has more than {_MAX_GRID:,} points; use sampler=random.")
        order = np.random.default_rng(seed).permutation(len(points))
        self._points = [points[index] for index in order]

    def has(self, parameters: Mapping[str, Any]) -> bool:
        """Whether these parameters are one of the points."""
        return frozenset(parameters.items()) in {frozenset(point.items()) for point in self._points}

    def next_point(self, study: Study) -> dict[str, Any] | None:
        """The first point that no trial of the study has or had, interrupted ones aside; None when all have run."""
        seen = _points_of(study)
        return next((point for point in self._points if frozenset(point.items()) not in seen), None)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Nothing: points are looked up by name."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing: points are looked up by name."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The value of the first free point that agrees with what the trial has drawn so far."""
        seen = _points_of(study, without=trial.number)
        for point in self._points:
            agrees = all(name in point and point[name] == value for name, value in trial.params.items())
            if agrees and param_name in point and frozenset(point.items()) not in seen:
                return point[param_name]
        raise RuntimeError(f"the grid has no free point with {param_name} and {trial.params}")


def build_grid(config: Mapping[str, Any]) -> ConditionalGrid:
    arguments = {key: value for key, value in config.items() if key != TARGET}
    unknown = sorted(set(arguments) - {"space", "seed"})
    if unknown:
        raise ConfigError(f"sampler=grid has no argument {', '.join(unknown)}; its only one is seed.")
    seed = arguments.get("seed")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"sampler.seed must be a whole number of at least 0 for the grid's order; it is {seed}.")
    return ConditionalGrid(**arguments)


def _points_of(study: Study, without: int | None = None) -> set[frozenset[tuple[str, Any]]]:
    """What the trials of a study run or ran; those still waiting and those cut off from outside have run nothing."""
    return {
        frozenset(trial.params.items())
        for trial in study.get_trials(deepcopy=False)
        if trial.number != without and trial.state != TrialState.WAITING and not was_cut_off(trial)
    }
