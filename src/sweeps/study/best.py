"""The best trial of a study, and which trials may be it."""

from __future__ import annotations

from optuna import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


def best_trial(study: Study) -> FrozenTrial | None:
    """The completed trial with the best value that keeps to the constraints, the earliest of equals.

    None where there is none, or several values are optimised.
    """
    best = None
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        best = better_trial(study, best, trial)
    return best


def better_trial(study: Study, best: FrozenTrial | None, trial: FrozenTrial) -> FrozenTrial | None:
    """The better of the best so far and a completed trial, the earlier of equals; see `best_trial`."""
    if len(study.directions) > 1:
        return None
    if not is_feasible(trial):
        return best
    if best is None:
        return trial
    sign = sign_of(study.direction)
    return min(best, trial, key=lambda trial: (sign * trial.values[0], trial.number))


def is_feasible(trial: FrozenTrial) -> bool:
    """Whether a trial keeps to all constraints; one of a study without any does."""
    return all(violation <= 0 for violation in trial.constraints.values())


def least_violated(study: Study) -> FrozenTrial | None:
    """Of the completed trials, the one that breaks its constraints by the least in all, the earliest of equals."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return min(complete, key=lambda trial: (_violation(trial), trial.number), default=None)


def _violation(trial: FrozenTrial) -> float:
    return sum(max(0.0, violation) for violation in trial.constraints.values())


def sign_of(direction: StudyDirection) -> float:
    """What turns values of a direction into values of which the lowest is best."""
    return -1.0 if direction == StudyDirection.MAXIMIZE else 1.0
