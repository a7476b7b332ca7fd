"""The best trial of a study."""

from __future__ import annotations

from optuna import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


def best_trial(study: Study) -> FrozenTrial | None:
    """The completed trial with the best value, the earliest of equals."""
    best = None
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        best = better_trial(study.direction, best, trial)
    return best


def better_trial(direction: StudyDirection, best: FrozenTrial | None, trial: FrozenTrial) -> FrozenTrial:
    """The better of two completed trials, the earlier of equals."""
    if best is None:
        return trial
    sign = -1 if direction == StudyDirection.MAXIMIZE else 1
    return min(best, trial, key=lambda trial: (sign * trial.values[0], trial.number))
