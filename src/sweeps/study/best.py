"""The best trial of a study."""

from __future__ import annotations

from optuna import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


def best_trial(study: Study) -> FrozenTrial | None:
    """The completed trial with the best value, the earliest of equals; None where several values are optimised."""
    best = None
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        best = better_trial(study, best, trial)
    return best


def better_trial(study: Study, best: FrozenTrial | None, trial: FrozenTrial) -> FrozenTrial | None:
    """The better of two completed trials, the earlier of equals; None where several values are optimised."""
    if len(study.directions) > 1:
        return None
    if best is None:
        return trial
    sign = sign_of(study.direction)
    return min(best, trial, key=lambda trial: (sign * trial.values[0], trial.number))


def sign_of(direction: StudyDirection) -> float:
    """What turns values of a direction into values of which the lowest is best."""
    return -1.0 if direction == StudyDirection.MAXIMIZE else 1.0
