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


def pruning_check(study: Study, trial: Trial, metric: str, n_reports: int | None = None) -> PruningCheck | None:
    """What keeps the steps of one trial and decides whether it stops; None where Optuna takes no steps.

    Scores without a step are those of folds, the first of which is 1. Pruners compare trials at the same step, so they
    are given the mean of the folds so far; Optuna's WilcoxonPruner compares step by step, so it is given each fold's
    own score. Folds without a pruner are not kept.

    Args:
        study: the study.
        trial: of it.
        metric: that is optimised.
        n_reports: how often the trial reports; after the last nothing is left to stop. None where that is not known.
    """
    pruner, n_objectives = study.pruner, len(study.directions)
    scores: list[float] = []

    def should_prune(of_step: Mapping[str, float], step: int | None) -> bool:
        if step is None and isinstance(pruner, NopPruner):
            return False
        scores.append(of_step[metric])
        is_own = step is not None or isinstance(pruner, WilcoxonPruner)
        try:
            trial.report(scores[-1] if is_own else sum(scores) / len(scores), len(scores) if step is None else step)
        except UpdateFinishedTrialError:  # another process has given it up
            return True
        return len(scores) != n_reports and trial.should_prune()

    return should_prune if n_objectives == 1 else None
