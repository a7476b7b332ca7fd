"""Stopping hopeless trials early: what a trial reports after each fold, and the pruner that judges it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from optuna import Study, Trial
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.pruners import BasePruner, NopPruner, WilcoxonPruner

from sweeps.base.build import TARGET, BuildError, build, class_of
from sweeps.execution.workers import PruningCheck


def build_pruner(config: Mapping[str, Any]) -> BasePruner:
    """The pruner of the config group `pruner`.

    Raises:
        ConfigError: not one of Optuna's, or an argument that it refuses.
    """
    if not issubclass(class_of(config, "pruner") or object, BasePruner):
        raise BuildError(f"pruner.{TARGET}: {config.get(TARGET)} is not an Optuna pruner; try pruner=median.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # the pruner's YAML file chose it
        pruner: BasePruner = build(config, "pruner")
    return pruner


def pruning_check(study: Study, trial: Trial, metric: str) -> PruningCheck | None:
    """What judges the steps of one trial, None where the study has no pruner.

    The first step is 1. Pruners compare trials at the same step, so they are given the mean of the steps so far;
    Optuna's WilcoxonPruner compares step by step, so it is given each step's own score.
    """
    pruner = study.pruner
    if isinstance(pruner, NopPruner):
        return None
    scores: list[float] = []

    def should_prune(of_step: Mapping[str, float]) -> bool:
        scores.append(of_step[metric])
        value = scores[-1] if isinstance(pruner, WilcoxonPruner) else sum(scores) / len(scores)
        try:
            trial.report(value, len(scores))
        except UpdateFinishedTrialError:  # another process has given it up
            return True
        return trial.should_prune()

    return should_prune
